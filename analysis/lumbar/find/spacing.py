"""What the distances of the discs tell: one that was not seen, and one too many.

Either would shift the name of every level above it. A body that a line cuts in two, by
a fracture or a stripe without signal, has for the network a disc in its middle: two
short steps in a row that together are a usual one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.spine_curve import Column
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.find.discs import find_discs
from analysis.lumbar.fitted_limits import CUT_STEPS

_MISSING_RATIO = 1.6
"""A step along the spine this much longer than its neighbours hides a disc: one disc
level is at most 1.3 times the next (anatomy), two are 2."""
_MISSING_MM = 44.0
"""A shorter step is one tall vertebra."""
_CUT_SHARE = CUT_STEPS.limit
"""Of a usual step: two in a row that are no longer hold one body."""
_CUT_MM = 46.0
"""From disc to disc: one tall vertebra. Two of a small adult are more."""
_S1_SHARE = 0.65
"""Of a usual step: S1 that begins further below the lowest disc has a body between."""
_S1_MM = 5.0
"""From the middle of L5/S1 to S1."""
_NEAR = 2
"""Steps to either side that tell the usual one, which shrinks towards the head."""


def count_discs(column: Column) -> list[DiscPlane]:
    """Find the discs of a column that count as levels, from the head to the feet.

    One that must be between two others and was not seen is `inferred`. What lies in
    the middle of a body is left out; the disc above keeps it as its `cut_below`.
    """
    planes = _without_cuts(find_discs(column))
    return _down_to_s1(column, _with_missing(column, planes)) if planes else []


def _without_cuts(planes: list[DiscPlane]) -> list[DiscPlane]:
    kept = list(planes)
    while (index := _most_crowded(kept)) is not None:
        kept[index - 1] = replace(kept[index - 1], cut_below=kept[index])
        del kept[index]
    return kept


def _most_crowded(planes: list[DiscPlane]) -> int | None:
    """Return the disc whose two steps are the shortest; None where all can be."""
    shares = pair_shares(planes)
    index = min(shares, key=lambda index: shares[index], default=None)
    return None if index is None or shares[index] > _CUT_SHARE else index


def pair_shares(planes: list[DiscPlane]) -> dict[int, float]:
    """Return the two steps beside a disc over a usual one, by the disc's place.

    Only of discs whose two steps may be one body by their length.
    """
    steps = np.diff([plane.along_mm for plane in planes])
    shares: dict[int, float] = {}
    for index in range(1, len(planes) - 1):
        both = float(steps[index - 1] + steps[index])
        usual = _usual(steps, index - 1, index + 1)
        if usual and both <= _CUT_MM:
            shares[index] = both / usual
    return shares


def _usual(steps: NDArray[np.float64], first: int, last: int) -> float:
    """Return the step that is usual beside some; 0 where there is no other.

    The second largest: a disc that was not seen makes one step too long, and a cut
    makes two too short.
    """
    near = [*steps[max(0, first - _NEAR) : first], *steps[last : last + _NEAR]]
    return float(np.sort(near)[-2:][0]) if near else 0.0


def _with_missing(column: Column, planes: list[DiscPlane]) -> list[DiscPlane]:
    """Put planes wherever a step between two discs is long enough for others."""
    steps = np.diff([plane.along_mm for plane in planes])
    if steps.size < 2:  # noqa: PLR2004 - one step has no neighbour to compare with
        return planes
    usual = float(np.median(steps))
    filled = [planes[0]]
    for index, (step, plane) in enumerate(zip(steps, planes[1:], strict=True)):
        if step > max(_MISSING_RATIO * usual, _MISSING_MM):
            here = _usual(steps, index, index + 1)
            count = max(1, round(float(step) / here) - 1)
            filled += _between(column, (filled[-1], plane), count)
        filled.append(plane)
    return filled


def _between(
    column: Column, ends: tuple[DiscPlane, DiscPlane], count: int
) -> list[DiscPlane]:
    above, below = ends
    planes = []
    for share in np.linspace(0.0, 1.0, count + 2)[1:-1].tolist():
        along = above.along_mm + share * (below.along_mm - above.along_mm)
        plane = DiscPlane(
            centre_mm=above.centre_mm + share * (below.centre_mm - above.centre_mm),
            along_mm=along,
            down=column.direction(along),
            side_slope=(above.side_slope + below.side_slope) / 2,
            depth_mm=(above.depth_mm + below.depth_mm) / 2,
            inferred=True,
        )
        planes.append(plane)
    return planes


def _down_to_s1(column: Column, planes: list[DiscPlane]) -> list[DiscPlane]:
    """Put planes below the lowest disc where S1 begins further down than at a disc."""
    s1 = column.tissue == Tissue.S1
    steps = np.diff([plane.along_mm for plane in planes])
    if not s1.any() or not steps.size:
        return planes
    usual = float(np.median(steps))
    gap = float(np.percentile(planes[-1].distance_mm(column)[s1], 5))
    if gap <= _S1_SHARE * usual:
        return planes
    along = planes[-1].along_mm + gap - _S1_MM
    top = s1 & (column.along_mm < along + 2 * _S1_MM)
    lowest = replace(
        planes[-1],
        centre_mm=column.points_mm[top].mean(axis=0) - [0.0, _S1_MM, 0.0],
        along_mm=along,
        down=column.direction(along),
        inferred=True,
        cut_below=None,
    )
    others = max(1, round(gap / usual)) - 1
    return [*planes, *_between(column, (planes[-1], lowest), others), lowest]
