"""Masks that are grown or shrunk within their slices.

As `scipy.ndimage` does it with a plus, and several times as fast: a whole row of bytes
is moved at once.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def grown(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Return a mask with all that lies within some steps of it in its slice.

    Parameters
    ----------
    mask : ndarray, shape (..., R, C)
    steps
        Along rows and columns; a diagonal neighbour is two steps away.
    """
    wide = np.array(mask)
    for _ in range(steps):
        before = wide.copy()
        wide[..., 1:, :] |= before[..., :-1, :]
        wide[..., :-1, :] |= before[..., 1:, :]
        wide[..., :, 1:] |= before[..., :, :-1]
        wide[..., :, :-1] |= before[..., :, 1:]
    return wide


def grown_to_square(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Return a mask (R, C) with all that lies within some steps, diagonals as well."""
    high = np.array(mask)
    for step in range(1, steps + 1):
        high[step:] |= mask[:-step]
        high[:-step] |= mask[step:]
    wide = np.array(high)
    for step in range(1, steps + 1):
        wide[:, step:] |= high[:, :-step]
        wide[:, :-step] |= high[:, step:]
    return wide


def shrunk(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Return what of a mask (R, C) is further than some steps from what is outside.

    Beyond its edge all is outside.
    """
    outside = np.pad(~mask, steps, constant_values=True)
    rows, columns = mask.shape
    return ~grown(outside, steps)[steps : steps + rows, steps : steps + columns]


def deeper_than(
    mask: NDArray[np.bool_], depth_mm: float, spacing_mm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return what of a mask (R, C) is further than a distance from what is outside.

    As the distance transform of `scipy.ndimage` tells it. Beyond its edge all is
    outside.

    Parameters
    ----------
    depth_mm
        Of a pixel or a few: each that lies within it is asked for itself.
    spacing_mm : ndarray, shape (2,)
        Between rows and between columns.
    """
    by_row, by_column = spacing_mm.tolist()
    down, along = (int(depth_mm / step) + 1 for step in (by_row, by_column))
    padded = np.pad(mask, ((down, down), (along, along)))
    rows, columns = mask.shape
    inner = np.array(mask)
    for row in range(2 * down + 1):
        for column in range(2 * along + 1):
            away = ((row - down) * by_row, (column - along) * by_column)
            if math.sqrt(away[0] * away[0] + away[1] * away[1]) <= depth_mm:
                inner &= padded[row : row + rows, column : column + columns]
    return inner
