"""Masks that are grown or shrunk within their slices.

As `scipy.ndimage` does it with a plus, and several times as fast: a whole row of bytes
is moved at once.
"""

from __future__ import annotations

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


def shrunk(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Return what of a mask (R, C) is further than some steps from what is outside.

    Beyond its edge all is outside.
    """
    outside = np.pad(~mask, steps, constant_values=True)
    rows, columns = mask.shape
    return ~grown(outside, steps)[steps : steps + rows, steps : steps + columns]
