"""What a step of a job ended with, as it is checkpointed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    result_id
        After encode: from what the UIDs of the results derive. Empty in an outcome of
        version 0.1.0, where it was the id of the job.
    """

    verdict: Verdict
    code: str = ""
    text: str = ""
    deliver_to: tuple[str, ...] = ()
    result_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageOutcome:
    """The end of the triage of one series.

    Parameters
    ----------
    verdict
        `DONE` if a job is owed, or was before; `AGAIN` if triage has to wait.
    text
        One sentence for people: why not, or what it waits for.
    job_id
        Of the job that is owed; empty unless done.
    """

    verdict: Verdict
    code: str = ""
    text: str = ""
    job_id: str = ""


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
