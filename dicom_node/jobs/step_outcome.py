"""What a step of a job ended with, as it is checkpointed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dicom_node.records import Proof


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
class ProofOrder:
    """Where a delivery stands whose peer has to show that it holds what it stored.

    Parameters
    ----------
    since_s
        POSIX time at which the first such proof was asked for.
    sent_as
        Number of the attempt by which the last instance was stored.
    is_resend
        Whether the instances are sent once more before anything else.
    resends
        How often that was done because a proof failed.
    transactions
        Transaction UIDs by which the peer was asked since, the last one last.
    asked_s
        When it was asked last (POSIX); 0 if it was not.
    """

    since_s: float
    sent_as: int = 0
    is_resend: bool = False
    resends: int = 0
    transactions: tuple[str, ...] = ()
    asked_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOutcome:
    """The end of one attempt to deliver, or to have a delivery proven.

    Parameters
    ----------
    stored
        SOP instance UIDs that the peer holds now, from this attempt or an earlier one.
    proof
        Which proof the peer owes for them; of an attempt to have it: which one it is.
    proven
        SOP instance UIDs of which it is there.
    following
        What comes next; None if nothing does.
    pause_s
        Until then; None is as the retry rule has it.
    """

    verdict: Verdict
    code: str = ""
    text: str = ""
    stored: tuple[str, ...] = ()
    proof: Proof = Proof.STORED
    proven: tuple[str, ...] = ()
    following: ProofOrder | None = None
    pause_s: float | None = None
