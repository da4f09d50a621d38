"""Where the signal of a magnitude picture begins: padding is no data, air is zero."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from analysis.contract.result import Notice
from dicom_node.decode import attribute_values

_FLOOR_PERCENT = 0.1
"""Darker than the air are only a few pixels, of interpolation or a defect."""
_TOP_PERCENT = 99.0
_NEGATIVE_PART = 0.02
"""Of the range of the signal: a magnitude has no negative values, but interpolation
makes small ones at edges."""
_OFFSET_PART = 0.25
"""Of the range of the signal: noise lifts air to some percent of it; where nothing is
darker than a quarter, something was added to all values."""
_FAR_PART = 0.5
"""Of the range of all other values: how far off the end of the scale a value lies that
pads, though no attribute says so."""
_EVERY = 61
"""Values of which one is in the sample; no side of a picture is a multiple of it."""
_REACH_PART = 50
"""Of the sample: so far off, to either side, a value of some rank is looked for."""


def padding_of(stored: NDArray[np.generic], dataset: Dataset) -> NDArray[np.bool_]:
    """Return which stored values are padding.

    Parameters
    ----------
    stored : ndarray, shape (rows, columns)

    Returns
    -------
    ndarray, shape (rows, columns)

    References
    ----------
    PS3.3 C.7.5.1.1.2 Pixel Padding Value (0028,0120) and Range Limit (0028,0121), each
    read as the pixels are, signed or not.
    """
    padded = np.zeros(stored.shape, dtype=bool)
    bounds = [
        _as_stored(attribute_values.whole(dataset, keyword), stored.dtype)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
    ]
    stated = [bound for bound in bounds if bound is not None]
    if bounds[0] is not None:
        values = stored.astype(np.int64)
        padded |= (values >= min(stated)) & (values <= max(stated))
    return padded | _at_end_of_scale(stored, dataset)


def _as_stored(value: int | None, dtype: np.dtype[np.generic]) -> int | None:
    """Return a value as the pixels have it: senders confuse US and SS."""
    if value is None:
        return None
    bits = 8 * dtype.itemsize
    value %= 2**bits
    return value - 2**bits if dtype.kind == "i" and value >= 2 ** (bits - 1) else value


def _at_end_of_scale(
    stored: NDArray[np.generic], dataset: Dataset
) -> NDArray[np.bool_]:
    """Find values at the very end of the scale, far from all others."""
    bits = attribute_values.whole(dataset, "BitsStored") or 8 * stored.dtype.itemsize
    is_signed = stored.dtype.kind == "i"
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (
        0,
        2**bits - 1,
    )  # fmt: skip
    ends = [highest, lowest] if is_signed else [highest]
    padded = np.zeros(stored.shape, dtype=bool)
    for end in ends:
        here = stored == end
        if not here.any() or here.all():
            continue
        others = stored[~here].astype(np.int64)
        span = int(others.max() - others.min())
        gap = int(np.abs(others - end).min())
        if gap > _FAR_PART * max(span, 1) and gap > _FAR_PART * (highest - lowest) / 2:
            padded |= here
    return padded


def settle_zero(
    voxels: NDArray[np.float32], padded: NDArray[np.bool_]
) -> tuple[float, tuple[Notice, ...]]:
    """Move values so that air has none, and give padding the value of air.

    Changes `voxels`. What is near zero already stays as it is, to the bit.

    Parameters
    ----------
    voxels : ndarray, shape (K, R, C)
        Rescaled.
    padded : ndarray, shape (K, R, C)
        What is no data.

    Returns
    -------
    zero : float
        The value that is 0 now; 0 where nothing was moved.
    notices : tuple of Notice
        `padding_ignored`, `signal_zero_moved`, as far as they are true.
    """
    notices = []
    data = voxels[~padded] if padded.any() else voxels.ravel()
    if not data.size:
        voxels[:] = 0
        return 0.0, (_padding_notice(padded),)
    floor, top = (ranked(data, share) for share in (_FLOOR_PERCENT, _TOP_PERCENT))
    span = float(top - floor)
    is_moved = floor < -_NEGATIVE_PART * span or floor > _OFFSET_PART * span > 0
    if is_moved:
        voxels -= np.float32(floor)
        np.maximum(voxels, 0, out=voxels)
        text = (
            f"values begin at {floor:.0f}, which was taken for the zero of the signal"
        )
        notices.append(Notice(code="signal_zero_moved", text=text))
    if padded.any():
        voxels[padded] = 0 if is_moved else max(float(floor), 0.0)
        notices.append(_padding_notice(padded))
    return float(floor) if is_moved else 0.0, tuple(notices)


def ranked(data: NDArray[np.float32], percent: float) -> np.float32:
    """Return what `np.percentile` returns by the method `lower`, but sooner.

    All values are ranked only among those that a sample of them shows to be near.

    Parameters
    ----------
    data : ndarray, shape (N,)
        At least one value, all of them finite.
    percent
        0 to 100.
    """
    place = math.floor((len(data) - 1) * (percent / 100))
    sample = np.sort(data[::_EVERY])
    middle, reach = place // _EVERY, max(len(sample) // _REACH_PART, 1)
    low = sample[max(middle - reach, 0)]
    high = sample[min(middle + reach, len(sample) - 1)]
    near = data[(data >= low) & (data <= high)]
    rank = place - int(np.count_nonzero(data < low))
    if not 0 <= rank < len(near):
        near, rank = data, place
    return np.float32(np.partition(near, rank)[rank])


def _padding_notice(padded: NDArray[np.bool_]) -> Notice:
    part = 100 * float(padded.mean())
    text = f"{part:.1f} % of the pixels are padding and were read as air"
    return Notice(code="padding_ignored", text=text)
