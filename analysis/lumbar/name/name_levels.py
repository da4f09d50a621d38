"""Which disc is which: from a tissue map to named vertebrae and discs.

Discs are found along the centre line of the spine, and bodies are what lies between
their planes: touching bodies, fused discs and loose pieces then do no harm. Levels
are counted upwards from the disc above S1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.named_levels import Levels
from analysis.lumbar.anatomy.picture_edge import above_unseen, below_unseen
from analysis.lumbar.anatomy.spine_curve import Column
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE, Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, TissueMap
from analysis.lumbar.doubt import Doubt, Refused, apart, warning
from analysis.lumbar.find.discs import owners
from analysis.lumbar.find.spacing import count_discs
from analysis.lumbar.find.spine_course import find_column, nearest_on_line
from analysis.lumbar.fitted_limits import CONFIDENCE
from analysis.lumbar.name.l5_s1_disc import MIN_BODY_SHARE, Bones, find_anchor
from analysis.lumbar.name.lumbosacral_shape import MiddleView

MIN_BODIES = 2
"""Whole bodies between two discs: L4 and L5 at the least. Fewer do not tell a spine
from a chance pattern; in smoothed noise the network finds up to one."""
MIN_BODY_MM2 = 250.0
"""Mean area of such a body in sagittal slices: 20 mm x 13 mm, a small child's."""
MIN_CONFIDENCE = CONFIDENCE.limit
"""Mean probability of the named bodies and discs."""
LOW_CONFIDENCE = 0.90
"""Below this the reader is warned."""
_MIN_PIECE_SHARE = 0.1
"""Pieces of a structure that are smaller than this share of its largest are noise."""
_EDGE_MM = 4.0
"""A spine that comes this close to the edge of the picture goes on beyond it: the
network leaves the last 1 to 3 mm out."""
_MIN_CANAL_MM3 = 1500.0
"""One level of a narrow canal: 10 mm x 8 mm x 20 mm."""
_MIN_CANAL_SHARE = 0.05
"""Of the largest piece of canal; one level is about a tenth of what is in view."""
_BEHIND_MM = (10.0, 48.0)
"""Distance of the canal behind the middle of the bodies: half a body and half a canal
are 17 to 32 mm."""


def name_levels(tissues: TissueMap, *, s1_is_given: bool = False) -> Levels:
    """Name the vertebrae and discs of a tissue map.

    Parameters
    ----------
    tissues
        Of the networks, or drawn.
    s1_is_given
        Whether a reader has said which body is S1; else it is weighed whether that may
        be L5 or S2.

    Raises
    ------
    Refused
        If there is no lumbar spine in the map, or its lower end is cut off so that
        nothing tells the levels.
    """
    spacing = tissues.grid.frame.spacing_mm
    column = find_column(tissues.tissue, spacing)
    discs = [] if column is None else count_discs(column)
    if column is None or not discs:
        text = "No column of vertebral bodies and discs was found"
        raise Refused(code="no_lumbar_spine", text=text)
    below_mm = np.array([disc.distance_mm(column) for disc in discs])
    slots = (below_mm > 0).sum(axis=0)
    of_disc = column.tissue == Tissue.DISC
    areas = _areas(column, slots, ~of_disc, len(discs) + 1)
    canal = _canal(tissues, column)
    _refuse_what_is_no_spine(areas[1:-1], canal, spacing)

    reaches_top, reaches_bottom = reaches(column, tissues)
    _, above_edge = _edges(tissues)
    count = len(discs) + 1
    bones = Bones(
        s1=_areas(column, slots, column.tissue == Tissue.S1, count),
        body=_areas(column, slots, column.tissue == Tissue.BODY, count),
        view=MiddleView(column, discs, below_mm),
        above_edge=above_edge,
        reaches_bottom=reaches_bottom,
        s1_is_given=s1_is_given,
    )
    anchor = find_anchor(discs, bones)
    lowest = anchor.lowest

    names = np.zeros(tissues.tissue.shape, np.uint8)
    planes: dict[int, DiscPlane] = {}
    owner = owners(column, below_mm)
    for position, structure in enumerate(DISCS):
        index = lowest - position
        if index < 0 or discs[index].inferred:
            continue
        if _put(names, column.indices[owner == index], structure.number):
            planes[structure.number] = discs[index]
    cut: set[int] = set()
    floor = MIN_BODY_SHARE * float(np.median(areas[areas > 0]))
    for position, structure in enumerate(VERTEBRAE):
        slot = lowest + 1 - position
        if slot >= 0 and areas[slot] >= floor:
            _put(names, column.indices[~of_disc & (slots == slot)], structure.number)
            if slot > 0 and discs[slot - 1].cut_below is not None:
                cut.add(structure.number)
    doubts = (*anchor.warnings(), *_doubts(tissues, names))
    names[canal & (names == 0)] = CANAL.number
    return Levels(
        names=names,
        planes=planes,
        column=column,
        reaches_top=reaches_top,
        reaches_bottom=reaches_bottom,
        certainty=anchor.certainty(),
        cut=frozenset(cut),
        doubts=doubts,
        alternatives=anchor.alternatives(),
    )


