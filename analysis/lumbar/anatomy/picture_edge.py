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

Mask = NDArray[np.bool_]

_MOST_SLICES = 9
"""That are asked for a margin: it is the same in all."""
_WIDE_MM = 20.0
"""Sides of a square that a margin has room for, and no disc."""
_COARSE_MM = 1.0
"""Side of the blocks of pixels in which it is looked for."""
_NEAR_ROWS, _NEAR_COLUMNS = 2, 5
"""Pixels of 0.8 mm within which a structure goes on beyond what is seen. The networks
leave the last pixels before an edge out: of the structures of three patients (demo, 007
and 136) that were cut in front by an edge or a margin, nearly all that were cut by more
than 2 mm ended within 4 px of it. As they are, nothing of 156 series of train ends near
an edge in front or behind."""


def unseen_of(grid: SagittalGrid, volume: Volume) -> NDArray[np.bool_]:
    """Return where on a grid nothing of a series is seen, in any of its slices.

    That is outside the picture, and what hangs together with its edge, is no thin line,
    and holds the lowest value of every slice.

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
    margin = _margin(volume.voxels, volume.frame.spacing_mm[1:])
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


def _margin(voxels: NDArray[np.float32], spacing_mm: NDArray[np.float64]) -> Mask:
    """Return what hangs together with the edge and is lowest in every slice (R, C).

    Whole rows and columns, and else what is 20 mm high and wide: in a picture whose
    black level was set high, discs and ligaments hold the lowest value, too, and hang
    together with its edge (MRSpineSeg, Case40).
    """
    count = len(voxels)
    lowest = np.ones(voxels.shape[1:], np.bool_)
    for index in np.unique(np.linspace(0, count - 1, min(count, _MOST_SLICES)).round()):
        picture = voxels[int(index)]
        lowest &= picture == picture.min()
    rows = np.asarray(lowest.all(axis=1))
    columns = np.asarray(lowest.all(axis=0))
    whole = _from_the_ends(rows)[:, None] | _from_the_ends(columns)
    return np.asarray(whole | _wide(lowest, spacing_mm))


def _from_the_ends(whole: Mask) -> Mask:
    """Return what is true from either end of a line on (N,)."""
    others = np.flatnonzero(~whole)
    if not others.size:
        return whole
    places = np.arange(len(whole))
    return np.asarray((places < others[0]) | (places > others[-1]))


def _wide(lowest: Mask, spacing_mm: NDArray[np.float64]) -> Mask:
    """Return what of a mask has room for 20 mm and hangs together with the edge."""
    from scipy import ndimage

    high, wide = (max(1, int(_COARSE_MM / side)) for side in spacing_mm.tolist())
    rows, columns = lowest.shape
    padded = np.pad(lowest, ((0, -rows % high), (0, -columns % wide)), mode="edge")
    blocks = padded.reshape(-(-rows // high), high, -(-columns // wide), wide)
    coarse = np.asarray(blocks.all(axis=(1, 3)))
    block_mm = spacing_mm * [high, wide]
    reach = tuple(round(side) for side in (_WIDE_MM / 2 / block_mm).tolist())
    size = (2 * reach[0] + 1) * (2 * reach[1] + 1)
    if coarse.sum() < size:
        return np.zeros_like(lowest)
    inner = np.asarray(_counted(coarse, reach) == size)
    held = _counted(inner, reach) > 0
    pieces, count = ndimage.label(held)
    ends = (pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1])
    is_at_edge = np.zeros(count + 1, np.bool_)
    is_at_edge[np.concatenate(ends)] = True
    is_at_edge[0] = False
    found = is_at_edge[pieces].repeat(high, axis=0).repeat(wide, axis=1)
    return np.asarray(found[:rows, :columns])


def _counted(mask: Mask, reach: tuple[int, ...]) -> NDArray[np.int32]:
    """Return how much of a mask lies within some rows and columns of each pixel."""
    down, along = reach
    sums = np.pad(mask, ((down + 1, down), (along + 1, along))).astype(np.int32)
    sums = sums.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    high, wide = 2 * down + 1, 2 * along + 1
    sums = sums[high:] - sums[:-high]
    return np.asarray(sums[:, wide:] - sums[:, :-wide])


def near_unseen(tissues: TissueMap) -> Mask:
    """Return from where a structure goes on beyond what is seen, shape (R, C)."""
    upright = _unseen_within(tissues, above=_NEAR_ROWS, below=_NEAR_ROWS)
    return upright | _unseen_within(tissues, beside=_NEAR_COLUMNS)


def below_unseen(tissues: TissueMap, steps: int) -> Mask:
    """Return the pixels that have something unseen up to some rows above them."""
    return _unseen_within(tissues, above=steps)


def above_unseen(tissues: TissueMap, steps: int) -> Mask:
    """Return the pixels that have something unseen up to some rows below them."""
    return _unseen_within(tissues, below=steps)


def _unseen_within(
    tissues: TissueMap, *, above: int = 0, below: int = 0, beside: int = 0
) -> Mask:
    """Return the pixels that have something unseen within some rows and columns."""
    unseen = tissues.unseen
    if unseen is None:
        unseen = np.zeros(tissues.grid.shape[1:], np.bool_)
    rows, columns = unseen.shape
    sides = ((above, below), (beside, beside))
    wide = np.pad(unseen, sides, constant_values=True)
    upright = [wide[step : step + rows] for step in range(above + below + 1)]
    near = np.logical_or.reduce(upright)
    flat = [near[:, step : step + columns] for step in range(2 * beside + 1)]
    return np.asarray(np.logical_or.reduce(flat))
