"""Which jobs have failed, and which peers take no results: for those who tell a person.

Names, states and codes only, read without DBOS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

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
from dicom_node.jobs.workflow_table import JobDatabase, Workflow, known_workflows
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


class JobTroublesReader(JobDatabase):
    """Reads `JobTroubles`."""

    def read(self) -> JobTroubles:
        """Read the troubles of now.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read, or does not hold what is expected.
        """
        with self.opened() as connection:
            return _troubles(connection)


def _troubles(connection: sa.Connection) -> JobTroubles:
    known = known_workflows(connection)
    failed: dict[str, str] = {}
    waiting: dict[str, str] = {}
    for triage in known.triages:
        state, reason = state_and_reason(triage, {})
        if state is JobState.FAILED:
            failed[order_id(triage.workflow_id)] = _code(reason)
    for job in known.jobs:
        with suppress(ValueError):  # an id that no version of ours has written
            attempts = known.attempts.get(job.workflow_id, ())
            code = _failure(job, attempts)
            if code is not None:
                failed[job.workflow_id] = code
            if not is_discarded(job):
                waiting.update(_waiting(attempts))
    return JobTroubles(failed=failed, kept_waiting=waiting)


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
