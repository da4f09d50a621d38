"""A reader's outlines as structures that can be measured.

A structure that the reader left as it was keeps the network's outline, which lies
between the voxels. One that was edited is outlined along the edge of its voxels.
Levels are what the reader calls them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.contract.outlines import Outlines
from analysis.contract.volume import Volume
from analysis.imaging.resample import resample
from analysis.imaging.sagittal_grid import SagittalGrid, sagittal_grid, sample_picture
from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.named_levels import Levels
from analysis.lumbar.anatomy.picture_edge import unseen_of
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.spine_curve import Column
from analysis.lumbar.anatomy.structures import (
    CANAL,
    DISCS,
    STRUCTURES,
    VERTEBRAE,
    Tissue,
)
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM, TissueMap
from analysis.lumbar.correct.outlined_spine import READER, OutlinedSpine
from analysis.lumbar.correct.saved_tissues import Former, recall
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.discs import plane_of
from analysis.lumbar.find.spine_course import find_column
from analysis.lumbar.name.name_levels import name_levels, reaches
from analysis.lumbar.name.voxel_labels import label_source

SEGMENT_LABELS = tuple(structure.label for structure in STRUCTURES)
"""What a segment must be called to be measured."""
_NUMBERS = {structure.label: structure.number for structure in STRUCTURES}
_REACH_PX = 3
"""Beside an edited structure, where its outline is drawn anew."""
_S1 = VERTEBRAE[0]
_BODIES = frozenset(one.number for one in VERTEBRAE)


def take(volume: Volume, outlines: Outlines) -> OutlinedSpine:
    """Build the anatomy that a reader has outlined.

    Raises
    ------
    Refused
        `outlines_unchanged` if they are those that were measured last, and
        `outlines_empty` if they hold no disc.
    """
    labels = _numbered(outlines)
    editor = outlines.editor or READER
    former = recall(outlines.kept, volume)
    if former is not None and outlines.elsewhere:
        others = [_NUMBERS[name] for name in outlines.elsewhere if name in _NUMBERS]
        stays = (labels == 0) & np.isin(former.measured, others)
        labels[stays] = former.measured[stays]
    if former is not None and (labels == former.measured).all():
        text = "The outlines are those that were measured last: nothing was edited"
        raise Refused(code="outlines_unchanged", text=text)
    present = set(np.unique(labels).tolist())
    if not present & {disc.number for disc in DISCS}:
        text = "The outlines hold no voxel of any disc"
        raise Refused(code="outlines_empty", text=text)
    found = None if former is None else _named(former)
    if former is None or found is None:
        return OutlinedSpine(
            anatomy=_drawn(volume, labels),
            labels=labels,
            former=None,
            edited=frozenset(present - {0}),
            editor=editor,
        )
    edited = frozenset(
        structure.number
        for structure in STRUCTURES
        if ((labels == structure.number) != (former.found == structure.number)).any()
    )
    anatomy = _merged(found, labels, former.found, edited)
    return OutlinedSpine(
        anatomy=anatomy, labels=labels, former=former, edited=edited, editor=editor
    )


def _numbered(outlines: Outlines) -> NDArray[np.uint8]:
    """Return the labels with our numbers.

    Raises
    ------
    Refused
        `unknown_segments` if a name is none of ours.
    """
    unknown = [name for name in outlines.names if name not in _NUMBERS]
    if unknown:
        text = f"{', '.join(unknown)}: not among {', '.join(SEGMENT_LABELS)}"
        raise Refused(code="unknown_segments", text=text)
    table = np.zeros(256, np.uint8)
    for label, name in enumerate(outlines.names, start=1):
        table[label] = _NUMBERS[name]
    return table[outlines.labels]


def _named(former: Former) -> Anatomy | None:
    """Name again what the network found; None where this version refuses it.

    Or where it gives other names than were told: the reader's outlines have those.
    """
    try:
        levels = name_levels(former.tissues)
    except Refused:
        return None
    again = label_source(former.tissues, levels.names)
    for disc in DISCS:
        numbers = np.bincount(again[former.found == disc.number], minlength=1)
        numbers[0] = 0
        if numbers.any() and numbers.argmax() != disc.number:
            return None
    return Anatomy(tissues=former.tissues, levels=levels)


def _drawn(volume: Volume, labels: NDArray[np.uint8]) -> Anatomy:
    """Return an anatomy of which nothing is known but the voxels of the outlines."""
    count, rows, columns = volume.voxels.shape
    grid = sagittal_grid(volume.frame, (count, rows, columns), PIXEL_MM)
    names = np.stack([_names(grid, labels, index) for index in range(count)])
    shares = [_planes(grid, labels, index) for index in range(count)]
    probability = np.stack(shares)
    tissues = TissueMap(
        grid=grid,
        probability=probability,
        tissue=_tissue(names),
        unseen=unseen_of(grid, volume),
    )
    column = _column(tissues)
    top, bottom = reaches(column, tissues)
    planes = _disc_planes(column, names, {disc.number for disc in DISCS})
    levels = Levels(
        names=names,
        planes=planes,
        column=column,
        reaches_top=top,
        reaches_bottom=bottom,
        certainty=dict.fromkeys(planes, 1.0),
    )
    return Anatomy(tissues=tissues, levels=levels)


def _merged(
    found: Anatomy,
    labels: NDArray[np.uint8],
    before: NDArray[np.uint8],
    edited: frozenset[int],
) -> Anatomy:
    """Put edited structures in the place of what was found; leave the others alone."""
    grid = found.tissues.grid
    names = found.levels.names.copy()
    probability = found.tissues.probability.copy()
    for index in range(grid.shape[0]):
        source = grid.source_slice(index)
        changed = _changed(labels[source], before[source], edited)
        if changed:
            slot = (names[index], probability[index])
            _redraw(slot, grid, labels, index, changed)
    tissues = replace(found.tissues, probability=probability, tissue=_tissue(names))
    discs = edited & {disc.number for disc in DISCS}
    kept = {n: plane for n, plane in found.levels.planes.items() if n not in discs}
    planes = kept | _disc_planes(_column(tissues), names, set(discs))
    levels = replace(
        found.levels,
        names=names,
        planes=planes,
        certainty=dict.fromkeys(planes, 1.0),
        cut=found.levels.cut - edited,
        doubts=(),
        alternatives=(),
    )
    return Anatomy(tissues=tissues, levels=levels)


def _changed(
    now: NDArray[np.uint8], before: NDArray[np.uint8], edited: frozenset[int]
) -> list[int]:
    return [n for n in sorted(edited) if ((now == n) != (before == n)).any()]


def _redraw(
    slot: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    grid: SagittalGrid,
    labels: NDArray[np.uint8],
    index: int,
    changed: list[int],
) -> None:
    """Draw the changed structures of one slice anew, in its names and planes."""
    from scipy import ndimage

    names, planes = slot
    drawn_names, drawn = _names(grid, labels, index), _planes(grid, labels, index)
    square = np.ones((3, 3), np.bool_)
    untouched = (names > 0) & ~np.isin(names, changed)
    for number in changed:
        old, new = names == number, drawn_names == number
        near = ndimage.binary_dilation(old | new, square, iterations=_REACH_PX)
        channels = list(_channels(number))
        same = [n for n in _group(number) if n not in changed]
        beside = ndimage.binary_dilation(np.isin(names, same), square)
        chosen = near & ~beside
        for channel in channels:
            planes[channel][chosen] = drawn[channel][chosen]
    names[np.isin(names, changed)] = 0
    fresh = np.isin(drawn_names, changed) & ~untouched
    names[fresh] = drawn_names[fresh]


def _group(number: int) -> frozenset[int]:
    """Return the structures that share the tissue of one."""
    if number in _BODIES:
        return _BODIES
    if number == CANAL.number:
        return frozenset({number})
    return frozenset(disc.number for disc in DISCS)


def _channels(number: int) -> tuple[Tissue, ...]:
    if number in _BODIES:
        return (Tissue.BODY, Tissue.S1)
    return (Tissue.CANAL,) if number == CANAL.number else (Tissue.DISC,)


def _own_tissue() -> NDArray[np.uint8]:
    """Return the tissue of each structure, by its number."""
    table = np.zeros(256, np.uint8)
    for structure in STRUCTURES:
        table[structure.number] = _channels(structure.number)[0]
    table[_S1.number] = Tissue.S1
    return table


def _tissue(names: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _own_tissue()[names]


def _names(
    grid: SagittalGrid, labels: NDArray[np.uint8], index: int
) -> NDArray[np.uint8]:
    """Return the structures in one slice of the grid, by the nearest voxel."""
    matrix, offset = grid.plane_map(to_source=True)
    return resample(
        labels[grid.source_slice(index)], matrix, offset, grid.shape[1:], order=0
    )


def _planes(
    grid: SagittalGrid, labels: NDArray[np.uint8], index: int
) -> NDArray[np.uint8]:
    """Return the share of each tissue in the pixels of one slice, in 255ths (6, R, C).

    A voxel is all of its tissue; the share of a pixel follows from those around it,
    so that the outline, where it is half, runs along the voxels' edges.
    """
    tissue = _tissue(labels[grid.source_slice(index)])
    planes = np.zeros((len(Tissue), *grid.shape[1:]), np.float32)
    for kind in np.unique(tissue).tolist():
        if kind != Tissue.BACKGROUND:
            member = (tissue == kind).astype(np.float32)
            voxels = np.broadcast_to(member, labels.shape)
            planes[kind] = sample_picture(grid, voxels, index)
    planes[Tissue.BACKGROUND] = np.maximum(1 - planes.sum(axis=0), 0)
    return np.rint(planes * FULL).astype(np.uint8)


def _column(tissues: TissueMap) -> Column:
    column = find_column(tissues.tissue, tissues.grid.frame.spacing_mm)
    if column is None:  # `take` has found a disc; a coarse grid may have lost it
        text = "The outlines hold no voxel of any disc"
        raise Refused(code="outlines_empty", text=text)
    return column


def _disc_planes(
    column: Column, names: NDArray[np.uint8], numbers: set[int]
) -> dict[int, DiscPlane]:
    named = names[tuple(column.indices.T)]
    found = {n: plane_of(column, named == n) for n in sorted(numbers)}
    return {n: plane for n, plane in found.items() if plane is not None}
