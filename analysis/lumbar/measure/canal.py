"""The mid-sagittal diameter of the spinal canal, level by level."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Absence
from analysis.imaging.line_fit import robust_slope
from analysis.lumbar.anatomy.field import Field
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE, Structure
from analysis.lumbar.measure.discs_and_bodies import SlabMeasurement, middle_half
from analysis.lumbar.measure.end_plates import STEP_MM
from analysis.lumbar.measure.measured_sites import DiscLevel, Vertebra, WholeSpine
from analysis.lumbar.number_or_reason import Missing, Value

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
_BESIDE_SLICES = 0.5
"""So far beside the outermost slice the middle may lie: that slice shows it."""
_MIN_LINES = 8
"""Over 3 mm; fewer say nothing of a direction."""
_NOTHING = 1e-9
_SACRUM, _LOWEST = VERTEBRAE[0], DISCS[0]


def canal_diameter(
    canal: Field, beside_mm: NDArray[np.float64], down: NDArray[np.float64]
) -> float | None:
    """Measure the canal across its own direction, beside a point.

    Parameters
    ----------
    canal
        Its field in one slice.
    beside_mm : ndarray, shape (2,)
        (row, column) of the middle of the disc or body before it.
    down : ndarray, shape (2,)
        Unit vector (row, column) along the spine, a first guess.

    Returns
    -------
    float or None
        Mean depth (mm) over 4 mm of its length; None where it is not all there.
    """
    lead = _lines(canal, beside_mm, down, _DIRECTION_REACH_MM)
    shown = np.flatnonzero((lead > 0).any(axis=1))
    if len(shown) < _MIN_LINES:
        return None
    inside = lead[shown] > 0
    middles = (inside * np.arange(lead.shape[1])).sum(axis=1) / inside.sum(axis=1)
    lean = robust_slope(shown.astype(np.float64), middles)
    along = down + lean * np.array([-down[1], down[0]])
    lead = _lines(canal, beside_mm, along / np.linalg.norm(along), HALF_REACH_MM)
    depths = _inside_mm(lead)
    return float(depths.mean()) if (depths > 0).all() else None


def goes_on_below(
    canal: Field, beside_mm: NDArray[np.float64], down: NDArray[np.float64]
) -> bool:
    """Say whether the canal is seen from 14 to 30 mm below a point.

    Parameters
    ----------
    canal, beside_mm, down
        As `canal_diameter` takes them.
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
) -> NDArray[np.float32]:
    """Read the canal on lines to the back, from `reach_mm` above to as far below."""
    back = np.array([-down[1], down[0]])
    first, last = _BEHIND_MM
    origin = beside_mm - reach_mm * down + first * back
    count = 2 * round(reach_mm / STEP_MM) + 1
    places = (range(count), range(round((last - first) / STEP_MM)))
    return canal.sample(origin, np.stack([down, back], axis=1) * STEP_MM, places)


def _inside_mm(lead: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much of each line lies inside (mm)."""
    inside, size = np.maximum(lead, 0.0), np.abs(lead)
    sizes = np.maximum(size[:, :-1] + size[:, 1:], _NOTHING)
    shares = (inside[:, :-1] + inside[:, 1:]) / sizes
    return np.asarray(shares.sum(axis=1, dtype=np.float64) * STEP_MM)


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
    """Return the depth of the canal at the disc where it is shallowest."""
    depths = [level.once(diameter_at_disc) for level in spine.levels]
    known = [depth for depth in depths if not isinstance(depth, Missing)]
    return min(known) if known else depths[0]


def _measured(anatomy: Anatomy, slab: SlabMeasurement) -> Value:
    structure = slab.structure
    slices = _slices(anatomy, structure)
    if isinstance(slices, Missing):
        return slices
    depths = [
        depth
        for index in slices
        if (depth := _in_slice(anatomy, structure, index)) is not None
    ]
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
    depths = _depths(anatomy, structure, range(count)) if cut else {}
    deepest = middle_of(depths) if cut else None
    if deepest is not None:
        first, last = min(depths), max(depths)
        if not first - _BESIDE_SLICES <= deepest <= last + _BESIDE_SLICES:
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
    return Missing(
        absence=Absence.OUTSIDE_FIELD_OF_VIEW, code="canal_beside_slices", text=text
    )


def _depths(
    anatomy: Anatomy, structure: Structure, indices: Collection[int]
) -> dict[int, float]:
    """Return the depth of the canal behind a structure in each slice that shows both.

    In the order of the slices.
    """
    window = anatomy.levels.windows.get(structure.number)
    if window is None:
        return {}
    down, found = anatomy.down(structure), {}
    corner = [side.start for side in window[1:]]
    for index in range(window[0].start, window[0].stop):
        if index not in indices:
            continue
        shown = anatomy.field(CANAL, index)
        mine = np.argwhere(anatomy.levels.names[index][window[1:]] == structure.number)
        if shown is None or not len(mine):
            continue
        middle = (mine.mean(axis=0) + corner) * anatomy.pixel_mm
        if (depth := canal_diameter(shown, middle, down)) is not None:
            found[index] = depth
    return found


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


def _in_slice(anatomy: Anatomy, structure: Structure, index: int) -> float | None:
    canal, before = anatomy.field(CANAL, index), anatomy.field(structure, index)
    middle = None if before is None else before.centroid_mm()
    if canal is None or middle is None:
        return None
    down = anatomy.down(structure)
    if structure is _LOWEST and not goes_on_below(canal, middle, down):
        return None
    return canal_diameter(canal, middle, down)
