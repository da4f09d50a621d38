"""Which vertebral bodies have lost height, as the reader is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from analysis.lumbar.doubt import Doubt, Effect, of_disc, warning
from analysis.lumbar.fitted_limits import SPACE_SHARE, TALL_BODY
from analysis.lumbar.measure.discs_and_bodies import IMPLAUSIBLE
from analysis.lumbar.measure.height_loss import ExpectedShare, HeightLoss
from analysis.lumbar.measure.measurements import MeasuredBody, SpineMeasurements

_WORDS = {
    HeightLoss.MILD: "mild",
    HeightLoss.MODERATE: "moderate",
    HeightLoss.SEVERE: "severe",
}


TOO_TALL = TALL_BODY.limit
"""Of the expected height, the middle one of three: a body that is higher holds another.
L3 of patient 177, pressed to half of its height, was taken for a part of L2: L4 then
has 1.32 and more, and every name above was one too low without a word."""


USUAL_SPACE: Mapping[str, float] = {
    "L5/S1": 1.06,
    "L4/L5": 1.05,
    "L3/L4": 1.06,
    "L2/L3": 0.98,
    "L1/L2": 0.91,
    "T12/L1": 0.81,
    "T11/T12": 0.72,
}
"""Median height between two bodies, over the median of those from L1/L2 to L4/L5, of
207 series of train (`python -m tests.accuracy.fractures train`)."""
MAX_SPACE_SHARE = SPACE_SHARE.limit
"""What is higher may hold a crushed body that was taken for a disc, or for nothing."""
_MIN_SPACES = 3
"""Fewer others do not tell what is usual in a spine."""


def space_shares(measured: SpineMeasurements) -> dict[str, float]:
    """Return of every level how high it is, of what the others let expect."""
    known = {
        row.level: height / USUAL_SPACE[row.level]
        for row in (*measured.upper, *measured.discs)
        if (height := row.number("interbody_height_mm")) is not None
    }
    if len(known) <= _MIN_SPACES:
        return {}
    return {
        level: space
        / float(np.median([other for name, other in known.items() if name != level]))
        for level, space in known.items()
    }


def overlooked_bodies(
    measured: SpineMeasurements, edited: frozenset[int] = frozenset()
) -> tuple[Doubt, ...]:
    """Doubt the discs between whose bodies another may lie, and the count above them.

    But for discs that a reader has outlined, by their numbers: he has looked there.

    L1 of patient 162, pressed to half of its height, was outlined as nothing, and L2 of
    220 as disc: no body was too low then, and every name above was one too low without
    a word.
    """
    doubts = []
    numbers = {row.level: row.disc.number for row in (*measured.upper, *measured.discs)}
    for level, share in space_shares(measured).items():
        if share <= MAX_SPACE_SHARE or numbers[level] in edited:
            continue
        text = (
            f"the space between its bodies has {share:.2f} of the height that the "
            f"others let expect (limit {MAX_SPACE_SHARE}): a crushed body may lie in it"
        )
        doubt = Doubt(
            scope=of_disc(numbers[level]),
            effect=Effect.WITHHOLD,
            code=IMPLAUSIBLE,
            text=text,
        )
        text = (
            f"{level} has {share:.2f} of the space that the others let expect (limit "
            f"{MAX_SPACE_SHARE}): a crushed body may have been overlooked there. "
            "Levels above may be off by one: check the count"
        )
        doubts += [doubt, warning("level_uncertain", text)]
    return tuple(doubts)


def merged_bodies(measured: SpineMeasurements) -> tuple[Doubt, ...]:
    """Doubt the count where a body is so high that it may hold a crushed one."""
    tall = [
        f"{body.vertebra.label} has {share.middle:.2f}"
        for body in reversed(measured.bodies)
        if (share := known_share(body)) is not None and share.middle > TOO_TALL
    ]
    if not tall:
        return ()
    text = (
        f"{', '.join(tall)} of the height that the others let expect (limit "
        f"{TOO_TALL}): a crushed body may have been taken for a part of it. Levels "
        "above may be off by one: check the count"
    )
    return (warning("level_uncertain", text),)


def known_share(body: MeasuredBody) -> ExpectedShare | None:
    """Return what a body has of the expected height; None where it is not told."""
    found = body.site.shares[body.vertebra.label]
    if (
        isinstance(found, ExpectedShare)
        and body.number("body_height_ratio") is not None
    ):
        return found
    return None


def height_losses(measured: SpineMeasurements) -> tuple[Doubt, ...]:
    """Name the bodies that have lost height, from the head to the feet."""
    lost = [
        f"{body.vertebra.label} has {share.share:.2f} of the {share.place} height that "
        f"the others let expect ({_WORDS[share.grade]})"
        for body in reversed(measured.bodies)
        if (share := known_share(body)) is not None and share.grade > HeightLoss.NONE
    ]
    if not lost:
        return ()
    text = (
        f"{'; '.join(lost)}: a fracture, a Schmorl's node or another deformity. "
        f"{' '.join(_what_follows(measured))}"
    )
    return (warning("vertebral_height_loss", text.strip()),)


def _what_follows(measured: SpineMeasurements) -> Iterator[str]:
    """Say what became of the disc height index beside such bodies."""
    lost = {
        body.vertebra.label
        for body in measured.bodies
        if (share := known_share(body)) is not None and share.grade > HeightLoss.NONE
    }
    for row in measured.discs:
        beside = row.level.split("/")
        whole = [name for name in beside if name not in lost and name != "S1"]
        if not lost & set(beside):
            continue
        if row.number("disc_height_index") is None:
            yield f"DHI of {row.level} is withheld."
        else:
            yield f"DHI of {row.level} is over {whole[0]} alone."