def reaches(column: Column, tissues: TissueMap) -> tuple[bool, bool]:
    """Tell whether a spine runs out of the upper and of the lower edge."""
    _, rows, columns = column.indices.T
    top, bottom = (bool(near[rows, columns].any()) for near in _edges(tissues))
    return top, bottom


def _edges(tissues: TissueMap) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the pixels close to the upper and to the lower end of what is seen."""
    steps = round(_EDGE_MM / float(tissues.grid.frame.spacing_mm[1]))
    return below_unseen(tissues, steps), above_unseen(tissues, steps - 1)


def _refuse_what_is_no_spine(
    areas: NDArray[np.float64], canal: NDArray[np.bool_], spacing: NDArray[np.float64]
) -> None:
    """Check the bodies between two discs, by area (pixels), and the canal."""
    whole = int((areas * float(spacing[1] * spacing[2]) >= MIN_BODY_MM2).sum())
    if whole < MIN_BODIES:
        text = (
            f"{whole} whole vertebral bodies between discs were found, at least "
            f"{MIN_BODIES} are needed"
        )
        raise Refused(code="no_lumbar_spine", text=text)
    canal_mm3 = float(canal.sum() * spacing.prod())
    if canal_mm3 < _MIN_CANAL_MM3:
        text = (
            f"{canal_mm3 / 1000:.1f} ml of spinal canal behind the discs, at "
            f"least {_MIN_CANAL_MM3 / 1000} ml are needed"
        )
        raise Refused(code="no_lumbar_spine", text=text)


def _doubts(tissues: TissueMap, names: NDArray[np.uint8]) -> tuple[Doubt, ...]:
    """Say how sure the network is of the named structures.

    Raises
    ------
    Refused
        If it is no surer than in a picture without a spine.
    """
    confidence = mean_confidence(tissues, names)
    limit = MIN_CONFIDENCE if confidence < MIN_CONFIDENCE else LOW_CONFIDENCE
    shown = apart(confidence, limit, 2)
    text = f"The network is {shown} sure of what it found"
    if confidence < MIN_CONFIDENCE:
        text = f"{text}, at least {MIN_CONFIDENCE} is needed"
        raise Refused(code="no_lumbar_spine", text=text)
    if confidence < LOW_CONFIDENCE:
        text = f"{text}, usual is {LOW_CONFIDENCE} or more: check the outlines"
        return (warning("low_confidence", text),)
    return ()


def mean_confidence(tissues: TissueMap, names: NDArray[np.uint8]) -> float:
    """Return the mean probability of what is named; 0 where nothing is."""
    window = window_of(names > 0)
    if window is None:
        return 0.0
    slices, rows, columns = window
    best = tissues.probability[slices, :, rows, columns].max(axis=1)
    return float(best[names[window] > 0].mean()) / FULL


def _areas(
    column: Column, slots: NDArray[np.int64], member: NDArray[np.bool_], count: int
) -> NDArray[np.float64]:
    """Return for each slot the mean area (pixels) of its members where they occur."""
    slices = column.indices[member, 0]
    depth = int(slices.max(initial=0)) + 1
    counts = np.bincount(slots[member] * depth + slices, minlength=count * depth)
    sizes = counts.reshape(count, depth)
    return np.asarray(sizes.sum(axis=1) / np.maximum(1, (sizes > 0).sum(axis=1)))


def _put(names: NDArray[np.uint8], indices: NDArray[np.int64], number: int) -> bool:
    """Write one structure without its loose pieces; say whether it has any voxel."""
    from scipy import ndimage

    if len(indices) == 0:
        return False
    places = np.ascontiguousarray(indices.T)
    low, high = places.min(axis=1), places.max(axis=1) + 1
    mask = np.zeros(high - low, bool)
    mask[tuple(places - low[:, None])] = True
    pieces, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    is_kept = sizes >= _MIN_PIECE_SHARE * sizes.max()
    is_kept[0] = False
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    names[window][is_kept[pieces]] = number
    return True


def _canal(tissues: TissueMap, column: Column) -> NDArray[np.bool_]:
    """Return the canal: every large piece of it that runs behind the spine.

    A severe stenosis cuts the canal in two, so that size alone does not tell a piece
    of it from noise; its place does.
    """
    from scipy import ndimage

    canal = tissues.tissue == Tissue.CANAL
    window = window_of(canal)
    if window is None:
        return np.asarray(canal)
    pieces, count = ndimage.label(canal[window], np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = np.zeros(count + 1, np.bool_)
    floor = _MIN_CANAL_SHARE * sizes.max()
    inside = np.argwhere(pieces)
    owner = pieces[tuple(inside.T)]
    indices = inside + [side.start for side in window]
    spacing = tissues.grid.frame.spacing_mm
    nearest, near_mm = nearest_on_line(column.line_mm, indices, spacing)
    is_behind = indices[:, 2] * spacing[2] > column.line_mm[nearest, 2]
    behind_mm = np.where(is_behind, near_mm, -near_mm)
    low, high = _BEHIND_MM
    for piece in np.flatnonzero(sizes >= floor):
        kept[piece] = low < float(np.median(behind_mm[owner == piece])) < high
    canal[window] = kept[pieces]
    return np.asarray(canal)
