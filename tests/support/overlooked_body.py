"""A spine of which the networks overlook one vertebral body."""

from __future__ import annotations

from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, TissueMap
from analysis.lumbar.name.name_levels import name_levels
from tests.support.wedge_spine import Layout, WedgeDisc, WedgeSpine, map_of

SPINE = WedgeSpine(discs=(WedgeDisc(height_mm=6.0),) * 7, low_body=2, low_body_mm=10.0)
"""Its L3 is crushed."""
_L3 = 3


def without_l3(layout: Layout) -> TissueMap:
    """Return the tissues of `SPINE`, of whose L3 and disc L2/L3 nothing is outlined."""
    frame, shape = layout.frame()
    tissues = SPINE.tissue_map(frame, shape)
    names = name_levels(tissues).names
    gone = (names == VERTEBRAE[_L3].number) | (names == DISCS[_L3].number)
    planes = tissues.probability.copy()
    for channel in (Tissue.BODY, Tissue.DISC):
        planes[:, channel][gone] = 0
    others = planes[:, 1:].sum(axis=1, dtype=planes.dtype)
    planes[:, Tissue.BACKGROUND] = FULL - others
    return map_of(tissues.grid, planes)
