"""Grey values that cannot be compared: shading, gains, noise, a zero elsewhere.

The networks see structures through all of these, and outlines hardly move. What is read
from grey values does: by how much, docs/accuracy-measurements.md has in a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.imaging.one_of import is_one_of
from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE
from analysis.lumbar.doubt import GEOMETRY_ONLY, Doubt, apart, unfit_signal, warning
from analysis.lumbar.fitted_limits import (
    FLUID_ALONG,
    FRONT_OVER_REAR,
    NOISE_SHARE,
    REAR_OVER_FRONT,
    SLICE_GAIN,
    ZERO_SHARE,
    Fitted,
)

_FLUID_PERCENTILE = 80.0
"""Of the canal: above the nerve roots in it."""
_DARKEST_PERCENTILE = 0.1
"""Darker are only a few voxels, of interpolation or a defect."""
_EVERY = 2
"""Rows and columns that are looked at for the darkest."""
_NEAR_MM = 35.0
"""Above and below a disc: as far as to the next, so that a stenosis does not count."""
_GRAIN_MM = 0.9
"""Between the voxels that are compared for noise: beyond what interpolation of a matrix
to twice its size makes alike, below what bone and disc are uneven by."""
_MIN_VOXELS = 100
_TO_SD = 1.4826
"""From the median of absolute values to a standard deviation, of a normal
distribution."""
_BODIES = [one.number for one in VERTEBRAE[1:7]]
_MEASURED = [one.number for one in DISCS[:5]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSigns:
    """Signs of grey values that cannot be compared; None where too little is in view.

    Parameters
    ----------
    zero
        The darkest of the picture, over the signal of fluid.
    slice_gain
        Marrow in the brightest of the slices that are measured, over the darkest.
    along
        Fluid beside the disc where it is brightest, over where it is darkest.
    front_over_rear
        The front quarter of the bodies over their rear quarter, median.
    noise
        Standard deviation from voxel to voxel in bodies and discs, over fluid.
    """

    zero: float | None
    slice_gain: float | None
    along: float | None
    front_over_rear: float | None
    noise: float | None


def signal_signs(
    anatomy: Anatomy, volume: Volume, labels: NDArray[np.uint8]
) -> SignalSigns:
    """Read the signs in the slices in which fluid is measured.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    volume
        The series.
    labels : ndarray, shape (K, R, C), uint8
        Numbers of the structures on the grid of `volume`.
    """
    grid = anatomy.tissues.grid
    slices = [grid.source_slice(one) for one in anatomy.middle_slices(CANAL)]
    sides = window_of(labels.max(axis=0) > 0)
    if not slices or sides is None:
        return SignalSigns(
            zero=None, slice_gain=None, along=None, front_over_rear=None, noise=None
        )
    voxels, shown, (row_mm, column_mm) = _upright(
        volume.frame, volume.voxels[slices][:, *sides], labels[slices][:, *sides]
    )
    canal = voxels[shown == CANAL.number]
    fluid = float(np.percentile(canal, _FLUID_PERCENTILE)) if canal.size else 0.0
    darkest = np.percentile(volume.voxels[:, ::_EVERY, ::_EVERY], _DARKEST_PERCENTILE)
    noise_px = (
        max(1, round(_GRAIN_MM / row_mm)),
        max(1, round(_GRAIN_MM / column_mm)),
    )
    return SignalSigns(
        zero=_ratio(float(darkest), fluid),
        slice_gain=_slice_gain(voxels, shown),
        along=_along(voxels, shown, row_mm),
        front_over_rear=_front_over_rear(voxels, shown),
        noise=_ratio(_grain(voxels, shown, noise_px), fluid),
    )


def _upright(
    frame: Frame, voxels: NDArray[np.float32], shown: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], tuple[float, float]]:
    """Turn slices so that rows run to the feet and columns to the back."""
    directions, spacing_mm = frame.directions[:, 1:], frame.spacing_mm[1:]
    order = [0, 1] if abs(directions[2, 0]) >= abs(directions[2, 1]) else [1, 0]
    down, back = (directions[:, one] for one in order)
    axes = (0, 1 + order[0], 1 + order[1])
    turn = (
        slice(None),
        slice(None, None, -1 if down[2] > 0 else 1),
        slice(None, None, -1 if back[1] < 0 else 1),
    )
    row_mm, column_mm = (float(spacing_mm[one]) for one in order)
    return (
        voxels.transpose(axes)[turn],
        shown.transpose(axes)[turn],
        (row_mm, column_mm),
    )


def uneven_signal(signs: SignalSigns) -> tuple[Doubt, ...]:
    """Doubt all signal whose grey values cannot be compared; tell of noise."""
    unfit = [
        *(unfit_signal("signal_impossible", text) for text in _zero(signs)),
        *(unfit_signal("signal_uneven", text) for text in _gains_and_shading(signs)),
    ]
    return tuple(unfit or _noise(signs))


def _zero(signs: SignalSigns) -> Iterator[str]:
    shown = _beyond(signs.zero, ZERO_SHARE, 0, times=100.0)
    if shown:
        yield (
            f"The darkest of the picture has {shown}% of the signal of fluid, limit "
            f"{ZERO_SHARE.limit:.0%}: the zero of the grey values lies elsewhere. "
            f"{GEOMETRY_ONLY}"
        )


def _gains_and_shading(signs: SignalSigns) -> Iterator[str]:
    shown = _beyond(signs.slice_gain, SLICE_GAIN, 2)
    if shown:
        yield (
            f"Marrow is {shown} times as bright in one slice as in another, limit "
            f"{SLICE_GAIN.limit}: slices were scaled differently. {GEOMETRY_ONLY}"
        )
    shown = _beyond(signs.along, FLUID_ALONG, 2)
    if shown:
        yield (
            f"Fluid beside one disc is {shown} times as bright as beside another, "
            f"limit {FLUID_ALONG.limit}: the coil's sensitivity falls off along the "
            f"spine, or fluid has lost signal by flowing. {GEOMETRY_ONLY}"
        )
    shown = _beyond(_inverse(signs.front_over_rear), REAR_OVER_FRONT, 2)
    if shown:
        yield (
            f"The rear of the bodies is {shown} times as bright as their front, limit "
            f"{REAR_OVER_FRONT.limit}: the coil's sensitivity falls off towards the "
            f"front. {GEOMETRY_ONLY}"
        )
    shown = _beyond(signs.front_over_rear, FRONT_OVER_REAR, 2)
    if shown:
        yield (
            f"The front of the bodies is {shown} times as bright as their rear, limit "
            f"{FRONT_OVER_REAR.limit}: the coil's sensitivity falls off towards the "
            f"back, or something is wrapped over the spine. {GEOMETRY_ONLY}"
        )


def _noise(signs: SignalSigns) -> Iterator[Doubt]:
    shown = _beyond(signs.noise, NOISE_SHARE, 1, times=100.0)
    if shown:
        text = (
            f"Noise is {shown}% of the signal of fluid, limit "
            f"{NOISE_SHARE.limit:.1%}: delta-SI, ratios of signal and grades may be "
            "wrong"
        )
        yield warning("noisy", text)


def _beyond(
    value: float | None, fitted: Fitted, decimals: int, *, times: float = 1.0
) -> str:
    """Write a value that exceeds a limit; nothing of another."""
    if value is None or value <= fitted.limit:
        return ""
    return apart(value, fitted.limit, decimals, times=times)


def _inverse(value: float | None) -> float | None:
    return None if value is None or value <= 0 else 1 / value


def _ratio(value: float | None, to: float) -> float | None:
    return None if value is None or to <= 0 else value / to


def _widest(values: Sequence[float]) -> float | None:
    """Return the highest over the lowest; None of fewer than two."""
    known = [value for value in values if value > 0]
    return max(known) / min(known) if len(known) > 1 else None


def _slice_gain(voxels: NDArray[np.float32], shown: NDArray[np.uint8]) -> float | None:
    marrow = is_one_of(shown, _BODIES)
    return _widest(
        [
            float(np.median(one[mine]))
            for one, mine in zip(voxels, marrow, strict=True)
            if mine.sum() >= _MIN_VOXELS
        ]
    )


def _along(
    voxels: NDArray[np.float32], shown: NDArray[np.uint8], row_mm: float
) -> float | None:
    canal = shown == CANAL.number
    reach = round(_NEAR_MM / row_mm)
    beside = []
    for number in _MEASURED:
        rows = np.nonzero((shown == number).any(axis=(0, 2)))[0]
        if not rows.size:
            continue
        middle = int(rows.mean())
        near = slice(max(0, middle - reach), middle + reach + 1)
        fluid = voxels[:, near][canal[:, near]]
        if fluid.size >= _MIN_VOXELS:
            beside.append(float(np.percentile(fluid, _FLUID_PERCENTILE)))
    return _widest(beside)


def _front_over_rear(
    voxels: NDArray[np.float32], shown: NDArray[np.uint8]
) -> float | None:
    shares = []
    for number in _BODIES:
        slices, rows, columns = np.nonzero(shown == number)
        if columns.size < _MIN_VOXELS:
            continue
        front, rear = np.percentile(columns, [25, 75])
        values = voxels[slices, rows, columns]
        behind = float(np.median(values[columns >= rear]))
        if behind > 0:
            shares.append(float(np.median(values[columns <= front])) / behind)
    return float(np.median(shares)) if shares else None


def _grain(
    voxels: NDArray[np.float32], shown: NDArray[np.uint8], apart_px: tuple[int, int]
) -> float | None:
    """Return what voxels differ by where neither a slope nor an edge is, median.

    Of four voxels at the corners of a rectangle: a plane through them and an edge along
    either side cancel.
    """
    down, across = apart_px
    inside = is_one_of(shown, [*_BODIES, *_MEASURED])
    upper, lower = voxels[:, :-down], voxels[:, down:]
    cross = (upper[..., :-across] - lower[..., :-across]) - (
        upper[..., across:] - lower[..., across:]
    )
    both = inside[:, :-down] & inside[:, down:]
    found = np.abs(cross[both[..., :-across] & both[..., across:]])
    if found.size < _MIN_VOXELS:
        return None
    return float(np.median(found)) * _TO_SD / 2
