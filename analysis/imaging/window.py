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
