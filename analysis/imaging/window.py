"""Windows: the part of an array that holds what is looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def window_of(mask: NDArray[np.bool_], margin: int = 0) -> tuple[slice, ...] | None:
    """Return the smallest window that holds all of a mask; None where it is empty.

    Parameters
    ----------
    mask : ndarray, of any number of axes
    margin
        Further elements on every side, as far as the array reaches.
    """
    axes = range(mask.ndim)
    sides = []
    for axis in axes:
        others = tuple(other for other in axes if other != axis)
        places = np.flatnonzero(mask.any(axis=others))
        if places.size == 0:
            return None
        stop = min(int(places[-1]) + margin + 1, mask.shape[axis])
        sides.append(slice(max(int(places[0]) - margin, 0), stop))
    return tuple(sides)


def widened(
    window: tuple[slice, slice],
    around: tuple[slice, slice],
    margin: int,
    shape: tuple[int, ...],
) -> tuple[slice, slice]:
    """Return a window with further elements on every side, as far as the array reaches.

    Parameters
    ----------
    window
        Rows and columns of a part of the array.
    around
        That part: rows and columns of the array.
    margin
        Further elements on every side.
    shape
        Of the array.
    """
    rows, columns = (
        slice(
            max(part.start + side.start - margin, 0),
            min(part.start + side.stop + margin, length),
        )
        for side, part, length in zip(window, around, shape, strict=True)
    )
    return rows, columns
