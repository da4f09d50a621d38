"""Height and length of discs and bodies, from the slices that show their middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.contract.measurement import Absence, Outline
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Structure
from analysis.lumbar.doubt import apart
from analysis.lumbar.fitted_limits import BODY_SECTION
from analysis.lumbar.measure.body_shape import BodyShapes
from analysis.lumbar.measure.slab import Slab, measure_slab
from analysis.lumbar.number_or_reason import Missing, Value

DISC_HEIGHT_MM = (0.8, 25.0)
DISC_LENGTH_MM = (15.0, 60.0)
BODY_HEIGHT_MM = (5.0, 50.0)
BODY_LENGTH_MM = (15.0, 60.0)
"""Outside these limits it is not a lumbar disc or body that was measured: adult discs
are 2 to 18 mm high and 25 to 45 mm long, bodies 20 to 35 mm high, crushed ones a
quarter of that; children less."""

NOT_FOUND = "not_found"
"""Code of a structure that lies in the picture and was not recognised."""
INCOMPLETE, IMPLAUSIBLE = "incomplete", "implausible"
"""Codes of a structure that is seen and whose measures are not to be believed."""
MIN_FILLED = 0.75
"""A disc that was outlined over less of the space between its bodies was not found as
a whole: its height would be that of a part."""
MIN_SECTION = BODY_SECTION.limit
"""Of the largest section of a body: over the 12 mm that are measured a whole one hardly
changes, be it crushed or not."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlabMeasurement:
    """One structure in the middle of its level.

    Parameters
    ----------
    height_mm, anterior_height_mm, middle_height_mm, posterior_height_mm, length_mm
        As `Slab` defines them; mean of the middle half of the slices near the middle.
    area_mm2
        The same.
    slices
        What the mean was taken of.
    blur_mm
        By how much the height changes when the outline is drawn at another level of the
        network's probability; None where there is no slice.
    outline
        In the slice nearest to the middle, on the grid of the series; None where the
        structure was not found.
    """

    structure: Structure
    height_mm: Value
    anterior_height_mm: Value
    middle_height_mm: Value
    posterior_height_mm: Value
    length_mm: Value
    area_mm2: Value
    slices: tuple[Slab, ...] = ()
    blur_mm: float | None = None
    outline: Outline | None = None

    @property
    def blur_share(self) -> float:
        """By how much the height changes with the outline's level, of the height."""
        shares = [one.blur_mm / one.height_mm for one in self.slices if one.height_mm]
        return float(np.median(shares)) if shares else 0.0


def measure_disc(anatomy: Anatomy, disc: Structure) -> SlabMeasurement:
    """Measure a disc; its direction comes from the bodies that face it."""
    below = DISCS.index(disc)
    facing = (VERTEBRAE[below + 1], VERTEBRAE[below])
    limits = (DISC_HEIGHT_MM, DISC_LENGTH_MM)
    return _measure(anatomy, disc, facing, limits)


def measure_body(anatomy: Anatomy, vertebra: Structure) -> SlabMeasurement:
    """Measure a vertebral body between its own end plates."""
    return _measure(anatomy, vertebra, None, (BODY_HEIGHT_MM, BODY_LENGTH_MM))


def _measure(
    anatomy: Anatomy,
    structure: Structure,
    facing: tuple[Structure, Structure] | None,
    limits: tuple[tuple[float, float], tuple[float, float]],
) -> SlabMeasurement:
    slices = anatomy.middle_slices(structure)
    found = _slabs(anatomy, structure, facing, slices)
    missing = (
        _missing(anatomy, structure, len(found))
        or _incomplete(found)
        or _leaving(structure, found)
    )

    def middle(read: Callable[[Slab], float]) -> Value:
        return missing or middle_half([read(slab) for slab in found])

    height, length = (
        value if isinstance(value, Missing) else _within(value, limit, name)
        for value, limit, name in (
            (middle(lambda slab: slab.height_mm), limits[0], "height"),
            (middle(lambda slab: slab.length_mm), limits[1], "length"),
        )
    )
    if isinstance(height, Missing):
        missing = height
    return SlabMeasurement(
        structure=structure,
        height_mm=height,
        anterior_height_mm=middle(lambda slab: slab.anterior_height_mm),
        middle_height_mm=middle(lambda slab: slab.middle_height_mm),
        posterior_height_mm=middle(lambda slab: slab.posterior_height_mm),
        length_mm=length,
        area_mm2=middle(lambda slab: slab.area_mm2),
        slices=tuple(found),
        blur_mm=middle_half([slab.blur_mm for slab in found]) if found else None,
        outline=_outline(anatomy, structure, slices),
    )


