"""Which vertebral bodies have lost height, as the reader is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from analysis.lumbar.doubt import Doubt, Effect, apart, of_disc, warning
from analysis.lumbar.fitted_limits import (
    DEPTH_SHARE,
    SPACE_AND_BODY,
    SPACE_SHARE,
    TALL_BODY,
)
from analysis.lumbar.measure.discs_and_bodies import IMPLAUSIBLE
from analysis.lumbar.measure.height_loss import (
    MILD,
    MODERATE,
    SEVERE,
    USUAL,
    ExpectedShare,
    HeightLoss,
)
from analysis.lumbar.measure.measurements import (
    MeasuredBody,
    MeasuredDisc,
    SpineMeasurements,
)

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
MAX_SPACE_AND_BODY = SPACE_AND_BODY.limit
"""Of the share of a space times that of the higher body beside it: a crushed body may
be divided between them. Of L1/L2 to L5/S1, for above the shares scatter more."""
_HIGH_BODY = 1.07
"""Of the expected height: 95 % of 1232 bodies of train have less. A space that is high
beside a usual body has a limit of its own."""
USUAL_OF_DEPTH: Mapping[str, float] = {
    "L5": 0.685,
    "L4": 0.695,
    "L3": 0.715,
    "L2": 0.747,
    "L1": 0.812,
    "T12": 0.843,
}
"""Median height of a body, over `USUAL`, over its depth from front to rear; of 207
series of train (`python -m tests.accuracy.fractures train`)."""
MIN_DEPTH_SHARE = DEPTH_SHARE.limit
"""Where the bodies of a spine have less than this of it, they are crushed together."""
_BODY_HEIGHTS = (
    "body_anterior_height_mm",
    "body_middle_height_mm",
    "body_posterior_height_mm",
)
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


def space_and_body(measured: SpineMeasurements) -> dict[str, tuple[str, float, float]]:
    """Return of every level the higher body beside it and the shares of both.

    Returns
    -------
    dict
        By the level: label of the body, share of the space, middle share of the body.
    """
    bodies = {
        body.vertebra.label: found.middle
        for body in measured.bodies
        if isinstance(found := body.site.shares[body.vertebra.label], ExpectedShare)
    }
    return {
        level: (label, share, bodies[label])
        for level, share in space_shares(measured).items()
        if (beside := [name for name in level.split("/") if name in bodies])
        for label in [max(beside, key=lambda name: bodies[name])]
    }


def overlooked_bodies(
    measured: SpineMeasurements, edited: frozenset[int] = frozenset()
) -> tuple[Doubt, ...]:
    """Doubt the discs between whose bodies another may lie, and the count above them.

    But for discs that a reader has outlined, by their numbers: he has looked there.

    L1 of patient 162, pressed to half of its height, was outlined as nothing, and L2 of
    220 as disc: no body was too low then, and every name above was one too low without
    a word. Pressed to 0.3, L1 of 136 was taken for a disc, higher than the space that
    was left for it, and that of 239 for parts of a body and of a disc.
    """
    shares, beside = space_shares(measured), space_and_body(measured)
    below = {row.level for row in measured.discs}
    doubts: list[Doubt] = []
    for row in (*measured.upper, *measured.discs):
        if row.disc.number in edited:
            continue
        divided = beside.get(row.level) if row.level in below else None
        if shares.get(row.level, 0.0) > MAX_SPACE_SHARE:
            doubts += _wide(row, shares[row.level])
        elif (heights := _inverted(row)) is not None:
            doubts += _fuller(row, *heights)
        elif divided is not None and _is_divided(*divided[1:]):
            doubts += _divided(row, *divided)
    return tuple(doubts)


def _wide(row: MeasuredDisc, share: float) -> Iterator[Doubt]:
    shown = apart(share, MAX_SPACE_SHARE, 2)
    yield _unfit(
        row,
        f"the space between its bodies has {shown} of the height that the others "
        f"let expect (limit {MAX_SPACE_SHARE}): a crushed body may lie in it",
    )
    yield _miscounted(
        f"{row.level} has {shown} of the space that the others let expect (limit "
        f"{MAX_SPACE_SHARE}): a crushed body may have been overlooked there"
    )


def _inverted(row: MeasuredDisc) -> tuple[float, float] | None:
    """Return the heights of a disc and its space, where it does not fit into it.

    Of 1419 levels of train the least space has 1.08 times the height of its disc,
    beside a crushed body, the next 1.15. Of 92 bodies of train, pressed to 0.3 of their
    height, ten leave one with 0.98 and less, among them L1 of 136 (0.87).
    """
    disc, space = row.number("disc_height_mm"), row.number("interbody_height_mm")
    if disc is None or space is None or disc <= space:
        return None
    return disc, space


def _fuller(row: MeasuredDisc, disc_mm: float, space_mm: float) -> Iterator[Doubt]:
    heights = f"{disc_mm:.1f} mm high in a space of {space_mm:.1f} mm"
    yield _unfit(row, f"it is {heights} between its bodies: it may be a crushed body")
    yield _miscounted(
        f"{row.level} is {heights}: a crushed body may have been taken for it"
    )


def _is_divided(space: float, height: float) -> bool:
    # Of a body that is too high by itself, `merged_bodies` speaks.
    is_high = _HIGH_BODY < height <= TOO_TALL
    return is_high and space * height > MAX_SPACE_AND_BODY


def _divided(
    row: MeasuredDisc, body: str, space: float, height: float
) -> Iterator[Doubt]:
    shares = (
        f"{space:.2f} and {height:.2f} of the heights that the others let expect "
        f"(limit of their product {MAX_SPACE_AND_BODY})"
    )
    yield _unfit(
        row,
        f"the space between its bodies and {body} have {shares}: a crushed body may be "
        "divided between them",
    )
    yield _miscounted(
        f"{row.level} and {body} have {shares}: a crushed body may have been divided "
        "between them"
    )


def _unfit(row: MeasuredDisc, text: str) -> Doubt:
    scope = of_disc(row.disc.number)
    return Doubt(scope=scope, effect=Effect.WITHHOLD, code=IMPLAUSIBLE, text=text)


def _miscounted(text: str) -> Doubt:
    more = "Levels above may be off by one: check the count"
    return warning("level_uncertain", f"{text}. {more}")


def depth_shares(measured: SpineMeasurements) -> dict[str, float]:
    """Return what bodies have of the height that their own depth lets expect.

    By the label, from the head to the feet; it needs no other body of the spine.
    """
    found: dict[str, float] = {}
    for body in reversed(measured.bodies):
        label, depth_mm = body.vertebra.label, body.number("body_length_mm")
        heights = [
            height for key in _BODY_HEIGHTS if (height := body.number(key)) is not None
        ]
        usual = USUAL.get(label)
        if usual is None or depth_mm is None or len(heights) < len(_BODY_HEIGHTS):
            continue
        height_mm = float(np.median(np.divide(heights, usual)))
        found[label] = height_mm / depth_mm / USUAL_OF_DEPTH[label]
    return found


def merged_bodies(measured: SpineMeasurements) -> tuple[Doubt, ...]:
    """Doubt the count where a body is so high that it may hold a crushed one.

    Or doubt the others, where these are low for their own depth: of tianchi2d 033 four
    bodies are crushed, and the two whole ones seemed too high.
    """
    tall = {
        body.vertebra.label: share.middle
        for body in reversed(measured.bodies)
        if (share := known_share(body)) is not None and share.middle > TOO_TALL
    }
    if not tall:
        return ()
    by_depth = depth_shares(measured)
    others = {label: share for label, share in by_depth.items() if label not in tall}
    if others and float(np.median(list(others.values()))) < MIN_DEPTH_SHARE:
        return (_crushed_together(others, list(tall)),)
    shares = ", ".join(
        f"{label} has {apart(share, TOO_TALL, 2)}" for label, share in tall.items()
    )
    text = (
        f"{shares} of the height that the others let expect (limit {TOO_TALL}): a "
        "crushed body may have been taken for a part of it"
    )
    return (_miscounted(text),)


def _crushed_together(others: Mapping[str, float], tall: list[str]) -> Doubt:
    low = ", ".join(
        f"{label} has {share:.2f}" for label, share in others.items() if share < MILD
    )
    text = (
        "Of the height that the depth of a body lets expect (limit of the median "
        f"{MIN_DEPTH_SHARE}) {low}: several bodies may have lost height, more than "
        f"their ratios to each other tell, and {', '.join(tall)} may be whole"
    )
    return warning("vertebral_height_loss", text)


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
        f"{body.vertebra.label} has {_graded(share)} of the {share.place} height that "
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


def _graded(found: ExpectedShare) -> str:
    """Write a share so that it is seen on which side of the limits it lies."""
    shown = (apart(found.share, limit, 2) for limit in (MILD, MODERATE, SEVERE))
    return max(shown, key=len)


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
            yield f"DHI of {row.level} rests on the height of {whole[0]} alone."
