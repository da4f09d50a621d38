"""Which jobs have failed, and which peers take no results: for those who tell a person.

Names, states and codes only, read without DBOS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from dicom_node.jobs.changed_parts import ChangedParts, Part
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.job_state import (
    ACTIVE,
    FAILED_WORDS,
    delivery_words,
    is_discarded,
    latest_attempts,
    state_and_reason,
)
from dicom_node.jobs.proof_codes import AWAITED
from dicom_node.jobs.triage_order import order_id
from dicom_node.jobs.workflow_table import JobDatabase, Workflow
from dicom_node.records import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTroubles:
    """What an operator may have to do something about.

    Parameters
    ----------
    failed
        Code of the reason by id of each job that has failed.
    kept_waiting
        Code of the last failure by peer, for peers to which a delivery is owed that has
        failed at least once and is tried again.
    """

    failed: Mapping[str, str]
    kept_waiting: Mapping[str, str]


_NONE = JobTroubles(failed={}, kept_waiting={})


class JobTroublesReader(JobDatabase):
    """Reads `JobTroubles`; whoever keeps it reads again only what has changed."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self._parts: ChangedParts[JobTroubles] = ChangedParts(_troubles)

    def read(self) -> JobTroubles:
        """Read the troubles of now.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read, or does not hold what is expected.
        """
        failed: dict[str, str] = {}
        waiting: dict[str, str] = {}
        with self.opened() as connection:
            for _ in self._parts.refresh(connection):
                pass
            for _, triage in self._parts.shown(connection):
                state, reason = state_and_reason(triage, {})
                if state is JobState.FAILED:
                    failed[order_id(triage.workflow_id)] = _code(reason)
        for one in self._parts.made:
            failed.update(one.failed)
            waiting.update(one.kept_waiting)
        return JobTroubles(failed=failed, kept_waiting=waiting)


def _troubles(_connection: sa.Connection, part: Part) -> JobTroubles:
    failed: dict[str, str] = {}
    waiting: dict[str, str] = {}
    for job in part.jobs:
        with suppress(ValueError):  # an id that no version of ours has written
            attempts = part.attempts.get(job.workflow_id, ())
            code = _failure(job, attempts)
            if code is not None:
                failed[job.workflow_id] = code
            if not is_discarded(job):
                waiting.update(_waiting(attempts))
    return (
        _NONE
        if not failed and not waiting
        else JobTroubles(failed=failed, kept_waiting=waiting)
    )


def _failure(job: Workflow, deliveries: Sequence[Workflow]) -> str | None:
    """Return the code with which a job has failed; None if it has not."""
    attempts = latest_attempts(deliveries)
    state, _ = state_and_reason(job, attempts)
    if state is not JobState.FAILED:
        return None
    _, own_reason = state_and_reason(job, {})
    failed = [
        text for word, text in delivery_words(attempts).values() if word in FAILED_WORDS
    ]
    return _code(own_reason or next(iter(failed), ""))


def _waiting(deliveries: Sequence[Workflow]) -> Iterator[tuple[str, str]]:
    """Yield peer and code for each delivery that has failed and is tried again."""
    by_id = {DeliveryId.parse(one.workflow_id): one for one in deliveries}
    for which, attempt in latest_attempts(deliveries).items():
        before = [one for one in by_id if one.next() == which]
        if attempt.status in ACTIVE and before:
            code = str((by_id[before[0]].output or {}).get("code", ""))
            if code and code not in AWAITED:
                yield which.peer, code


def _code(reason: str) -> str:
    return reason.partition(":")[0]
