"""The volume of a disc, where the slices hold all of it."""

from __future__ import annotations

import numpy as np

from analysis.contract.measurement import Absence
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.number_or_reason import Missing, Value

MAX_END_SHARE = 0.3
"""Of the largest section: an outermost slice of the series that still shows more of a
disc has cut it. Slices 4 mm apart then leave out less than 3 % of it."""


def disc_volume_mm3(level: DiscLevel) -> Value:
    """Return the sum of the sections of a disc, each as thick as the slices are apart.

    References
    ----------
    Cavalieri's principle; Belavy DL et al. 2012 for the sections of discs.
    """
    anatomy, disc = level.anatomy, level.disc
    if isinstance(level.slab.height_mm, Missing):
        return level.slab.height_mm
    count = anatomy.levels.names.shape[0]
    areas = np.zeros(count)
    for index in range(count):
        field = anatomy.field(disc, index)
        if field is not None:
            areas[index] = (field.values > 0).sum() * field.pixel_mm**2
    if max(areas[0], areas[-1]) > MAX_END_SHARE * areas.max():
        text = f"the slices do not reach the sides of {disc.label}"
        return Missing(
            absence=Absence.OUTSIDE_FIELD_OF_VIEW, code="cut_at_the_sides", text=text
        )
    return float(areas.sum() * anatomy.slice_mm)
