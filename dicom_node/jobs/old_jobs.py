"""Forgets jobs that were settled long ago: only these are read, a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from dbos import DBOSClient

from dicom_node import log
from dicom_node.jobs.database_errors import asks_database
from dicom_node.jobs.job_state import ACTIVE, job_row
from dicom_node.jobs.workflow_names import DELIVERY, JOB, TRIAGE
from dicom_node.jobs.workflow_table import (
    MS,
    STATUS,
    JobDatabase,
    Workflow,
    begins_with,
    parts_of,
    with_inputs,
    workflows,
)
from dicom_node.records import JobRow

_TRIAGES_A_PAGE = 200
_JOBS_A_PAGE = 50


class OldJobs(JobDatabase):
    """Forgets jobs.

    Parameters
    ----------
    client
        Deletes what is found here.
    """

    def __init__(self, database_url: str, client: DBOSClient) -> None:
        super().__init__(database_url)
        self._client = client

    def prune(
        self, *, settled_before_s: float, keep: Collection[str]
    ) -> Iterator[tuple[JobRow, ...]]:
        """Forget what was settled before a POSIX time, and yield after each page.

        Parameters
        ----------
        keep
            Ids of jobs that stay all the same.

        Yields
        ------
        tuple of JobRow
            The jobs that were forgotten.

        Raises
        ------
        JobDatabaseError
            If the database cannot be read or written.
        """
        while self._forget_triages(settled_before_s):
            yield ()
        with self.opened() as connection:
            ids = _ended(connection, before_ms=int(settled_before_s * MS))
        yield ()
        for page in parts_of([one for one in ids if one not in keep], _JOBS_A_PAGE):
            yield self._forget_jobs(page, settled_before_s)

    @asks_database
    def _forget_triages(self, ended_before_s: float) -> bool:
        """Forget a page of triages; tell whether there were any."""
        old = self._client.list_workflows(
            name=TRIAGE,
            completed_before=datetime.fromtimestamp(ended_before_s, UTC).isoformat(),
            load_input=False,
            load_output=False,
            limit=_TRIAGES_A_PAGE,
        )
        if old:
            self._client.delete_workflows([one.workflow_id for one in old])
        return bool(old)

    @asks_database
    def _forget_jobs(
        self, ids: Sequence[str], settled_before_s: float
    ) -> tuple[JobRow, ...]:
        with self.opened() as connection:
            jobs = list(
                workflows(
                    connection,
                    STATUS.c.name == JOB,
                    STATUS.c.workflow_uuid.in_(ids),
                )
            )
            jobs = list(with_inputs(connection, jobs))
            attempts = defaultdict(list)
            of_these = [begins_with(connection, f"{one.workflow_id}:") for one in jobs]
            is_one = STATUS.c.name == DELIVERY, sa.or_(sa.false(), *of_these)
            for one in workflows(connection, *is_one):
                attempts[one.workflow_id.partition(":")[0]].append(one)
        old: list[JobRow] = []
        doomed: list[str] = []
        for job in jobs:
            of_job = attempts[job.workflow_id]
            row = _row(job, of_job)
            settled_at_s = None if row is None else row.settled_at_s
            if row is None or settled_at_s is None:
                continue
            if settled_at_s < settled_before_s:
                old.append(row)
                doomed += (job.workflow_id, *(one.workflow_id for one in of_job))
        if doomed:
            self._client.delete_workflows(doomed)
        return tuple(old)


def _ended(connection: sa.Connection, *, before_ms: int) -> list[str]:
    """Return the jobs that were enqueued before a time (POSIX, ms) and have ended."""
    column = STATUS.c
    query = (
        sa.select(column.workflow_uuid)
        .where(
            column.name == JOB,
            column.created_at <= before_ms,
            column.status.not_in(ACTIVE),
        )
        .order_by(column.created_at)
    )
    return list(connection.execute(query).scalars())


def _row(job: Workflow, attempts: Sequence[Workflow]) -> JobRow | None:
    try:
        return job_row(job, attempts)
    except (ValueError, TypeError, KeyError) as error:
        log.error(
            "job_record_unreadable",
            job_id=job.workflow_id,
            reason=type(error).__name__,
        )
        return None
