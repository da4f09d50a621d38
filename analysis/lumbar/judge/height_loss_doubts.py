"""Which vertebral bodies have lost height, as the reader is told."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.lumbar.doubt import Doubt, warning
from analysis.lumbar.measure.height_loss import ExpectedShare, HeightLoss
from analysis.lumbar.measure.measurements import MeasuredBody, SpineMeasurements

_WORDS = {
    HeightLoss.MILD: "mild",
    HeightLoss.MODERATE: "moderate",
    HeightLoss.SEVERE: "severe",
}


TOO_TALL = 1.2
"""Of the expected height, the lowest of three: a body that is higher holds another. Of
1529 bodies of 256 series one has more, 1.32, in a spine with crushed ones; the next has
1.13. L3 of patient 177, pressed to half of its height, was taken for a part of L2:
L4 then has 1.32, and every name above was one too low without a word."""


def merged_bodies(measured: SpineMeasurements) -> tuple[Doubt, ...]:
    """Doubt the count where a body is so high that it may hold a crushed one."""
    tall = [
        f"{body.vertebra.label} has {share.share:.2f}"
        for body in reversed(measured.bodies)
        if (share := known_share(body)) is not None and share.share > TOO_TALL
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