def body_shapes(anatomy: Anatomy, slabs: Sequence[SlabMeasurement]) -> BodyShapes:
    """Return the shapes of bodies, for which the slabs tell the direction.

    Not that of S1, whose lower surface is no end plate.
    """
    downs = {
        slab.structure.number: np.array(slab.slices[0].down)
        for slab in slabs
        if slab.slices and slab.structure is not VERTEBRAE[0]
    }
    return BodyShapes(anatomy=anatomy, downs=downs)


def middle_half(values: Sequence[float]) -> float:
    """Return the mean without the highest and the lowest quarter.

    The median of up to four values: one slice that was read wrongly does no harm.
    """
    ordered = np.sort(values)
    left_out = (len(ordered) + 1) // 4
    return float(ordered[left_out : len(ordered) - left_out].mean())


def _slabs(
    anatomy: Anatomy,
    structure: Structure,
    facing: tuple[Structure, Structure] | None,
    slices: list[int],
) -> list[Slab]:
    if not slices:
        return []
    down = anatomy.down(structure)
    found: list[Slab] = []
    for index in slices:
        field = anatomy.field(structure, index)
        if field is None:
            continue
        bodies = [anatomy.field(body, index) for body in facing or ()]
        seen = [body for body in bodies if body is not None]
        pair = (seen[0], seen[1]) if len(seen) == 2 else None  # noqa: PLR2004 - above, below
        slab = measure_slab(field, down, pair)
        if slab is None:
            continue
        if not found:  # the middle one: the others lie nearly as it does
            down = np.array(slab.down)
        found.append(slab)
    return found


def _missing(anatomy: Anatomy, structure: Structure, found: int) -> Missing | None:
    if anatomy.cut_off(structure):
        return cut_off(structure.label)
    if found:
        return None
    if anatomy.levels.reaches_top and not anatomy.is_between_found(structure):
        text = f"{structure.label} lies above the upper edge of the picture"
        return Missing(
            absence=Absence.OUTSIDE_FIELD_OF_VIEW, code="outside_view", text=text
        )
    text = f"{structure.label} was not found"
    return Missing(absence=Absence.STRUCTURE_MISSING, code=NOT_FOUND, text=text)


def cut_off(what: str) -> Missing:
    """Say that something goes on beyond the picture."""
    text = f"{what} is cut off by the edge of the picture"
    return Missing(absence=Absence.OUTSIDE_FIELD_OF_VIEW, code="cut_off", text=text)


def _incomplete(found: list[Slab]) -> Missing | None:
    filled = float(np.median([slab.filled for slab in found]))
    if filled >= MIN_FILLED:
        return None
    shown = apart(filled, MIN_FILLED, 0, times=100.0)
    text = (
        f"outlined over {shown}% of the space between its bodies, "
        f"at least {MIN_FILLED:.0%} are needed"
    )
    return Missing(absence=Absence.GEOMETRY_UNFIT, code=INCOMPLETE, text=text)


def _leaving(structure: Structure, found: list[Slab]) -> Missing | None:
    """Say that a body leaves the slices at a side: what is left of it has no height.

    Not of S1, whose height is no height of a vertebra.
    """
    if structure not in VERTEBRAE[1:]:
        return None
    areas = [slab.area_mm2 for slab in found]
    share = min(areas) / max(areas)
    if share >= MIN_SECTION:
        return None
    shown = apart(share, MIN_SECTION, 0, times=100.0)
    text = (
        f"its smallest section that is measured has {shown}% of the area of the "
        f"largest, at least {MIN_SECTION:.0%} are needed: it leaves the slices at a "
        "side"
    )
    return Missing(absence=Absence.GEOMETRY_UNFIT, code=INCOMPLETE, text=text)


def _within(value: float, limits: tuple[float, float], name: str) -> Value:
    low, high = limits
    if low <= value <= high:
        return value
    shown = apart(value, low if value < low else high, 1)
    text = f"{name} of {shown} mm, plausible are {low} to {high:.0f} mm"
    return Missing(absence=Absence.GEOMETRY_UNFIT, code=IMPLAUSIBLE, text=text)


def _outline(
    anatomy: Anatomy, structure: Structure, slices: list[int]
) -> Outline | None:
    for index in slices:
        line = anatomy.outline_px(structure, index)
        if line is not None:
            grid = anatomy.tissues.grid
            return Outline(
                slice_index=grid.source_slice(index),
                points=grid.to_source_indices(line),
            )
    return None
