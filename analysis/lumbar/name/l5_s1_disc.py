"""Which disc is L5/S1, and how sure the count is at each level.

All levels are counted upwards from the disc above S1, so a doubt about S1 is one about
every level, and a disc that was not seen one about those above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.named_levels import Levels, Reading
from analysis.lumbar.anatomy.structures import (
    DISCS,
    MEASURED_LEVELS,
    VERTEBRAE,
    level_of,
)
from analysis.lumbar.doubt import Doubt, Refused, apart, warning
from analysis.lumbar.name.lumbosacral_shape import Junction, MiddleView
from analysis.lumbar.name.transitional_anatomy import shipped_models

MIN_BODY_SHARE = 0.25
"""Of the middle size of all bodies; less is a rim or a loose piece."""
LUMBAR_DISCS = 5
_MIN_S1_SHARE = 0.9
"""Of the bone below the lowest disc that must be called S1 for a certain count. Of 208
series and slices of train one has less (vb2_19, 0.74)."""
MIN_S1_HEIGHT_SHARE = 0.6
"""Of the height of the body above: S1 that shows less may be what is left of another
body. The least of the 288 series and middle slices with labels is 0.78."""
MIN_S1_AREA_SHARE, _SMALL_S1_SHARE = 0.5, 0.6
"""The same of its area in the middle slices: below the first it is refused, below the
second doubted. The least of 208 of train is 0.58; in pictures that fade within L4
(`python -m tests.accuracy.level_names fades train`) what is left of L5 has 0.17 to
0.56."""
_EVEN = 0.5


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
    probability
        That it is right (0 to 1); None where nobody knows.
    """

    text: str
    factor: float
    shifts: tuple[int, ...]
    first: int = 0
    probability: float | None = None


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
        readings: dict[tuple[int, int], list[CountDoubt]] = {}
        for doubt in self.doubts:
            if doubt.first >= LUMBAR_DISCS:
                continue
            for shift in doubt.shifts:
                readings.setdefault((shift, doubt.first), []).append(doubt)
        return tuple(
            Reading(
                reason=". ".join(doubt.text for doubt in doubts),
                names=_names(shift, first),
                probability=_known_probability(doubts),
            )
            for (shift, first), doubts in readings.items()
        )


def with_doubt(levels: Levels, doubt: CountDoubt) -> Levels:
    """Add to named levels what was found to speak against their count afterwards."""
    anchor = Anchor(lowest=len(DISCS) - 1, doubts=(doubt,))
    left = anchor.certainty()
    return replace(
        levels,
        certainty={n: sure * left[n] for n, sure in levels.certainty.items()},
        doubts=(*levels.doubts, *anchor.warnings()),
        alternatives=(*levels.alternatives, *anchor.alternatives()),
    )


def _known_probability(doubts: list[CountDoubt]) -> float | None:
    """Return the probability of a reading that one doubt alone speaks for."""
    return doubts[0].probability if len(doubts) == 1 else None


def _names(shift: int, first: int) -> Mapping[str, str]:
    places = range(len(MEASURED_LEVELS) - 1, first - 1, -1)
    return {level_of(DISCS[p]): _LADDER[p + 1 + shift] for p in places}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bones:
    """What lies above the first disc, between two, and below the last.

    Parameters
    ----------
    s1, body : ndarray, shape (discs + 1,)
        Mean area of what is called S1, and body.
    view
        The middle of the spine.
    above_edge : ndarray, shape (R, C), bool
        Pixels so close to the lower end of what is seen that S1 there goes on beyond.
    reaches_bottom
        Whether the spine runs out of the lower edge.
    s1_is_given
        Whether a reader has said which body is S1.
    """

    s1: NDArray[np.float64]
    body: NDArray[np.float64]
    view: MiddleView
    above_edge: NDArray[np.bool_]
    reaches_bottom: bool
    s1_is_given: bool = False


def find_anchor(discs: list[DiscPlane], bones: Bones) -> Anchor:
    """Find the disc above S1.

    Parameters
    ----------
    discs
        From head to feet.
    bones
        What lies between them.

    Raises
    ------
    Refused
        If nothing tells the levels.
    """
    s1, body = bones.s1, bones.body
    usual = float(np.median(body[body > 0])) if body.any() else 0.0
    slot = int(s1.argmax())
    if s1[slot] < MIN_BODY_SHARE * usual or slot == 0:
        raise _without_s1(len(discs), reaches_bottom=bones.reaches_bottom)
    if bones.view.meets(slot, bones.above_edge):
        why = "touches the lower edge of the picture"
        raise _part_of_s1(why)
    lowest, doubts = slot - 1, list[CountDoubt]()
    if not bones.s1_is_given:
        lowest, doubts = _weighed(bones.view, lowest)
    if lowest + 1 == slot:
        doubts += _doubts_of_s1(bones.view, slot)
    if s1[slot] < _MIN_S1_SHARE * (s1[slot] + body[slot]):
        text = "The body below the lowest disc looks like S1 in part only"
        doubts.append(CountDoubt(text=text, factor=0.5, shifts=(_UP,)))
    elif slot < len(discs):
        text = "A disc below S1 was found: S1 may be lumbarised"
        doubts.append(CountDoubt(text=text, factor=0.6, shifts=(_UP,)))
    doubts += _doubts_of_discs(discs[: lowest + 1])
    return Anchor(lowest=lowest, doubts=tuple(doubts))


