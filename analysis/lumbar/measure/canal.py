"""The mid-sagittal diameter of the spinal canal, level by level."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Absence
from analysis.imaging.line_fit import robust_slope
from analysis.lumbar.anatomy.field import OUTSIDE, Field
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE, Structure
from analysis.lumbar.measure.discs_and_bodies import (
    SlabMeasurement,
    cut_off,
    middle_half,
)
from analysis.lumbar.measure.end_plates import STEP_MM
from analysis.lumbar.measure.measured_sites import DiscLevel, Vertebra, WholeSpine
from analysis.lumbar.number_or_reason import Missing, Value

BESIDE_SLICES = "canal_beside_slices"
"""Code of a diameter that cannot be had because the middle lies beside the slices."""
HALF_WIDTH_MM = 3.0
"""Slices within this distance of the middle: further out the canal is shallower. Of 2,
3 and 6 mm the depths at discs of 33 patients differ from drawn ones by 0.66, 0.64 and
0.57 mm on average; those of 6 mm are 0.4 mm lower, and mid-sagittal is what is meant.
"""
HALF_REACH_MM = 2.0
"""Above and below the middle of a disc or a body: the mean of 4 mm of canal."""
_DIRECTION_REACH_MM = 14.0
"""Of the canal, above and below, whose middle tells its direction: 28 mm, less than a
level, so that the bow of the spine does no harm."""
_GOES_ON_MM = (14.0, 30.0)
"""Below L5/S1, where the canal has to be seen: else it ends there, and the taper of its
last piece would be read, as of 018 (public_test), 3.8 mm where no canal is drawn. A
narrow place parts it by less."""
_BEHIND_MM = (5.0, 60.0)
"""From the middle of a disc or body to the back, where the canal is looked for."""
_ROUND_SHARE = 0.6
"""Of the greatest depth: slices with less show the flat sides, which are no part of an
ellipse. Of 0, 0.3 to 0.7 the one by which the fewest middles are found beside the
picture, 4 of 230 on train."""
_MIN_SLICES = 4
"""Fewer depths do not tell where a parabola has its vertex."""
_REACH_BESIDE_SLICES = 0.5
"""So far beside the outermost slice the middle may lie: that slice shows it."""
_MIN_LINES = 8
"""Over 3 mm; fewer say nothing of a direction."""
_NOTHING = 1e-9
_SACRUM, _LOWEST = VERTEBRAE[0], DISCS[0]


def canal_diameters(
    canals: Sequence[Field],
    beside_mm: Sequence[NDArray[np.float64]],
    down: NDArray[np.float64],
) -> list[float | None]:
    """Measure the canal across its own direction, beside a point, in several slices.

    Parameters
    ----------
    canals
        Its field in each slice.
    beside_mm : ndarrays, shape (2,)
        (row, column) of the middle of the disc or body before it, in each slice.
    down : ndarray, shape (2,)
        Unit vector (row, column) along the spine, a first guess.

    Returns
    -------
    list of float or None
        Of each slice the mean depth (mm) over 4 mm of its length; None where it is not
        all there.
    """
    return [
        _diameter(canal, beside, down)
        for canal, beside in zip(canals, beside_mm, strict=True)
    ]


def _diameter(
    canal: Field, beside_mm: NDArray[np.float64], down: NDArray[np.float64]
) -> float | None:
    along = _direction(canal, beside_mm, down)
    if along is None:
        return None
    lead = np.full((_count(HALF_REACH_MM), len(_points())), OUTSIDE, np.float32)
    points = _reached(canal, beside_mm, along, HALF_REACH_MM)
    if points:
        met = slice(points.start, points.stop)
        lead[:, met] = _lines(canal, beside_mm, along, HALF_REACH_MM, points)
    depths = _inside_mm(lead)
    return float(depths.mean()) if (depths > 0).all() else None


def _direction(
    canal: Field, beside_mm: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return along which direction its middle runs; None where it is not seen."""
    points = _reached(canal, beside_mm, down, _DIRECTION_REACH_MM)
    if not points:
        return None
    inside = _lines(canal, beside_mm, down, _DIRECTION_REACH_MM, points) > 0
    count = inside.sum(axis=1)
    shown = np.flatnonzero(count)
    if len(shown) < _MIN_LINES:
        return None
    middles = (inside * np.array(points)).sum(axis=1)[shown] / count[shown]
    slope = robust_slope(shown.astype(np.float64), middles)
    along = down + slope * np.array([-down[1], down[0]])
    return np.asarray(along / np.linalg.norm(along))


