"""Where a chain on a device reads and writes: plain numbers, without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampling:
    """Slices of a grid, and how they are read from a series.

    Parameters
    ----------
    sources
        K slices of the series, one for each of the grid.
    matrix : ndarray, shape (2, 2)
    offset : ndarray, shape (2,)
        (row, column) `p` of the grid lies at `matrix @ p + offset` of the series.
    shape
        Rows and columns of the grid.
    taps : two ndarrays of odd length
        The anti-alias filter along rows and along columns of the series.
    """

    sources: tuple[int, ...]
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    shape: tuple[int, int]
    taps: tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """A small grid over one structure, and where its labels go.

    Parameters
    ----------
    seen
        The crop, with the neighbours of the slices that are labelled. All crops of a
        series have one shape and one filter.
    part
        Slices of it that are labelled.
    first
        Slice of the first look's grid in which the first of these lies.
    window
        Rows and columns of the first look's grid that the crop covers.
    matrix : ndarray, shape (2, 2)
    offset : ndarray, shape (2,)
        (row, column) `p` of the window lies at `matrix @ p + offset` of the crop
        without its rim.
    """

    seen: Sampling
    part: slice
    first: int
    window: tuple[slice, slice]
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """How a second look is mixed into the first.

    Parameters
    ----------
    outlined
        Class of the first network that the second outlines, as its class 1.
    rest
        Class that gets what the others cannot share.
    weight
        Of the second look against the first.
    rim_px
        Of a crop that is left out.
    """

    outlined: int
    rest: int
    weight: float
    rim_px: int