def _without_s1(count: int, *, reaches_bottom: bool) -> Refused:
    if reaches_bottom:
        text = "The spine runs out of the lower edge and no sacrum is in view"
        return Refused(code="sacrum_not_in_view", text=text)
    text = (
        f"S1 was not recognised below the {count} discs that were found (no signal "
        "there, or something hides it): nothing tells which level is which"
    )
    return Refused(code="levels_not_identifiable", text=text)


def _doubts_of_s1(view: MiddleView, slot: int) -> list[CountDoubt]:
    """Doubt an S1 that may be what fading, or an edge, left of another body.

    Raises
    ------
    Refused
        If it is far too small.
    """
    heights_mm = [view.body_height_mm(index) for index in range(1, slot)]
    areas_mm2 = [view.area_mm2(index) for index in range(1, slot)]
    height = view.body_height_mm(slot) / max(_last_seen(heights_mm), 1.0)
    area = view.area_mm2(slot) / max(_last_seen(areas_mm2), 1.0)
    if height < MIN_S1_HEIGHT_SHARE:
        shown = apart(height, MIN_S1_HEIGHT_SHARE, 2)
        why = f"has {shown} of the height of the body above it"
        raise _part_of_s1(why)
    if area < MIN_S1_AREA_SHARE:
        why = (
            f"has {apart(area, MIN_S1_AREA_SHARE, 2)} of the area of the body above it"
        )
        raise _part_of_s1(why)
    if area < _SMALL_S1_SHARE:
        text = (
            f"What looks like S1 is small ({area:.2f} of the area of the body above "
            "it): it may be a part of L5"
        )
        return [CountDoubt(text=text, factor=0.5, shifts=(_UP,))]
    return []


def _part_of_s1(why: str) -> Refused:
    text = f"What looks like S1 {why}: it may be what is left of another vertebra"
    return Refused(code="sacrum_not_in_view", text=text)


def _last_seen(sizes: list[float]) -> float:
    """Return the last size that is not 0; 0 where there is none."""
    return next((size for size in reversed(sizes) if size), 0.0)


def _weighed(view: MiddleView, lowest: int) -> tuple[int, list[CountDoubt]]:
    """Weigh which disc is L5/S1; return it, and what else it may be."""
    junction = view.junction(lowest)
    if junction is None:
        text = (
            "The body above the lowest disc is not seen whole: whether it is L5 or S1 "
            "cannot be told from its shape"
        )
        return lowest, [CountDoubt(text=text, factor=0.5, shifts=(_DOWN,))]
    models = shipped_models()
    sacral = models.s1_s2.probability(junction)
    if sacral > _EVEN and lowest > 0:
        text = f"{_like_s1_s2(junction, sacral)}, so that L5/S1 is the disc above it"
        doubt = CountDoubt(
            text=text, factor=sacral, shifts=(_UP,), probability=1 - sacral
        )
        return lowest - 1, [doubt]
    doubts = []
    if sacral >= models.s1_s2.told_from:
        doubt = CountDoubt(
            text=_like_s1_s2(junction, sacral),
            factor=1 - sacral,
            shifts=(_DOWN,),
            probability=sacral,
        )
        doubts.append(doubt)
    if models.l4_l5.probability(junction) >= models.l4_l5.told_from:
        text = (
            f"The front of the spine bends by {junction.promontory_deg:.0f} degrees "
            f"and the lowest disc leans by {junction.tilt_deg:.0f}, as L4/L5 does: "
            "what looks like S1 may be L5"
        )
        doubts.append(CountDoubt(text=text, factor=0.5, shifts=(_UP,)))
    return lowest, doubts


def _like_s1_s2(junction: Junction, probability: float) -> str:
    return (
        f"The lowest disc is short (depth {junction.disc_depth_ratio:.2f}, height "
        f"{junction.disc_height_ratio:.2f} of those above) or the front of the spine "
        f"hardly bends at it ({junction.promontory_deg:.0f} degrees), as between S1 "
        f"and S2; it lies there with a probability of {probability:.2f}"
    )


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
    return doubts
