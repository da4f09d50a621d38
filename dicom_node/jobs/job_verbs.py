"""What an operator may do about a job, by what is seen of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from dicom_node.jobs.job_state import is_delivering, lacking_peers
from dicom_node.records import JobRow, JobState

SHORT_ID = 12
"""Digits of the id of a job that people are shown."""
_RETRYABLE = frozenset({JobState.FAILED, JobState.CANCELLED})
_SETTLED = _RETRYABLE | {JobState.DONE, JobState.REJECTED}


class Verb(StrEnum):
    """What may be done; the word of the command for it."""

    RETRY = "retry"
    RESEND = "resend"
    RERUN = "rerun"
    CANCEL = "cancel"


def is_settled(row: JobRow) -> bool:
    """Tell whether a job has come to an end."""
    return row.state in _SETTLED


def is_over(row: JobRow) -> bool:
    """Tell whether a job has come to an end, and no peer is being sent anything."""
    return is_settled(row) and not is_delivering(row)


def may_retry(row: JobRow) -> bool:
    """Tell whether something failed that can be begun again."""
    return row.state in _RETRYABLE or bool(lacking_peers(row))


def may_resend(row: JobRow) -> bool:
    """Tell whether results were delivered that can be delivered once more."""
    return is_over(row) and bool(row.deliveries)


def may_cancel(row: JobRow) -> bool:
    """Tell whether there is anything left to give up."""
    return not is_over(row) or bool(lacking_peers(row))


_MAY: Mapping[Verb, Callable[[JobRow], bool]] = {
    Verb.RETRY: may_retry,
    Verb.RESEND: may_resend,
    Verb.RERUN: is_settled,
    Verb.CANCEL: may_cancel,
}


def verbs_for(row: JobRow) -> tuple[Verb, ...]:
    """Return what may be done about a job."""
    return tuple(verb for verb, may in _MAY.items() if may(row))
