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
from time import monotonic as _now_s

import sqlalchemy as sa

from dicom_node.jobs.changed_parts import ChangedParts, Part
from dicom_node.jobs.job_state import (
    FAILED_WORDS,
    delivery_words,
    is_owed,
    latest_attempts,
    state_and_reason,
)
from dicom_node.jobs.workflow_table import MS, JobDatabase, Workflow
from dicom_node.records import JobState

_ANSWERS_WITHIN_S = 6.0
"""To each question of a look, of which the first has many where there are many jobs."""
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
    """Reads `JobNumbers`; whoever keeps it reads again only what has changed."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self._parts: ChangedParts[_Count] = ChangedParts(_counted)
        self._is_first = True
        self._answered_s = float("-inf")

    @property
    def is_counting(self) -> bool:
        """Whether the first look goes on, and the database answers."""
        age_s = _now_s() - self._answered_s
        return self._is_first and age_s < _ANSWERS_WITHIN_S

    def read(self) -> JobNumbers:
        """Read the numbers of now.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read, or does not hold what is expected.
        """
        with self.opened() as connection:
            for _ in self._parts.refresh(connection):
                self._answered_s = _now_s()
            self._is_first = False
            count = _Count()
            for _, triage in self._parts.shown(connection):
                count.add_triage(triage)
            return _sum((count, *self._parts.made))


def _counted(_connection: sa.Connection, part: Part) -> _Count:
    count = _Count()
    for triage in part.waiting:
        count.add_triage(triage)
    for job in part.jobs:
        with suppress(ValueError):  # an id that no version of ours has written
            count.add_job(job, part.attempts.get(job.workflow_id, ()))
    return count


class _Count:
    """How many jobs of a part stand where."""

    def __init__(self) -> None:
        self.states: Counter[tuple[str, str]] = Counter()
        self.deliveries: Counter[tuple[str, str]] = Counter()
        self.unsettled_ms: int | None = None
        self.undelivered_ms: int | None = None

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
            self.deliveries[peer, word] += 1
        if any(is_owed(state, word) for word, _ in words.values()):
            self.undelivered_ms = _least((self.undelivered_ms, job.created_at))

    def _add(self, state: JobState, code: str, created_at: int) -> None:
        self.states[state.value, code] += 1
        if state in _UNSETTLED:
            self.unsettled_ms = _least((self.unsettled_ms, created_at))


def _sum(counts: Sequence[_Count]) -> JobNumbers:
    states: Counter[tuple[str, str]] = Counter()
    deliveries: Counter[tuple[str, str]] = Counter()
    for count in counts:
        states.update(count.states)
        deliveries.update(count.deliveries)
    return JobNumbers(
        states=dict(states),
        deliveries=dict(deliveries),
        oldest_unsettled_s=_seconds(_least(count.unsettled_ms for count in counts)),
        oldest_undelivered_s=_seconds(_least(count.undelivered_ms for count in counts)),
    )


def _least(times_ms: Iterable[int | None]) -> int | None:
    return min((time_ms for time_ms in times_ms if time_ms is not None), default=None)


def _seconds(time_ms: int | None) -> float | None:
    return None if time_ms is None else time_ms / MS


def _code(reason: str) -> str:
    return reason.partition(":")[0]
