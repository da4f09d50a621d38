"""Where the labelled discs of a series lie, and how each of them leans."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from analysis.training.labels import Label
from analysis.training.sources import LabelledCase

_HALF_WINDOW_MM = 48.0
"""What is kept of a picture about a disc: a crop, turned, enlarged and aside."""
_MIN_DISC_MM2 = 60.0
"""In its largest slice; less is a rim that the picture's edge has left."""
_BEYOND = 2
"""Slices on either side of a disc that teach where it ends, if they are labelled."""
_MIDDLE_SHARE = 0.5
"""Of a disc's largest area that a slice must show to tell how the disc lies."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscPlace:
    """One labelled disc in its series.

    Parameters
    ----------
    case
        The series.
    window
        Rows and columns about the disc.
    slices
        Those that show it, and some beyond its ends.
    middle_mm : ndarray, shape (2,)
        Its middle along rows and columns, from pixel (0, 0) of the picture.
    turn_rad
        By how much it leans: a crop turned so has the disc's front on the left and
        the head above.
    half_height_mm
        Half of the height of an ellipse that is spread like the disc.
    """

    case: LabelledCase
    window: tuple[slice, slice]
    slices: range
    middle_mm: NDArray[np.float64]
    turn_rad: float
    half_height_mm: float


def places_of(case: LabelledCase) -> Iterator[DiscPlace]:
    """Find the labelled discs of a series."""
    exact = case.allowed == 1 << Label.DISC
    pieces, _ = ndimage.label(exact, np.ones((3, 3, 3)))
    step = np.array(case.spacing_mm)
    for number, window in enumerate(ndimage.find_objects(pieces), start=1):
        mine = pieces[window] == number
        areas = mine.sum(axis=(1, 2))
        if areas.max() * step.prod() < _MIN_DISC_MM2:
            continue
        shown = mine[areas >= _MIDDLE_SHARE * areas.max()]
        _, rows, columns = np.nonzero(shown)
        corner = np.array([window[1].start, window[2].start])
        points_mm = (np.stack([rows, columns], axis=1) + corner) * step
        middle_mm = points_mm.mean(axis=0)
        spread, axes = np.linalg.eigh(np.cov((points_mm - middle_mm).T))
        along = axes[:, -1]
        along = along if along[1] > 0 else -along
        first = max(0, window[0].start - _BEYOND)
        last = min(len(exact), window[0].stop + _BEYOND)
        yield DiscPlace(
            case=case,
            window=_around(middle_mm, step, exact.shape[1:]),
            slices=range(first, last),
            middle_mm=middle_mm,
            turn_rad=math.atan2(-along[0], along[1]),
            half_height_mm=2 * math.sqrt(spread[0]),
        )


def _around(
    middle_mm: NDArray[np.float64], step: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[slice, slice]:
    low = np.floor((middle_mm - _HALF_WINDOW_MM) / step).astype(int).clip(0)
    high = np.ceil((middle_mm + _HALF_WINDOW_MM) / step).astype(int)
    rows, columns = (
        slice(int(a), min(int(b), n)) for a, b, n in zip(low, high, shape, strict=True)
    )
    return rows, columns
