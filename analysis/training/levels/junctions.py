"""The disc above what the networks call S1, as they see it, and what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.contract.errors import UnsuitableInput
from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.structures import DISCS, Tissue, level_of
from analysis.lumbar.anatomy.tissue_map import TissueMap
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.spacing import count_discs
from analysis.lumbar.find.spine_course import find_column
from analysis.lumbar.name.lumbosacral_shape import Junction, MiddleView
from analysis.training.levels.labelled import LabelledSeries
from analysis.training.levels.looks import Looks

_NEAR_MM = 12.0
"""A labelled disc and one that was found are the same within half a vertebra."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One series: what the junction looks like, and what it is.

    Parameters
    ----------
    name
        Of the series; none has two of the same patient.
    junction
        Its signs.
    is_sacral
        Whether the disc lies between S1 and S2.
    above
        The signs of L4/L5, where both discs are what they seem and it is seen.
    """

    name: str
    junction: Junction
    is_sacral: bool
    above: Junction | None


def examples(series: Iterable[LabelledSeries], looks: Looks) -> Iterator[Example]:
    """Yield each series whose junction is seen and labelled."""
    for one in series:
        try:
            found = example(one, looks.at(one))
        except (UnsuitableInput, Refused):
            continue
        if found is not None:
            yield found


def example(series: LabelledSeries, tissues: TissueMap) -> Example | None:
    """Look at the junction as the networks see it; None where a sign is missing."""
    column = find_column(tissues.tissue, tissues.grid.frame.spacing_mm)
    discs = [] if column is None else count_discs(column)
    if column is None or not discs:
        return None
    below_mm = np.array([disc.distance_mm(column) for disc in discs])
    slots = (below_mm > 0).sum(axis=0)
    s1 = np.bincount(slots[column.tissue == Tissue.S1], minlength=len(discs) + 1)
    lowest = int(s1.argmax()) - 1
    true = _labelled_lowest(series, discs)
    if lowest < 1 or true not in (lowest - 1, lowest):
        return None
    view = MiddleView(column, discs, below_mm)
    junction = view.junction(lowest)
    if junction is None:
        return None
    return Example(
        name=series.name,
        junction=junction,
        is_sacral=true < lowest,
        above=view.junction(lowest - 1) if true == lowest else None,
    )


def _labelled_lowest(series: LabelledSeries, discs: list[DiscPlane]) -> int:
    """Return which disc the readers call L5/S1, by all that they named; -1: unknown."""
    votes: Counter[int] = Counter()
    places = series.disc_places()
    for above, level in enumerate(level_of(disc) for disc in DISCS):
        if level not in places:
            continue
        drawn_mm = series.in_mm(places[level])
        away_mm = [np.linalg.norm(disc.centre_mm[1:] - drawn_mm) for disc in discs]
        nearest = int(np.argmin(away_mm))
        if away_mm[nearest] < _NEAR_MM:
            votes[nearest + above] += 1
    return votes.most_common(1)[0][0] if votes else -1
