"""Where a picture ends: at its edge, or at a margin in which nothing was recorded.

Pictures are filled up to a square, masked by the scanner, or turned within their plane:
a spine that is cut by such a margin is cut as by the edge of the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.sagittal_grid import SagittalGrid
from analysis.lumbar.anatomy.tissue_map import TissueMap

_MOST_SLICES = 9
"""That are asked for a margin: it is the same in all."""
_NEAR_ROWS, _NEAR_COLUMNS = 2, 5
"""Pixels of 0.8 mm within which a structure goes on beyond what is seen. The networks
leave the last pixels before an edge out: of 60 structures of three patients of train
that were cut in front by an edge or a margin, all but those cut by less than 2 mm ended
within 4 px of it. In front and behind, the nearest one of all 25 is 60 mm away."""


def unseen_of(grid: SagittalGrid, volume: Volume) -> NDArray[np.bool_]:
    """Return where on a grid nothing of a series is seen, in any of its slices.

    That is outside the picture, and what hangs together with its edge and holds the
    lowest value of every slice.

    Parameters
    ----------
    grid
        Laid over the series.
    volume
        The series.

    Returns
    -------
    ndarray, shape (R, C) of the grid, bool
    """
    margin = _margin(volume.voxels)
    matrix, offset = grid.plane_map(to_source=True)
    places = np.ogrid[: grid.shape[1], : grid.shape[2]]
    indices = [
        np.rint(matrix[axis, 0] * places[0] + matrix[axis, 1] * places[1] + start)
        for axis, start in enumerate(offset)
    ]
    sides = margin.shape
    inside = np.logical_and.reduce(
        [(one >= 0) & (one < side) for one, side in zip(indices, sides, strict=True)]
    )
    rows, columns = (
        np.clip(one, 0, side - 1).astype(np.intp)
        for one, side in zip(indices, sides, strict=True)
    )
    return np.asarray(~inside | margin[rows, columns])


def _margin(voxels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return what hangs together with the edge and is lowest in every slice (R, C)."""
    from scipy import ndimage

    count = len(voxels)
    lowest = np.ones(voxels.shape[1:], np.bool_)
    for index in np.unique(np.linspace(0, count - 1, min(count, _MOST_SLICES)).round()):
        picture = voxels[int(index)]
        lowest &= picture == picture.min()
    edge = [lowest[0], lowest[-1], lowest[:, 0], lowest[:, -1]]
    if not any(side.any() for side in edge):
        return np.zeros_like(lowest)
    pieces, _ = ndimage.label(lowest)
    ends = (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1])
    held = np.zeros(int(pieces.max()) + 1, np.bool_)
    held[np.concatenate(ends)] = True
    held[0] = False
    return np.asarray(held[pieces])


def near_unseen(tissues: TissueMap) -> NDArray[np.bool_]:
    """Return from where a structure goes on beyond what is seen, shape (R, C)."""
    wide = _padded(tissues, _NEAR_ROWS, _NEAR_COLUMNS)
    near = wide.copy()
    for step in range(1, _NEAR_ROWS + 1):
        near[step:] |= wide[:-step]
        near[:-step] |= wide[step:]
    for step in range(1, _NEAR_COLUMNS + 1):
        near[:, step:] |= wide[:, :-step]
        near[:, :-step] |= wide[:, step:]
    return near[_NEAR_ROWS:-_NEAR_ROWS, _NEAR_COLUMNS:-_NEAR_COLUMNS]


def below_unseen(tissues: TissueMap, steps: int) -> NDArray[np.bool_]:
    """Return the pixels that have something unseen up to some rows above them."""
    wide = _padded(tissues, steps, 0)
    near = wide.copy()
    for step in range(1, steps + 1):
        near[step:] |= wide[:-step]
    return near[steps:-steps]


def above_unseen(tissues: TissueMap, steps: int) -> NDArray[np.bool_]:
    """Return the pixels that have something unseen up to some rows below them."""
    wide = _padded(tissues, steps, 0)
    near = wide.copy()
    for step in range(1, steps + 1):
        near[:-step] |= wide[step:]
    return near[steps:-steps]


def _padded(tissues: TissueMap, rows: int, columns: int) -> NDArray[np.bool_]:
    unseen = tissues.unseen
    if unseen is None:
        unseen = np.zeros(tissues.grid.shape[1:], np.bool_)
    sides = ((rows, rows), (columns, columns))
    return np.pad(unseen, sides, constant_values=True)
