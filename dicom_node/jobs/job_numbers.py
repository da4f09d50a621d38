"""How many jobs stand where, read from the job database without DBOS.

DBOS costs 22 MB of memory, and reading each job as an operator sees it costs a
millisecond. What is counted here needs neither the series of a job nor DBOS: names,
states and outcomes only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from dicom_node.jobs.job_state import (
    FAILED_WORDS,
    delivery_words,
    is_owed,
    latest_attempts,
    state_and_reason,
)
from dicom_node.jobs.workflow_table import (
    MS,
    JobDatabase,
    Workflow,
    known_workflows,
)
from dicom_node.records import JobState

_UNSETTLED = frozenset({JobState.WAITING, JobState.RUNNING, JobState.DELIVERING})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNumbers:
    """What the job database holds, in numbers.

    Parameters
    ----------
    states
        Jobs by state and code of the reason; series of which triage has made no job
        are among them, as in `jobs list`.
    deliveries
        Deliveries by peer and by the state of their last attempt.
    oldest_unsettled_s, oldest_undelivered_s
        POSIX time at which the oldest job was enqueued that is not settled, or of whose
        results a peer lacks some; None if there is none.
    """

    states: Mapping[tuple[str, str], int]
    deliveries: Mapping[tuple[str, str], int]
    oldest_unsettled_s: float | None
    oldest_undelivered_s: float | None


class JobNumbersReader(JobDatabase):
    """Reads `JobNumbers`."""

    def read(self) -> JobNumbers:
        """Read the numbers of now.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read, or does not hold what is expected.
        """
        with self.opened() as connection:
            return _numbers(connection)


def _numbers(connection: sa.Connection) -> JobNumbers:
    known = known_workflows(connection)
    count = _Count()
    for triage in known.triages:
        count.add_triage(triage)
    for job in known.jobs:
        with suppress(ValueError):  # an id that no version of ours has written
            count.add_job(job, known.attempts.get(job.workflow_id, ()))
    return count.numbers()


class _Count:
    def __init__(self) -> None:
        self._states: Counter[tuple[str, str]] = Counter()
        self._deliveries: Counter[tuple[str, str]] = Counter()
        self._unsettled_ms: list[int] = []
        self._undelivered_ms: list[int] = []

    def add_triage(self, triage: Workflow) -> None:
        state, reason = state_and_reason(triage, {})
        if state is JobState.DONE:
            # It had to wait, and the next attempt is being enqueued.
            state = JobState.WAITING
        self._add(state, _code(reason), triage.created_at)

    def add_job(self, job: Workflow, deliveries: Iterable[Workflow]) -> None:
        attempts = latest_attempts(deliveries)
        state, _ = state_and_reason(job, attempts)
        _, own_reason = state_and_reason(job, {})
        words = delivery_words(attempts)
        failed = [text for word, text in words.values() if word in FAILED_WORDS]
        reason = "" if state is JobState.CANCELLED else next(iter(failed), "")
        self._add(state, _code(own_reason or reason), job.created_at)
        for peer, (word, _) in words.items():
            self._deliveries[peer, word] += 1
        if any(is_owed(state, word) for word, _ in words.values()):
            self._undelivered_ms.append(job.created_at)

    def _add(self, state: JobState, code: str, created_at: int) -> None:
        self._states[state.value, code] += 1
        if state in _UNSETTLED:
            self._unsettled_ms.append(created_at)

    def numbers(self) -> JobNumbers:
        return JobNumbers(
            states=dict(self._states),
            deliveries=dict(self._deliveries),
            oldest_unsettled_s=_oldest_s(self._unsettled_ms),
            oldest_undelivered_s=_oldest_s(self._undelivered_ms),
        )


def _code(reason: str) -> str:
    return reason.partition(":")[0]


def _oldest_s(created_ms: Sequence[int]) -> float | None:
    return min(created_ms) / MS if created_ms else None
