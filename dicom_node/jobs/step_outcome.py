"""What a step of a job ended with, as it is checkpointed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How a step ended."""

    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"
    AGAIN = "again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of analyse or encode.

    Parameters
    ----------
    code
        Stable word: why not; empty where done.
    text
        One sentence for people; no patient data.
    deliver_to
        After encode: the peers to which something in the outbox is owed.
    """

    verdict: Verdict
    code: str = ""
    text: str = ""
    deliver_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOutcome:
    """The end of one delivery attempt.

    Parameters
    ----------
    stored
        SOP instance UIDs that the peer holds now, from this attempt or an earlier one.
    """

    verdict: Verdict
    code: str = ""
    text: str = ""
    stored: tuple[str, ...] = ()


def to_record(outcome: Outcome | DeliveryOutcome) -> dict[str, Any]:
    """Return an outcome as plain JSON values."""
    return asdict(outcome)


def outcome_from(record: dict[str, Any]) -> Outcome:
    """Return the outcome that was checkpointed."""
    return Outcome(
        verdict=Verdict(record["verdict"]),
        code=record["code"],
        text=record["text"],
        deliver_to=tuple(record["deliver_to"]),
    )


def delivery_outcome_from(record: dict[str, Any]) -> DeliveryOutcome:
    """Return the delivery outcome that was checkpointed."""
    return DeliveryOutcome(
        verdict=Verdict(record["verdict"]),
        code=record["code"],
        text=record["text"],
        stored=tuple(record["stored"]),
    )
