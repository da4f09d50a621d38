"""Bring the grey values of one slice to the scale that the networks know."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray


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
    with ThreadPoolExecutor(threads) as pool:
        scaled = pool.map(partial(_normalise_one, rule=rule), slices)
        for index, picture in enumerate(scaled):
            normalised[index] = picture
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
    chosen = [index]
    for side in (-1, 1):
        here = index
        for step in range(1, reach + 1):
            there = index + side * step
            if 0 <= there < len(normalised) and normalised[there].any():
                here = there
            chosen.append(here)
    return normalised[sorted(chosen)]


def _normalise_one(
    picture: NDArray[np.float32], rule: Normalisation
) -> NDArray[np.float32]:
    grey = np.nan_to_num(
        np.asarray(picture, np.float64), nan=0.0, posinf=0.0, neginf=0.0
    )
    if grey.size == 0:
        return np.zeros(grey.shape, np.float32)
    grey = grey - min(float(grey.min()), 0.0)
    high = float(np.percentile(grey, rule.clip_percentile))
    if high <= 0.0 or float(np.ptp(grey)) == 0.0:
        return np.zeros(grey.shape, np.float32)
    grey = np.minimum(grey, high) / high
    tissue = grey[grey > rule.tissue_fraction]
    spread = float(tissue.std())
    if spread <= np.finfo(np.float32).eps:
        return np.zeros(grey.shape, np.float32)
    return ((grey - float(tissue.mean())) / spread).astype(np.float32)
