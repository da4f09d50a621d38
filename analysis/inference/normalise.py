"""Bring the grey values of one slice to the scale that the networks know."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MANY_PX = 500_000
"""Fewer are scaled sooner than threads begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """How grey values are scaled, slice by slice.

    A slice is clipped at a high percentile, because surface-coil fat outshines
    the spine; then its mean and spread are taken over pixels of tissue only, so
    that the share of air in the picture has no say.

    Parameters
    ----------
    clip_percentile
        Grey values above this percentile of the slice (0..100) are clipped to it.
    tissue_fraction
        Pixels above this fraction of the clipping value count as tissue.
    """

    clip_percentile: float = 99.0
    tissue_fraction: float = 0.08


def normalise_slices(
    slices: NDArray[np.float32], rule: Normalisation, threads: int = 1
) -> NDArray[np.float32]:
    """Scale each slice to zero mean and unit spread over its tissue.

    Scaling is by slice, not by series: the training pictures were stretched to
    eight bits slice by slice, so no network here has seen a common scale.

    Parameters
    ----------
    slices : ndarray, shape (K, R, C)
        Raw grey values; any linear scale. Values that are not finite count as 0.
    rule
        Percentile and tissue fraction.
    threads
        That share the slices.

    Returns
    -------
    ndarray, shape (K, R, C), float32
        Normalised slices, always finite. A constant slice becomes all zero.
    """
    normalised = np.zeros(slices.shape, np.float32)

    def scale(index: int) -> None:
        normalised[index] = _normalise_one(slices[index], rule)

    if threads == 1 or slices.size < _MANY_PX:
        for index in range(len(slices)):
            scale(index)
        return normalised
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(scale, range(len(slices))))
    return normalised


def with_neighbours(
    normalised: NDArray[np.float32], index: int, reach: int
) -> NDArray[np.float32]:
    """Return a slice amid its neighbours, as the networks see it.

    At the ends of the series, and where a neighbour has no contrast, the nearest
    slice inwards stands in.

    Parameters
    ----------
    normalised : ndarray, shape (K, R, C)
        From `normalise_slices`.
    index
        The slice.
    reach
        Neighbours on either side.

    Returns
    -------
    ndarray, shape (2 * reach + 1, R, C), float32
    """
    shown = np.asarray(normalised.any(axis=(1, 2)))
    return normalised[neighbours(shown, index, reach)]


def neighbours(shown: NDArray[np.bool_], index: int, reach: int) -> list[int]:
    """Return which slices stand for a slice and its neighbours.

    Parameters
    ----------
    shown : ndarray, shape (K,)
        Whether a slice has contrast.
    index, reach
        As for `with_neighbours`.
    """
    chosen = [index]
    for side in (-1, 1):
        here = index
        for step in range(1, reach + 1):
            there = index + side * step
            if 0 <= there < len(shown) and shown[there]:
                here = there
            chosen.append(here)
    return sorted(chosen)


def _normalise_one(
    picture: NDArray[np.float32], rule: Normalisation
) -> NDArray[np.float32]:
    grey = np.array(picture, np.float64)
    known = np.isfinite(grey)
    if not known.all():
        grey[~known] = 0.0
    if grey.size == 0:
        return np.zeros(grey.shape, np.float32)
    lowest = float(grey.min())
    if lowest < 0.0:
        grey -= lowest
    high = _percentile(grey.ravel(), rule.clip_percentile)
    if high <= 0.0 or float(grey.max()) == float(grey.min()):
        return np.zeros(grey.shape, np.float32)
    np.minimum(grey, high, out=grey)
    grey /= high
    tissue = grey[grey > rule.tissue_fraction]
    mean = tissue.mean()
    tissue -= mean
    np.multiply(tissue, tissue, out=tissue)
    spread = math.sqrt(tissue.mean())
    if spread <= np.finfo(np.float32).eps:
        return np.zeros(grey.shape, np.float32)
    grey -= mean
    grey /= spread
    return grey.astype(np.float32)


def _percentile(values: NDArray[np.float64], percent: float) -> float:
    """Return what `np.percentile` does of numbers that are known, bit by bit."""
    place = (len(values) - 1) * (percent / 100)
    below = math.floor(place)
    above = min(below + 1, len(values) - 1)
    parted = np.partition(values, (below, above))
    low, high = float(parted[below]), float(parted[above])
    share = place - below
    if share >= 0.5:  # noqa: PLR2004 - from the nearer side, as numpy does
        return high - (high - low) * (1 - share)
    return low + (high - low) * share
