"""How well two masks agree: by overlap, and by the distance of their outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineDistance:
    """Symmetric distance between two outlines within one slice (mm)."""

    mean_mm: float
    percentile95_mm: float


def dice_of(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> float | None:
    """Return twice the overlap over the sum of both; None if both are empty.

    References
    ----------
    .. [1] Dice LR. Measures of the amount of ecologic association between species.
       Ecology 1945;26(3):297-302.
    """
    extent = int(truth.sum()) + int(guess.sum())
    if extent == 0:
        return None
    return 2 * int((truth & guess).sum()) / extent


def outline_distance(
    truth: NDArray[np.bool_], guess: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> OutlineDistance | None:
    """Return the distance between the outlines of two masks of one slice.

    Parameters
    ----------
    truth, guess : ndarray, shape (R, C), bool
    spacing_mm
        Distance of rows and of columns (mm).

    Returns
    -------
    OutlineDistance or None
        None if either mask is empty.
    """
    if not truth.any() or not guess.any():
        return None
    one, other = _outline(truth), _outline(guess)
    to_one = ndimage.distance_transform_edt(~one, sampling=spacing_mm)
    to_other = ndimage.distance_transform_edt(~other, sampling=spacing_mm)
    distances_mm = np.concatenate([to_other[one], to_one[other]])
    return OutlineDistance(
        mean_mm=float(distances_mm.mean()),
        percentile95_mm=float(np.percentile(distances_mm, 95)),
    )


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask & ~ndimage.binary_erosion(mask)