def _reached(
    canal: Field,
    beside_mm: NDArray[np.float64],
    down: NDArray[np.float64],
    reach_mm: float,
) -> range:
    """Return the points on the lines at which the canal may be met.

    Where its field is positive, a pixel not more than one row and one column away is.
    """
    near_mm = 2 * canal.pixel_mm
    ends = canal.edges_mm() - beside_mm
    above_mm = ends @ down
    is_near = above_mm.min(axis=0) <= reach_mm + near_mm
    is_near &= above_mm.max(axis=0) >= -reach_mm - near_mm
    behind_mm = ends[:, is_near] @ [-down[1], down[0]]
    if not behind_mm.size:
        return range(0)
    low, high = float(behind_mm.min()) - near_mm, float(behind_mm.max()) + near_mm
    first, last = ((end - _BEHIND_MM[0]) / STEP_MM for end in (low, high))
    points = _points()
    return range(max(points.start, int(first)), min(points.stop, int(last) + 2))


def goes_on_below(
    canal: Field, beside_mm: NDArray[np.float64], down: NDArray[np.float64]
) -> bool:
    """Say whether the canal is seen from 14 to 30 mm below a point.

    Parameters
    ----------
    canal, beside_mm, down
        The field of the canal in one slice; the others as `canal_diameters` takes them.
    """
    inside_mm = (np.argwhere(canal.values > 0) + canal.corner_px) * canal.pixel_mm
    below_mm = (inside_mm - beside_mm) @ down
    first, last = _GOES_ON_MM
    return bool(((below_mm > first) & (below_mm <= last)).any())


def _lines(
    canal: Field,
    beside_mm: NDArray[np.float64],
    down: NDArray[np.float64],
    reach_mm: float,
    points: range,
) -> NDArray[np.float32]:
    """Read a canal on lines to the back, from `reach_mm` above to as far below.

    Returns
    -------
    ndarray, shape (lines, points), float32
    """
    back = np.array([-down[1], down[0]])
    origin = beside_mm - reach_mm * down + _BEHIND_MM[0] * back
    steps = np.stack([down, back], axis=1) * STEP_MM
    return canal.sample(origin, steps, (range(_count(reach_mm)), points))


def _count(reach_mm: float) -> int:
    """Return how many lines there are, from `reach_mm` above to as far below."""
    return 2 * round(reach_mm / STEP_MM) + 1


def _points() -> range:
    first, last = _BEHIND_MM
    return range(round((last - first) / STEP_MM))


