"""What is owed, seen from outside a worker: enqueue, list, show, retry, cancel."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self
from uuid import uuid4

from dbos import EnqueueOptions, WorkflowStatus
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import JobDatabaseError, JobNotFoundError, JobStateError
from dicom_node.jobs import dbos_setup, workflow_names
from dicom_node.jobs.database_errors import asks_database
from dicom_node.jobs.database_reason import why
from dicom_node.jobs.dead_worker import LostWork
from dicom_node.jobs.job_contents import JobContents
from dicom_node.jobs.job_state import (
    ACTIVE,
    job_made_by,
    job_of,
    job_row,
    lacking_peers,
    last_attempt,
    order_of,
    triage_row,
)
from dicom_node.jobs.job_verbs import is_over, is_settled, may_cancel, may_retry
from dicom_node.jobs.known_jobs import (
    all_rows,
    deliveries_of,
    forget_triages,
    latest_rows,
    unsettled,
)
from dicom_node.jobs.old_jobs import OldJobs
from dicom_node.jobs.retry_job import (
    begin_anew,
    deliver_again,
    delivered,
    discard,
    undelivered,
)
from dicom_node.jobs.triage_order import TriageOrder, order_id, series_key
from dicom_node.record_codec import to_record
from dicom_node.records import Job, JobRow

_FOUND = 50
"""Workflows that are looked at to find one, the latest first: triage that waits makes
several, and in former versions any number."""
_SEARCHED = 200
"""Jobs that are looked through for those of a series that were enqueued without key."""
_CANCEL_ROUNDS = 20
_CANCEL_PAUSE_S = 0.1
"""Two seconds for a worker to put into the queue what it was about to."""


class JobQueue:
    """A client of the job database; runs no workflow.

    Parameters
    ----------
    database_url
        A database that `dbos_setup.prepare_database` has made.

    contents
        What retention has to know of all jobs.

    Raises
    ------
    JobDatabaseError
        By every method, if the database cannot be read or written.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self.contents = JobContents(database_url)
        try:
            self._client = dbos_setup.open_client(database_url)
        except (SQLAlchemyError, dbos_error.DBOSException) as error:
            message = f"the job database cannot be opened: {why(error)}"
            raise JobDatabaseError(message) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.destroy()

    @property
    def lost_work(self) -> LostWork:
        """What the supervisor does about work whose worker has ended."""
        return LostWork(self._client)

    @asks_database
    def enqueue_triage(self, order: TriageOrder) -> None:
        """Queue the triage of a series; an order that is known changes nothing."""
        options: EnqueueOptions = {
            "workflow_name": workflow_names.TRIAGE,
            "queue_name": dbos_setup.TRIAGES,
            "workflow_id": order.workflow_id,
            "authenticated_user": series_key(
                order.series.study_uid, order.series.series_uid
            ),
        }
        self._client.enqueue(options, to_record(order))

    @asks_database
    def enqueue(self, job: Job) -> None:
        """Owe a job; an id that is known, in whatever state, changes nothing."""
        options: EnqueueOptions = {
            "workflow_name": workflow_names.JOB,
            "queue_name": dbos_setup.REJECTIONS
            if job.rejection
            else dbos_setup.ANALYSES,
            "workflow_id": job.id,
            # The only word of ours by which both databases find workflows.
            "authenticated_user": series_key(job.series.study_uid, job.measured_uid),
        }
        self._client.enqueue(options, to_record(job))

    @asks_database
    def list(self, *, limit: int = 200) -> tuple[JobRow, ...]:
        """Return the jobs accepted last, the latest first.

        Series of which triage has not yet made a job are among them, and those of
        which it could not.
        """
        return latest_rows(self._client, limit=limit)

    @asks_database
    def show(self, job_id: str) -> JobRow:
        """Return one job; a unique beginning of its id is enough.

        The id of a triage that has made a job stands for that job.

        Raises
        ------
        JobNotFoundError
            If none or more than one begins so.
        """
        status = self._find(job_id)
        if status.name == workflow_names.TRIAGE:
            return triage_row(status)
        full_id = status.workflow_id
        return job_row(status, deliveries_of(self._client, [full_id])[full_id])

    @asks_database
    def job(self, job_id: str) -> Job:
        """Return one job as it was enqueued.

        Raises
        ------
        JobNotFoundError
            If there is none.
        """
        return job_of(self._find(job_id))

    @asks_database
    def of_series(self, study_uid: str, series_uid: str) -> tuple[JobRow, ...]:
        """Return the jobs that measure one series, the latest first.

        Those of its corrections are among them. A SEG that was corrected has only its
        own: it measures another series.
        """
        jobs = self._client.list_workflows(
            name=workflow_names.JOB,
            user=series_key(study_uid, series_uid),
            sort_desc=True,
        )
        if not jobs:
            # A SEG; and version 0.1.0 enqueued without the key.
            jobs = [
                status
                for status in self._client.list_workflows(
                    name=workflow_names.JOB, limit=_SEARCHED, sort_desc=True
                )
                if _series_of(status) == (study_uid, series_uid)
            ]
        deliveries = deliveries_of(
            self._client, [status.workflow_id for status in jobs]
        )
        return tuple(job_row(job, deliveries[job.workflow_id]) for job in jobs)

    @asks_database
    def unsettled(self) -> Mapping[str, str]:
        """Return the digest of the series of every job that is not settled, by id.

        A correction that is not settled needs the jobs that it corrects, too.
        """
        return unsettled(self._client)

    @asks_database
    def retry(
        self, job_id: str, *, results_kept: bool, peer: str | None = None
    ) -> JobRow:
        """Begin again what failed: the deliveries that did, or the whole job.

        Parameters
        ----------
        results_kept
            Whether the results still lie in the outbox; if so, they are not made anew.
        peer
            The only one to which is delivered again; None for all that lack results.

        Raises
        ------
        JobNotFoundError
            If there is no such job.
        JobStateError
            If it neither failed nor was cancelled.
        """
        status = self._find(job_id)
        if status.name == workflow_names.TRIAGE:
            return self._triage_again(status)
        job_id = status.workflow_id
        deliveries = deliveries_of(self._client, [job_id])[job_id]
        row = job_row(status, deliveries)
        if not may_retry(row):
            raise JobStateError(job_id, state=row.state, wanted="retry")
        discard(self._client, job_id, is_discarded=False)
        owed = undelivered(deliveries, peer)
        if owed and results_kept:
            for attempt in owed.values():
                deliver_again(self._client, job_of(status), attempt)
        else:
            begin_anew(self._client, job_id, deliveries, owed)
        return self.show(job_id)

    @asks_database
    def resend(self, job_id: str, *, peer: str | None = None) -> JobRow:
        """Deliver all results of a settled job once more, whatever peers hold.

        Parameters
        ----------
        peer
            The only one that gets them; None for all that were to get them.

        Raises
        ------
        JobNotFoundError
            If there is no such job.
        JobStateError
            If it is not settled, or has delivered nothing to that peer.
        """
        status = self._find(job_id)
        row = self.show(status.workflow_id)
        attempts = delivered(deliveries_of(self._client, [row.id])[row.id], peer)
        if not is_over(row) or not attempts:
            raise JobStateError(row.id, state=row.state, wanted="resend")
        discard(self._client, row.id, is_discarded=False)
        for attempt in attempts:
            deliver_again(self._client, job_of(status), attempt, is_whole=True)
        return self.show(row.id)

    @asks_database
    def lacking(self, peer: str) -> tuple[JobRow, ...]:
        """Return the jobs whose results a peer lacks, and which were given up."""
        return tuple(row for row in self.all_rows() if peer in lacking_peers(row))

    @asks_database
    def cancel(self, job_id: str) -> JobRow:
        """Give up a job that is not settled, or results that a peer lacks for good.

        A step that runs is not waited for: the supervisor ends it soon.

        Raises
        ------
        JobNotFoundError
            If there is no such job.
        JobStateError
            If it is settled, and no results are owed.
        """
        row = self.show(job_id)
        if not may_cancel(row):
            raise JobStateError(row.id, state=row.state, wanted="cancel")
        for _ in range(_CANCEL_ROUNDS):
            if is_over(row):
                break
            self._client.cancel_workflows([row.id, *self._parts(row.id)])
            row = self.show(row.id)
            # An attempt that was just ending has put the next one into the queue.
            time.sleep(_CANCEL_PAUSE_S)
        if lacking_peers(row):
            discard(self._client, row.id, is_discarded=True)
        return self.show(row.id)

    @asks_database
    def rerun(self, job_id: str) -> JobRow:
        """Triage the series of a settled job again, with the settings of today.

        Raises
        ------
        JobNotFoundError
            If there is no such job.
        JobStateError
            If it is not settled.
        """
        status = self._find(job_id)
        row = self.show(status.workflow_id)
        if not is_settled(row):
            raise JobStateError(row.id, state=row.state, wanted="re-run")
        series = (
            order_of(status) if status.name == workflow_names.TRIAGE else job_of(status)
        ).series
        order = TriageOrder(series=series, occasion=uuid4().hex, is_rerun=True)
        self.enqueue_triage(order)
        return self.show(order.id)

    @asks_database
    def is_triaging(self, study_uid: str, series_uid: str) -> bool:
        """Tell whether a series waits for its first triage."""
        return any(
            order_of(status).attempt == 1
            for status in self._client.list_workflows(
                name=workflow_names.TRIAGE,
                user=series_key(study_uid, series_uid),
                status=list(ACTIVE),
                load_output=False,
            )
        )

    @asks_database
    def all_rows(self) -> tuple[JobRow, ...]:
        """Return every job, and every series of which triage has made none."""
        return all_rows(self._client)

    @asks_database
    def forget_triages(self, study_uid: str, series_uid: str) -> None:
        """Forget the triages of a series that was removed from the spool."""
        forget_triages(self._client, series_key(study_uid, series_uid))

    def prune(
        self, *, settled_before_s: float, keep: Collection[str] = ()
    ) -> Iterator[tuple[JobRow, ...]]:
        """Forget the jobs that were settled before a POSIX time.

        Parameters
        ----------
        keep
            Ids of jobs that stay all the same.

        Yields
        ------
        tuple of JobRow
            Some jobs that were forgotten, or none so far.
        """
        with OldJobs(self._database_url, self._client) as old:
            yield from old.prune(settled_before_s=settled_before_s, keep=keep)

    def _find(self, job_id: str) -> WorkflowStatus:
        found = self._client.list_workflows(
            name=[workflow_names.TRIAGE, workflow_names.JOB],
            workflow_id_prefix=job_id,
            limit=_FOUND,
            sort_desc=True,
        )
        if len({order_id(one.workflow_id) for one in found}) != 1 or not job_id:
            how = "no job" if not found else "more than one job"
            message = f"{how} begins with {job_id!r}"
            raise JobNotFoundError(message)
        status = last_attempt(found)
        made = job_made_by(status)
        return self._find(made) if made else status

    def _triage_again(self, status: WorkflowStatus) -> JobRow:
        row = triage_row(status)
        if not may_retry(row):
            raise JobStateError(row.id, state=row.state, wanted="retry")
        self.lost_work.forgive(status.workflow_id)
        self._client.rewind_workflow(status.workflow_id, queue_name=dbos_setup.TRIAGES)
        return self.show(row.id)

    def _parts(self, job_id: str) -> Sequence[str]:
        """Return deliveries of a job, or attempts of a triage, that are not settled."""
        made = self._client.list_workflows(
            name=[workflow_names.TRIAGE, workflow_names.DELIVERY],
            workflow_id_prefix=[f"{job_id}:", f"{job_id}-"],
            status=list(ACTIVE),
            load_input=False,
        )
        return [status.workflow_id for status in made]


def _series_of(status: WorkflowStatus) -> tuple[str, str]:
    series = job_of(status).series
    return series.study_uid, series.series_uid
