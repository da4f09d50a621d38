"""How the spine is bowed: lordosis, sacral slope, and the tilts seen from the front.

All in the position of the scan, which nothing states here: in one who lies, lordosis is
a little less than in one who stands. The slope is that against the patient's
front-to-back axis.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.structures import VERTEBRAE, Structure
from analysis.lumbar.measure.body_shape import BodyShape
from analysis.lumbar.measure.discs_and_bodies import middle_half
from analysis.lumbar.measure.measured_sites import DiscLevel, Site, WholeSpine
from analysis.lumbar.number_or_reason import Missing, Value

_S1, _L1 = VERTEBRAE[0], VERTEBRAE[5]
_MIN_DISCS = 4
"""Whose tilts make an angle of the spine: fewer show half of a bow."""


def lordosis_deg(spine: WholeSpine) -> Value:
    """Return the angle from the upper end plate of L1 to that of S1."""
    return _opened(_lean_deg(spine, _L1), _lean_deg(spine, _S1))


def segment_lordosis_deg(level: DiscLevel) -> Value:
    """Return the angle between the upper end plates of both bodies of a level.

    Those of the levels add up to the lordosis.
    """
    above, below = level.above.structure, level.below.structure
    return _opened(_lean_deg(level, above), _lean_deg(level, below))


def sacral_slope_deg(spine: WholeSpine) -> Value:
    """Return how the upper end plate of S1 leans to the front.

    Against the patient's front-to-back axis, in the plane of the slices.
    """
    frame = spine.anatomy.tissues.grid.frame

    def slope(shape: BodyShape) -> float:
        row, column = shape.upper.back
        _, back, head = frame.directions[:, 1] * row + frame.directions[:, 2] * column
        return float(np.degrees(np.arctan2(head, back)))

    return _read(spine, _S1, slope)


def _lean_deg(site: Site, vertebra: Structure) -> Value:
    return _read(site, vertebra, lambda shape: shape.upper.lean_deg)


def _read(site: Site, vertebra: Structure, read: Callable[[BodyShape], float]) -> Value:
    shapes = site.shapes.near_middle(vertebra)
    if shapes and not site.anatomy.cut_off_above(vertebra):
        return middle_half([read(one) for one in shapes])
    text = f"the upper end plate of {vertebra.label} is not seen over enough of it"
    return Missing(absence=Absence.GEOMETRY_UNFIT, code="end_plates", text=text)


def _opened(above: Value, below: Value) -> Value:
    if isinstance(above, Missing):
        return above
    return below if isinstance(below, Missing) else above - below


def coronal_tilt_deg(level: DiscLevel) -> Value:
    """Return by how much a disc falls to the right."""
    plane = level.anatomy.levels.planes.get(level.disc.number)
    if plane is None or isinstance(level.slab.height_mm, Missing):
        missing = level.slab.height_mm
        if isinstance(missing, Missing):
            return missing
        text = f"the plane of {level.disc.label} is not known"
        return Missing(absence=Absence.GEOMETRY_UNFIT, code="no_plane", text=text)
    return plane.fall_deg(level.anatomy.tissues.grid.frame)


def coronal_angle_deg(spine: WholeSpine) -> Value:
    """Return the largest angle between two discs, seen from the front."""
    tilts = [level.once(coronal_tilt_deg) for level in spine.levels]
    known = [tilt for tilt in tilts if not isinstance(tilt, Missing)]
    if len(known) < _MIN_DISCS:
        text = (
            f"{len(known)} discs have a tilt, at least {_MIN_DISCS} of "
            f"{len(spine.levels)} are needed"
        )
        return Missing(absence=Absence.GEOMETRY_UNFIT, code="too_few_discs", text=text)
    return max(known) - min(known)