def _inside_mm(lead: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much of each line lies inside (mm)."""
    inside, size = np.maximum(lead, 0.0), np.abs(lead)
    sizes = np.maximum(size[..., :-1] + size[..., 1:], _NOTHING)
    shares = (inside[..., :-1] + inside[..., 1:]) / sizes
    return np.asarray(shares.sum(axis=-1, dtype=np.float64) * STEP_MM)


def diameter_at_disc(level: DiscLevel) -> Value:
    """Return the depth of the canal behind a disc."""
    return _measured(level.anatomy, level.slab)


def diameter_at_body(body: Vertebra) -> Value:
    """Return the depth of the canal behind the middle of a body."""
    if body.vertebra is _SACRUM:
        text = "the canal is not measured in the sacrum"
        return Missing(absence=Absence.NOT_ATTEMPTED, code="sacrum", text=text)
    return _measured(body.anatomy, body.slab)


def least_diameter(spine: WholeSpine) -> Value:
    """Return the depth of the canal at the disc where it is shallowest.

    Where it has none behind a disc above L5/S1, at which it may end, that may be the
    narrowest place: a canal is lost from sight where it is closed.
    """
    depths = {level: level.once(diameter_at_disc) for level in spine.levels}
    known = [depth for depth in depths.values() if not isinstance(depth, Missing)]
    if not known:
        return depths[spine.levels[0]]
    unknown = [
        level.level
        for level, depth in depths.items()
        if isinstance(depth, Missing) and level.disc is not _LOWEST
    ]
    if not unknown:
        return min(known)
    text = (
        f"the canal has no diameter at {', '.join(unknown)}, where it may be narrowest"
    )
    return Missing(absence=Absence.STRUCTURE_MISSING, code="canal_in_part", text=text)


def _measured(anatomy: Anatomy, slab: SlabMeasurement) -> Value:
    structure = slab.structure
    slices = _slices(anatomy, structure)
    if isinstance(slices, Missing):
        return slices
    if _is_cut_off(anatomy, structure, slices):
        return cut_off(f"the canal behind {structure.label}")
    depths = _in_slices(anatomy, structure, slices)
    if depths:
        return middle_half(depths)
    if isinstance(slab.height_mm, Missing):
        return slab.height_mm
    text = f"the canal behind {structure.label} was not found, or ends there"
    return Missing(absence=Absence.STRUCTURE_MISSING, code="canal_missing", text=text)


def _slices(anatomy: Anatomy, structure: Structure) -> list[int] | Missing:
    """Return those within 3 mm of the middle of the canal, at least the nearest.

    Where the canal leaves the slices at a side, as in a scoliosis, the middle of what
    is seen is none of the canal: its shape tells where that lies, and there is no
    diameter where it lies beside the slices.
    """
    middle, slices = anatomy.middle_slice(structure), anatomy.middle_slices(structure)
    if middle is None:
        return []
    count = len(anatomy.levels.names)
    cut = _depths(anatomy, structure, {0, count - 1})
    # Where no outermost slice shows it, the canal is seen from side to side.
    inner = _depths(anatomy, structure, range(1, count - 1)) if cut else {}
    depths = dict(sorted({**cut, **inner}.items()))
    deepest = middle_of(depths) if cut else None
    if deepest is not None:
        first, last = min(depths), max(depths)
        if not first - _REACH_BESIDE_SLICES <= deepest <= last + _REACH_BESIDE_SLICES:
            return _beside(structure)
        middle = min(max(deepest, first), last)
        slices = sorted(depths, key=lambda index: abs(index - middle))
    elif len(cut) == 1 and max(cut.values()) == max(depths.values()):
        return _beside(structure)
    near = [
        index
        for index in slices
        if abs(index - middle) * anatomy.slice_mm <= HALF_WIDTH_MM
    ]
    return near or slices[:1]


def _beside(structure: Structure) -> Missing:
    text = f"the middle of the canal behind {structure.label} lies beside the slices"
    return Missing(absence=Absence.OUTSIDE_FIELD_OF_VIEW, code=BESIDE_SLICES, text=text)


def _depths(
    anatomy: Anatomy, structure: Structure, indices: Collection[int]
) -> dict[int, float]:
    """Return the depth of the canal behind a structure in each slice that shows both.

    In the order of the slices.
    """
    window = anatomy.levels.windows.get(structure.number)
    if window is None:
        return {}
    shown: dict[int, tuple[Field, NDArray[np.float64]]] = {}
    corner = [side.start for side in window[1:]]
    for index in range(window[0].start, window[0].stop):
        if index not in indices:
            continue
        canal = anatomy.field(CANAL, index)
        mine = np.argwhere(anatomy.levels.names[index][window[1:]] == structure.number)
        if canal is not None and len(mine):
            shown[index] = canal, (mine.mean(axis=0) + corner) * anatomy.pixel_mm
    return _known(shown, anatomy.down(structure))


def _known(
    shown: Mapping[int, tuple[Field, NDArray[np.float64]]], down: NDArray[np.float64]
) -> dict[int, float]:
    """Measure the canal in slices, beside a point in each, as far as it is there."""
    canals = [canal for canal, _ in shown.values()]
    depths = canal_diameters(canals, [beside for _, beside in shown.values()], down)
    found = zip(shown, depths, strict=True)
    return {index: depth for index, depth in found if depth is not None}


def middle_of(depths: Mapping[int, float]) -> float | None:
    """Return between which slices a canal is deepest.

    Across an ellipse the squares of the depths lie on a parabola, whose vertex is its
    middle.

    Parameters
    ----------
    depths
        In each slice that shows the canal, by its place.

    Returns
    -------
    float or None
        None where too few slices show it, or it is no deeper between them than at the
        sides.
    """
    most = max(depths.values())
    inner = {i: d for i, d in depths.items() if d >= _ROUND_SHARE * most}
    if len(inner) < _MIN_SLICES:
        return None
    squares = np.square(list(inner.values()))
    bend, slope, _ = np.polyfit(list(inner), squares, 2).tolist()
    return -slope / (2 * bend) if bend < 0 else None


def _is_cut_off(anatomy: Anatomy, structure: Structure, slices: Sequence[int]) -> bool:
    """Say whether the canal goes on beyond the picture where it is measured."""
    held = anatomy.levels.windows.get(CANAL.number)
    if held is None or not slices:
        return False
    _, rows, columns = held
    near = anatomy.near_unseen()[rows, columns]
    if not near.any():
        return False
    down = anatomy.down(structure)
    for index in slices:
        before = anatomy.field(structure, index)
        middle = None if before is None else before.centroid_mm()
        shown = anatomy.levels.names[index, rows, columns] == CANAL.number
        places = np.argwhere(shown & near)
        if middle is None or not len(places):
            continue
        corner = np.array([rows.start, columns.start])
        places_mm = (places + corner) * anatomy.pixel_mm
        if (np.abs((places_mm - middle) @ down) <= HALF_REACH_MM).any():
            return True
    return False


def _in_slices(
    anatomy: Anatomy, structure: Structure, slices: Sequence[int]
) -> list[float]:
    """Return the depths of the canal behind a structure in slices, where it is."""
    shown: dict[int, tuple[Field, NDArray[np.float64]]] = {}
    for index in slices:
        canal, before = anatomy.field(CANAL, index), anatomy.field(structure, index)
        middle = None if before is None else before.centroid_mm()
        if canal is None or middle is None:
            continue
        if structure is _LOWEST and not goes_on_below(
            canal, middle, anatomy.down(structure)
        ):
            continue
        shown[index] = canal, middle
    return list(_known(shown, anatomy.down(structure)).values()) if shown else []
