"""Planes smoothed, and read at other places, as `analysis.imaging` does."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad


def smoothed(
    planes: torch.Tensor, taps: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> torch.Tensor:
    """Smooth planes (K, R, C) along rows and columns; edges go on.

    As sums of shifted planes: convolutions of a GPU may round factors to ten bits.
    """
    for axis, weights in enumerate(taps, 1):
        reach, length = len(weights) // 2, planes.shape[axis]
        if reach == 0:
            continue
        sides = (0, 0, reach, reach) if axis == 1 else (reach, reach, 0, 0)
        wide = pad(planes[None], sides, mode="replicate")[0]
        planes = wide.narrow(axis, 0, length) * float(weights[0])
        for at, weight in enumerate(weights[1:].tolist(), 1):
            planes.add_(wide.narrow(axis, at, length), alpha=weight)
    return planes


def read(
    planes: torch.Tensor,
    sources: torch.Tensor,
    maps: tuple[torch.Tensor, torch.Tensor],
    shape: tuple[int, int],
    outside: torch.Tensor,
) -> torch.Tensor:
    """Read planes on regular grids of places, as a linear mean of four pixels.

    Parameters
    ----------
    planes : tensor, shape (K, R, C), float32
    sources : tensor, shape (M,)
        Which plane each grid is read from.
    maps : two tensors, shape (M or 1, 2, 2) and (M or 1, 2), float64
        Matrix and offset from (row, column) of each grid to those of its plane.
    shape
        Rows and columns of the grids.
    outside : tensor, shape (M,)
        The value beyond the middles of the outermost pixels.

    Returns
    -------
    tensor, shape (M, *shape), float32
    """
    high, wide = planes.shape[1:]
    matrix, offset = maps
    # In double precision: places, unlike grey values, reach to a thousand.
    down, along = (
        torch.arange(side, device=planes.device, dtype=torch.float64) for side in shape
    )
    rows, columns = (
        (offset[:, axis, None] + down * matrix[:, axis, :1])[:, :, None]
        + (along * matrix[:, axis, 1:])[:, None, :]
        for axis in (0, 1)
    )
    inside = (rows >= 0) & (rows <= high - 1) & (columns >= 0) & (columns <= wide - 1)
    rows, columns = rows.clamp(0, high - 1), columns.clamp(0, wide - 1)
    row, column = rows.long(), columns.long()
    below, behind = (rows - row).float(), (columns - column).float()
    # What lies beyond the last row or column has no weight.
    step_down = torch.where(row < high - 1, wide, 0)
    step_along = torch.where(column < wide - 1, 1, 0)
    first = sources[:, None, None] * (high * wide) + row * wide + column
    pixels = planes.reshape(-1)
    found = pixels.take(first) * ((1 - below) * (1 - behind))
    found += pixels.take(first + step_along) * ((1 - below) * behind)
    found += pixels.take(first + step_down) * (below * (1 - behind))
    found += pixels.take(first + step_down + step_along) * (below * behind)
    return torch.where(inside, found, outside[:, None, None])
