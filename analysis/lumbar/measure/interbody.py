"""What lies between two bodies: their distance, their angle, their slip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.field import Field
from analysis.lumbar.anatomy.structures import VERTEBRAE
from analysis.lumbar.measure.body_shape import BodyShape
from analysis.lumbar.measure.discs_and_bodies import cut_off, middle_half
from analysis.lumbar.measure.end_plates import DISC_HALF_HEIGHT_MM, STEP_MM, Rays
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.number_or_reason import Missing, Value

_MIDDLE_SHARE = 0.1
"""Of the depth over which the middle height is averaged, as of a disc."""
_MIN_RAYS = 10
"""Over 4 mm; bodies that face each other over less have slipped off."""
_PER_CENT = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interbody:
    """The space between two bodies in one slice.

    Parameters
    ----------
    height_mm
        Mean distance of the end plates between the rims that face each other, along the
        direction that halves their angle.
    anterior_height_mm, posterior_height_mm
        Distance of the front and of the rear rims along that direction.
    middle_height_mm
        Distance of the end plates in the middle.
    wedge_deg
        Angle between the lines on their rims; positive where it opens to the front.
    slip_mm
        By how much the rear edge of the body above lies before that of the body below,
        along the end plate of the lower; negative where it lies behind.
    slip_percent
        The same, of the depth of the lower body's end plate.
    """

    height_mm: float
    anterior_height_mm: float
    middle_height_mm: float
    posterior_height_mm: float
    wedge_deg: float
    slip_mm: float
    slip_percent: float


def interbody_of(
    shapes: tuple[BodyShape, BodyShape], fields: tuple[Field | None, Field | None]
) -> Interbody | None:
    """Measure the space between two bodies; None where they do not face each other.

    Parameters
    ----------
    shapes, fields
        Of the body above and of that below, in one slice.
    """
    first_field, last_field = fields
    if first_field is None or last_field is None:
        return None
    upper, lower = shapes[0].lower, shapes[1].upper
    halving = upper.back + lower.back
    back = halving / np.linalg.norm(halving)
    down = np.array([back[1], -back[0]])
    front_rims = (upper.front_rim_mm, lower.front_rim_mm)
    rear_rims = (upper.rear_rim_mm, lower.rear_rim_mm)
    centre = np.mean([*front_rims, *rear_rims], axis=0)
    rays = Rays.of(centre, down, DISC_HALF_HEIGHT_MM, (first_field, last_field))
    above, below = rays.facing_surfaces((first_field, last_field))
    first = max(float((rim - centre) @ back) for rim in front_rims)
    last = min(float((rim - centre) @ back) for rim in rear_rims)
    along, gap = rays.along_mm, below - above
    faced = np.isfinite(gap) & (along >= first) & (along <= last)
    reach = max(_MIDDLE_SHARE / 2 * (last - first), STEP_MM)
    middle = faced & (np.abs(along - (first + last) / 2) <= reach)
    if faced.sum() < _MIN_RAYS or not middle.any():
        return None
    slip = float((lower.rear_mm - upper.rear_mm) @ lower.back)
    return Interbody(
        height_mm=float(gap[faced].mean()),
        anterior_height_mm=_across(front_rims, down),
        middle_height_mm=float(gap[middle].mean()),
        posterior_height_mm=_across(rear_rims, down),
        wedge_deg=upper.lean_deg - lower.lean_deg,
        slip_mm=slip,
        slip_percent=_PER_CENT * slip / lower.depth_mm,
    )


def _across(
    rims: tuple[NDArray[np.float64], NDArray[np.float64]], down: NDArray[np.float64]
) -> float:
    return float((rims[1] - rims[0]) @ down)


def measure_interbody(level: DiscLevel) -> tuple[Interbody, ...]:
    """Measure the space between the bodies of a level, near its middle."""
    above, below = level.above.structure, level.below.structure
    found = []
    for index in level.anatomy.middle_slices(level.disc):
        upper, lower = (level.shapes.of(body, index) for body in (above, below))
        if upper is None or lower is None:
            continue
        fields = (level.anatomy.field(above, index), level.anatomy.field(below, index))
        one = interbody_of((upper, lower), fields)
        if one is not None:
            found.append(one)
    return tuple(found)


def interbody_value(
    read: Callable[[Interbody], float],
) -> Callable[[DiscLevel], Value]:
    """Return what reads one number of the space between two bodies."""

    def value(level: DiscLevel) -> Value:
        found = level.once(measure_interbody)
        if found:
            cut = _space_cut_off(level)
            return cut or middle_half([read(one) for one in found])
        if isinstance(level.slab.height_mm, Missing):
            return level.slab.height_mm
        text = "the two end plates are not seen over enough of their length"
        return Missing(absence=Absence.GEOMETRY_UNFIT, code="end_plates", text=text)

    return value


def slip_value(read: Callable[[Interbody], float]) -> Callable[[DiscLevel], Value]:
    """Return what reads a slip, which is not told at L5/S1.

    There it is -3.2 mm on average on drawn outlines of eight patients, and found and
    drawn ones differ by 1.8 mm (0.65 mm at the levels above;
    docs/accuracy-measurements.md).
    """
    known = interbody_value(read)
    return lambda level: (
        without_corner_of_s1(level, "a slip") or body_cut_off(level) or known(level)
    )


def _space_cut_off(level: DiscLevel) -> Missing | None:
    """Return why the space is not all there; None where it is."""
    anatomy = level.anatomy
    above, below = level.above.structure, level.below.structure
    for structure, is_cut in (
        (level.disc, anatomy.cut_off(level.disc)),
        (above, anatomy.cut_off_below(above)),
        (below, anatomy.cut_off_above(below)),
    ):
        if is_cut:
            return cut_off(structure.label)
    return None


def body_cut_off(level: DiscLevel) -> Missing | None:
    """Return why the corners of a body are not those of the whole one; else None.

    Of a body that the picture cuts, walls and direction are those of what is left: of
    the demo L1, cut in its middle, the slip above L2 was -1.0 mm for -0.1.
    """
    for body in (level.above.structure, level.below.structure):
        if level.anatomy.cut_off(body):
            return cut_off(body.label)
    return None


def without_corner_of_s1(level: DiscLevel, what: str) -> Missing | None:
    """Return why nothing is told that hangs on the rear corner of S1; else None."""
    if level.below.structure is not VERTEBRAE[0]:
        return None
    text = f"the rear corner of S1 is not known well enough to tell {what} from it"
    return Missing(absence=Absence.NOT_ATTEMPTED, code="sacrum", text=text)


def interbody_in_slices(
    read: Callable[[Interbody], float],
) -> Callable[[DiscLevel], Sequence[float]]:
    """Return what reads that number in every slice."""
    return lambda level: [read(one) for one in level.once(measure_interbody)]
