"""A second look at each disc: closer, and turned as the disc lies.

On whole slices a pixel is 0.8 mm, and discs lean as the spine does. A small second
network sees one disc at a time, on pixels of 0.5 mm, always with its front on the
left; the mean of both networks is nearer to a reader than either.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.resample import resample
from analysis.imaging.sagittal_grid import SagittalGrid, sample_pictures, turned_grid
from analysis.lumbar.anatomy.spine_curve import Column
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, TissueMap
from analysis.lumbar.find.discs import owners
from analysis.lumbar.find.networks import DISC_PIXEL_MM, Segmenter
from analysis.lumbar.find.spacing import count_discs
from analysis.lumbar.find.spine_course import find_column

_CROP_PX = (64, 112)
"""32 mm x 56 mm: a tall disc and a deep one, with the rims of both bodies."""
RIM_PX = 2
"""Of a crop that is left out: there the network sees no other side."""
WEIGHT = 0.5
"""Of the second look against the first."""
_MIDDLE_SHARE = 0.5
"""Of a disc's largest area that a slice must show to tell where its middle is; as the
network was trained."""
_UNSEEN = -1.0


def look_again(
    tissues: TissueMap, volume: Volume, segmenter: Segmenter, *, threads: int = 1
) -> TissueMap:
    """Outline every disc of a tissue map anew.

    Parameters
    ----------
    tissues
        From the first look, not yet smoothed across slices.
    volume
        The series.
    segmenter
        The second network.
    threads
        That share what is done before and after it.

    Returns
    -------
    TissueMap
        Where a disc was seen again, its probability is the mean of both looks, and
        those of the other tissues share the rest as they did. Its pixels are those
        that either the first look or the mean takes for disc.
    """
    grid = tissues.grid
    total = np.zeros(tissues.tissue.shape, np.float32)
    looks = np.zeros(tissues.tissue.shape, np.uint8)
    for there, part, shares in _looked_at(
        discs_found(tissues.grid, tissues.tissue), volume, segmenter, threads
    ):
        first = first_slice(there, grid) + part.start
        _add(shares, there, grid, (total[first:], looks[first:]))
    probability, tissue = tissues.probability.copy(), tissues.tissue.copy()
    for index in np.flatnonzero(looks.any(axis=(1, 2))).tolist():
        seen = np.flatnonzero(looks[index])
        planes = probability[index].reshape(len(Tissue), -1)
        kinds = tissue[index].reshape(-1)
        sums, count = (one[index].reshape(-1).take(seen) for one in (total, looks))
        mixed = _mixed(planes.take(seen, axis=1), sums / count)
        planes[:, seen] = mixed
        # A disc that is hard to see keeps its place in the count of the levels.
        was_disc = kinds.take(seen) == Tissue.DISC
        kinds[seen] = np.where(was_disc, np.uint8(Tissue.DISC), mixed.argmax(axis=0))
    return replace(tissues, probability=probability, tissue=tissue)


Place = tuple[SagittalGrid, slice]
"""A grid over a disc, and in which of its slices the disc is shown."""


def _looked_at(
    discs: Iterator[Place], volume: Volume, segmenter: Segmenter, threads: int
) -> Iterator[tuple[SagittalGrid, slice, NDArray[np.float32]]]:
    """Yield every disc with its probability (K', R', C') in the slices that show it.

    With several threads the network looks at one while the next is sampled.
    """

    def look(pictures: NDArray[np.float32], part: slice) -> NDArray[np.float32]:
        return segmenter.probabilities(pictures, part)[:, 1]

    if threads == 1:
        for there, part in discs:
            yield there, part, look(sample_pictures(there, volume.voxels), part)
        return
    with ThreadPoolExecutor(1) as ahead:
        waiting: deque[tuple[Place, Future[NDArray[np.float32]]]] = deque()
        for there, part in discs:
            pictures = sample_pictures(there, volume.voxels)
            waiting.append(((there, part), ahead.submit(look, pictures, part)))
            if len(waiting) > 1:
                place, shares = waiting.popleft()
                yield *place, shares.result()
        for place, shares in waiting:
            yield *place, shares.result()


def discs_found(grid: SagittalGrid, tissue: NDArray[np.uint8]) -> Iterator[Place]:
    """Lay a grid over every disc that was found; say in which slices it is shown.

    The grid has their neighbours too, where there are any.
    """
    spacing = grid.frame.spacing_mm
    column = find_column(tissue, spacing)
    planes = [] if column is None else count_discs(column)
    if column is None or not planes:
        return
    column = _discs_of(column)
    owner = owners(column, np.array([plane.distance_mm(column) for plane in planes]))
    for number, plane in enumerate(planes):
        mine = owner == number
        if plane.inferred or not mine.any():
            continue
        slices = column.indices[mine, 0]
        areas = np.bincount(slices)
        large = areas[slices] >= _MIDDLE_SHARE * areas.max()
        shown = range(int(slices.min()), int(slices.max()) + 1)
        seen = range(max(0, shown.start - 1), min(len(tissue), shown.stop + 1))
        there = turned_grid(
            grid,
            column.points_mm[mine, 1:][large].mean(axis=0),
            math.radians(plane.tilt_deg),
            seen,
            _CROP_PX,
            DISC_PIXEL_MM,
        )
        yield there, slice(shown.start - seen.start, shown.stop - seen.start)


def _discs_of(column: Column) -> Column:
    """Return the voxels of a column that are disc."""
    kept = np.flatnonzero(column.tissue == Tissue.DISC)
    return replace(
        column,
        indices=column.indices.take(kept, axis=0),
        tissue=column.tissue.take(kept),
        points_mm=column.points_mm.take(kept, axis=0),
        along_mm=column.along_mm.take(kept),
        beside_mm=column.beside_mm.take(kept, axis=0),
    )


def _add(
    shares: NDArray[np.float32],
    there: SagittalGrid,
    grid: SagittalGrid,
    sums: tuple[NDArray[np.float32], NDArray[np.uint8]],
) -> None:
    """Carry what a crop (K', R', C') shows to a grid.

    Parameters
    ----------
    sums : two ndarrays, shape (K' or more, R, C)
        Of the probabilities in each pixel, and of the looks at it.
    """
    inner = shares[:, RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
    covered = covered_by(there, grid)
    if covered is None:
        return
    window, matrix, offset = covered
    shape = tuple(side.stop - side.start for side in window)
    for plane, total, looks in zip(inner, *sums, strict=False):
        carried = resample(
            plane, matrix, offset, (shape[0], shape[1]), order=1, outside=_UNSEEN
        )
        seen = carried >= 0
        total[window][seen] += carried[seen]
        looks[window] += seen


def first_slice(there: SagittalGrid, grid: SagittalGrid) -> int:
    """Return in which slice of a grid the first one of a crop lies."""
    origin = there.frame.to_mm([0.0, 0.0, 0.0])
    return round(float(grid.frame.to_index(origin)[0]))


def covered_by(
    there: SagittalGrid, grid: SagittalGrid
) -> tuple[tuple[slice, slice], NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the rows and columns of a grid that a crop covers; None where none.

    With them matrix (2, 2) and offset (2,) from there to the crop without its rim.
    """
    matrix, offset = there.map_to(grid)
    far = np.array(there.shape[1:]) - 1
    corners = np.array([[0, 0], [far[0], 0], [0, far[1]], far]) @ matrix.T + offset
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int).tolist()
    high = np.minimum(np.ceil(corners.max(axis=0)) + 1, grid.shape[1:]).astype(int)
    rows, columns = (slice(a, b) for a, b in zip(low, high.tolist(), strict=True))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    matrix, offset = grid.map_to(there)
    return (
        (rows, columns),
        matrix,
        offset + matrix @ [rows.start, columns.start] - RIM_PX,
    )


def _mixed(planes: NDArray[np.uint8], again: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Mix the second look (N,) into the probabilities (6, N) of the first."""
    first = planes.astype(np.float32) / FULL
    disc = (1 - WEIGHT) * first[Tissue.DISC] + WEIGHT * again
    others = 1 - first[Tissue.DISC]
    share = np.divide(
        1 - disc, others, out=np.zeros_like(disc), where=others > 1 / (2 * FULL)
    )
    mixed = first * share
    mixed[Tissue.DISC] = disc
    # Where the first look was sure of a disc, nothing else has a share to scale.
    mixed[Tissue.BACKGROUND] += np.where(share == 0, 1 - disc, 0)
    return np.asarray(np.rint(mixed * FULL), np.uint8)
