"""Named structures on the voxels of the series."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.resample import resample
from analysis.imaging.sagittal_grid import SagittalGrid
from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.tissue_map import GROUPS, TissueMap

T = TypeVar("T", np.uint8, np.float32)

_GROUP_OF_CHANNEL = np.array([0, 1, 2, 1, 3, 0], np.uint8)
_MARGIN_PX = 3


def label_source(
    tissues: TissueMap, names: NDArray[np.uint8], *, threads: int = 1
) -> NDArray[np.uint8]:
    """Carry named structures back to the voxels of the series.

    Probabilities are interpolated; a voxel belongs to the tissue that is more probable
    than not, as on the outlines that are measured. Its name is that of the structure at
    or beside it.

    Parameters
    ----------
    tissues
        Probabilities on the sagittal grid.
    names : ndarray, shape (K, R, C), uint8
        Named structures on the sagittal grid; 0 where there is none.
    threads
        That share the slices; resampling lets other threads run meanwhile.

    Returns
    -------
    ndarray, shape of the series, uint8
    """
    grid = tissues.grid
    labels = np.zeros(grid.source_shape, np.uint8)

    def carry_back(index: int) -> None:
        sides = window_of(names[index] > 0, _MARGIN_PX)
        if sides is None:
            return
        window = (sides[0], sides[1])
        there = _source_window(grid, window)
        if there is not None:
            carry = _Carrier.between(grid, window, there)
            named = _named(carry, tissues, names, index)
            labels[grid.source_slice(index), *there] = named

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(carry_back, range(grid.shape[0])))
    return labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Carrier:
    """Samples a window of a plane of the grid on a window of a source slice."""

    window: tuple[slice, slice]
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    shape: tuple[int, int]

    @classmethod
    def between(
        cls,
        grid: SagittalGrid,
        window: tuple[slice, slice],
        there: tuple[slice, slice],
    ) -> _Carrier:
        matrix, offset = grid.plane_map(to_source=False)
        offset = offset + matrix @ [side.start for side in there]
        rows, columns = (int(side.stop - side.start) for side in there)
        return cls(
            window=window,
            matrix=matrix,
            offset=offset - [side.start for side in window],
            shape=(rows, columns),
        )

    def sample(self, plane: NDArray[T], order: Literal[0, 1]) -> NDArray[T]:
        return resample(plane, self.matrix, self.offset, self.shape, order=order)


def _named(
    carry: _Carrier, tissues: TissueMap, names: NDArray[np.uint8], index: int
) -> NDArray[np.uint8]:
    """Return the named structures in a window of a source slice."""
    from scipy import ndimage

    own = _GROUP_OF_CHANNEL[tissues.tissue[index][carry.window]]
    here = names[index][carry.window]
    named = np.zeros(carry.shape, np.uint8)
    for number, group in enumerate(GROUPS, start=1):
        mine = np.where(own == number, here, 0)
        grown = ndimage.maximum_filter(mine, size=3)
        grown[mine > 0] = mine[mine > 0]
        chosen = carry.sample(tissues.margin(index, group, carry.window), 1) > 0
        named[chosen] = carry.sample(grown, 0)[chosen]
    return named


def _source_window(
    grid: SagittalGrid, window: tuple[slice, slice]
) -> tuple[slice, slice] | None:
    """Return rows and columns of the series that a window of the grid covers."""
    (top, bottom), (left, right) = ((side.start, side.stop - 1) for side in window)
    corners = np.array(
        [[top, left], [bottom, right], [top, right], [bottom, left]], np.float64
    )
    there = grid.to_source_indices(corners)
    first = np.maximum(np.floor(there.min(axis=0)), 0).astype(int)
    limit = np.array(grid.source_shape[1:])
    last = np.minimum(np.ceil(there.max(axis=0)) + 1, limit).astype(int)
    if (last <= first).any():
        return None
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))
