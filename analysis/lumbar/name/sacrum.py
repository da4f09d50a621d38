"""Which disc is L5/S1, and how sure the count is at each level.

All levels are counted upwards from the disc above S1, so a doubt about S1 is one about
every level, and a disc that was not seen one about those above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.levels import Reading
from analysis.lumbar.anatomy.structures import (
    DISCS,
    MEASURED_LEVELS,
    VERTEBRAE,
    level_of,
)
from analysis.lumbar.doubt import Doubt, Refused, warning

MIN_BODY_SHARE = 0.25
"""Of the middle size of all bodies; less is a rim or a loose piece."""
LUMBAR_DISCS = 5
_MIN_DISCS_ALONE = 4
"""Without S1 the discs alone must make a spine."""
_MIN_S1_SHARE = 0.5
"""Of the bone below the lowest disc that must be called S1 for a certain count."""
_STEEP_DEG = 24.0
"""Tilt of the disc above the lowest one. L4/L5 leaned 12 deg on average in 42 series
with sound numbering and 20 deg or more in 7; L5/S1 leans 34 deg."""
_SHORT_SHARE = 0.90
"""Depth of the lowest disc against the three above it; L5/S1 had 1.0 on average. Steep
above and short itself were, of 25 SPIDER patients, only 107, 152 and 241: three of the
five in whom the readers of S1 doubted the numbering."""


_DOWN, _UP = -1, 1
_LADDER = ("S1/S2", *(level_of(disc) for disc in DISCS))
"""From the sacrum upwards; a reading that is off by one moves along it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountDoubt:
    """One thing that speaks against the count.

    Parameters
    ----------
    text
        For the reader.
    factor
        What is left of the certainty (0..1); by judgement, so that any doubt stays
        below every sound series.
    shifts
        Where the levels are if it is right: each is the next one down (-1), or up (1).
    first
        Position of the first level concerned, counted from L5/S1.
    """

    text: str
    factor: float
    shifts: tuple[int, ...]
    first: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where the count begins.

    Parameters
    ----------
    lowest
        Index of L5/S1 among the discs from head to feet.
    doubts
        What speaks against it.
    """

    lowest: int
    doubts: tuple[CountDoubt, ...]

    def certainty(self) -> Mapping[int, float]:
        """Return by number of the disc how sure its name is, 0 to 1.

        An order, not a frequency: 1 means that nothing spoke against the count.
        """
        count = min(len(DISCS), self.lowest + 1)
        return {
            DISCS[position].number: float(
                np.prod([d.factor for d in self.doubts if d.first <= position])
            )
            for position in range(count)
        }

    def warnings(self) -> tuple[Doubt, ...]:
        """Return what the reader must know of the numbering."""
        if not self.doubts:
            return ()
        reasons = ". ".join(doubt.text for doubt in self.doubts)
        text = f"{reasons}. Levels may be off by one: check the count"
        others = "; or ".join(str(reading) for reading in self.alternatives())
        if others:
            text = f"{text}. Counted otherwise, {others}"
        return (warning("level_uncertain", text),)

    def alternatives(self) -> tuple[Reading, ...]:
        """Return what the levels would be called if a doubt is right."""
        reasons: dict[tuple[int, int], list[str]] = {}
        for doubt in self.doubts:
            if doubt.first >= LUMBAR_DISCS:
                continue
            for shift in doubt.shifts:
                reasons.setdefault((shift, doubt.first), []).append(doubt.text)
        return tuple(
            Reading(reason=". ".join(texts), names=_names(shift, first))
            for (shift, first), texts in reasons.items()
        )


def _names(shift: int, first: int) -> Mapping[str, str]:
    places = range(len(MEASURED_LEVELS) - 1, first - 1, -1)
    return {level_of(DISCS[p]): _LADDER[p + 1 + shift] for p in places}


def find_anchor(
    discs: list[DiscPlane],
    s1: NDArray[np.float64],
    body: NDArray[np.float64],
    *,
    reaches_bottom: bool,
) -> Anchor:
    """Find the disc above S1.

    Parameters
    ----------
    discs
        From head to feet.
    s1, body : ndarray, shape (len(discs) + 1,)
        Mean area of what is called S1, and body, above the first disc, between two, and
        below the last.
    reaches_bottom
        Whether the spine runs out of the lower edge.

    Raises
    ------
    Refused
        If nothing tells the levels.
    """
    usual = float(np.median(body[body > 0])) if body.any() else 0.0
    slot = int(s1.argmax())
    doubts: list[CountDoubt] = []
    if s1[slot] < MIN_BODY_SHARE * usual or slot == 0:
        if reaches_bottom:
            text = "The spine runs out of the lower edge and no sacrum is in view"
            raise Refused(code="sacrum_not_in_view", text=text)
        if len(discs) < _MIN_DISCS_ALONE:
            text = f"Neither S1 nor {_MIN_DISCS_ALONE} discs in line were recognised"
            raise Refused(code="no_lumbar_spine", text=text)
        slot = len(discs)
        text = "S1 was not recognised; the lowest disc is taken for L5/S1"
        doubts.append(CountDoubt(text=text, factor=0.4, shifts=(_DOWN, _UP)))
    elif s1[slot] < _MIN_S1_SHARE * (s1[slot] + body[slot]):
        text = "The body below the lowest disc looks like S1 in part only"
        doubts.append(CountDoubt(text=text, factor=0.5, shifts=(_UP,)))
    elif slot < len(discs):
        text = "A disc below S1 was found: S1 may be lumbarised"
        doubts.append(CountDoubt(text=text, factor=0.6, shifts=(_UP,)))
    doubts += _doubts_of_discs(discs[:slot])
    return Anchor(lowest=slot - 1, doubts=tuple(doubts))


def _doubts_of_discs(discs: list[DiscPlane]) -> list[CountDoubt]:
    doubts = []
    lumbar = discs[-LUMBAR_DISCS:]
    missing = [len(lumbar) - 1 - i for i, disc in enumerate(lumbar) if disc.inferred]
    if missing:
        # Those above it: a disc that was not seen has no name to doubt.
        above_it = min(missing) + 1
        while above_it in missing:
            above_it += 1
        alone = above_it == min(missing) + 1
        shifts = (_DOWN,) if alone else (_DOWN, _UP)
        text = "A disc was not seen where one must be, and was counted in"
        if not alone:
            text = (
                "Discs in a row were not seen where they must be, and were counted in"
            )
        doubts.append(CountDoubt(text=text, factor=0.6, shifts=shifts, first=above_it))
    doubts += [
        CountDoubt(
            text=f"What looks like a disc cuts {VERTEBRAE[place].label} in two (a "
            "fracture, a stripe without signal) and was not counted",
            factor=0.6,
            shifts=(_UP,),
            first=place,
        )
        for place, disc in enumerate(reversed(discs[-LUMBAR_DISCS - 1 :]))
        if disc.cut_below is not None
    ]
    *above, lowest = discs
    if lowest.is_rudimentary_below(above):
        text = "The lowest disc is short: it may lie between S1 and S2"
        doubts.append(CountDoubt(text=text, factor=0.5, shifts=(_DOWN,)))
    elif above and _looks_sacral(lowest, above):
        text = (
            "The lowest disc is short and the one above it leans as L5/S1 does: it may "
            "lie between S1 and S2"
        )
        doubts.append(CountDoubt(text=text, factor=0.6, shifts=(_DOWN,)))
    return doubts


def _looks_sacral(lowest: DiscPlane, above: list[DiscPlane]) -> bool:
    return (
        not above[-1].inferred
        and above[-1].tilt_deg >= _STEEP_DEG
        and lowest.is_rudimentary_below(above, _SHORT_SHARE)
    )
