"""Jobs as an operator sees them, read through DBOS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from dbos import DBOSClient, WorkflowStatus

from dicom_node import log
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.job_state import (
    ACTIVE,
    digests_needed,
    job_row,
    triage_row,
    visible_triages,
)
from dicom_node.jobs.workflow_names import DELIVERY, JOB, TRIAGE
from dicom_node.records import JobRow

_JOBS_A_QUERY = 200
"""Each is a term of the condition, and SQLite takes no more than 1,000 of these."""


def deliveries_of(
    client: DBOSClient, job_ids: Sequence[str]
) -> Mapping[str, Sequence[WorkflowStatus]]:
    """Return all attempts to deliver the results of some jobs, by job."""
    by_job = defaultdict(list)
    prefixes = [f"{job_id}:" for job_id in job_ids]
    for start in range(0, len(prefixes), _JOBS_A_QUERY):
        for status in client.list_workflows(
            name=DELIVERY,
            workflow_id_prefix=prefixes[start : start + _JOBS_A_QUERY],
            load_input=False,
        ):
            by_job[DeliveryId.parse(status.workflow_id).job_id].append(status)
    return by_job


def latest_rows(client: DBOSClient, *, limit: int) -> tuple[JobRow, ...]:
    """Return the jobs accepted last, and series of which triage has made none.

    A record that cannot be read is told in the log and left out.
    """
    jobs = client.list_workflows(name=JOB, limit=limit, sort_desc=True)
    triages = client.list_workflows(name=TRIAGE, limit=limit, sort_desc=True)
    attempts = deliveries_of(client, [status.workflow_id for status in jobs])
    rows = [*_readable_triages(triages), *_readable_jobs(jobs, attempts)]
    rows.sort(key=lambda row: row[0].created_at or 0, reverse=True)
    return tuple(row for _, row in rows[:limit])


def all_rows(client: DBOSClient) -> tuple[JobRow, ...]:
    """Return every job, and every series of which triage has made none.

    A record that cannot be read is told in the log and left out.
    """
    triages = client.list_workflows(name=TRIAGE)
    jobs = client.list_workflows(name=JOB)
    found = (*_readable_triages(triages), *_readable_jobs(jobs, _attempts(client)))
    return tuple(row for _, row in found)


def unsettled(client: DBOSClient) -> Mapping[str, str]:
    """Return the digest of the series of every job that is not settled, by id.

    Where a record cannot be read, the results of its job are needed all the same.
    """
    needed: dict[str, str] = {}
    for status in client.list_workflows(
        name=[TRIAGE, JOB, DELIVERY], status=list(ACTIVE), load_output=False
    ):
        if status.name == DELIVERY:
            needed[DeliveryId.parse(status.workflow_id).job_id] = ""
        with _left_out_if_unreadable(status):
            needed.update(digests_needed(status))
    return needed


def forget_triages(client: DBOSClient, series_key: str) -> None:
    """Forget the triages of a series that have ended and made a job."""
    ended = [
        status.workflow_id
        for status in client.list_workflows(
            name=TRIAGE, user=series_key, status="SUCCESS", load_input=False
        )
    ]
    if ended:
        client.delete_workflows(ended)


def _attempts(client: DBOSClient) -> Mapping[str, Sequence[WorkflowStatus]]:
    """Return all attempts to deliver, by job."""
    # In one question: SQLite takes no condition of more than a thousand parts.
    by_job = defaultdict(list)
    for status in client.list_workflows(name=DELIVERY, load_input=False):
        by_job[DeliveryId.parse(status.workflow_id).job_id].append(status)
    return by_job


def _readable_triages(
    triages: Iterable[WorkflowStatus],
) -> Iterator[tuple[WorkflowStatus, JobRow]]:
    """Yield what an operator has to see of triages, as far as they can be read."""
    rows = {}
    for status in triages:
        with _left_out_if_unreadable(status):
            rows[status.workflow_id] = (status, triage_row(status))
    for status in visible_triages(status for status, _ in rows.values()):
        yield rows[status.workflow_id]


def _readable_jobs(
    jobs: Iterable[WorkflowStatus], attempts: Mapping[str, Sequence[WorkflowStatus]]
) -> Iterator[tuple[WorkflowStatus, JobRow]]:
    for status in jobs:
        row = None
        with _left_out_if_unreadable(status):
            row = job_row(status, attempts[status.workflow_id])
        if row is not None:
            yield status, row


@contextmanager
def _left_out_if_unreadable(status: WorkflowStatus) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        log.error(
            "job_record_unreadable",
            job_id=status.workflow_id,
            reason=type(error).__name__,
        )
