"""What is owed, seen from outside a worker: enqueue, list, show, retry, cancel."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from dbos import EnqueueOptions, WorkflowStatus
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import JobDatabaseError, JobNotFoundError, JobStateError
from dicom_node.identifiers import digest
from dicom_node.jobs import dbos_setup
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.job_record import job_to_record
from dicom_node.jobs.job_state import ACTIVE, job_of, job_row, latest_attempts
from dicom_node.records import Job, JobRow, JobState

_RETRYABLE = frozenset({JobState.FAILED, JobState.CANCELLED})
_SETTLED = _RETRYABLE | {JobState.DONE, JobState.REJECTED}
_CANCEL_ROUNDS = 20
_CANCEL_PAUSE_S = 0.1
"""Two seconds for a worker to put into the queue what it was about to."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _asks_database(
    method: Callable[Concatenate[JobQueue, _P], _R],
) -> Callable[Concatenate[JobQueue, _P], _R]:
    """Make an error of the database one of ours, without the URL that it quotes."""

    @wraps(method)
    def asked(self: JobQueue, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(self, *args, **kwargs)
        except (SQLAlchemyError, dbos_error.DBOSException) as error:
            message = f"the job database failed: {type(error).__name__}"
            raise JobDatabaseError(message) from error

    return asked


class JobQueue:
    """A client of the job database; runs no workflow.

    Parameters
    ----------
    database_url
        A database that `dbos_setup.prepare_database` has made.

    Raises
    ------
    JobDatabaseError
        By every method, if the database cannot be read or written.
    """

    def __init__(self, database_url: str) -> None:
        try:
            self._client = dbos_setup.open_client(database_url)
        except (SQLAlchemyError, dbos_error.DBOSException) as error:
            message = f"the job database cannot be opened: {type(error).__name__}"
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

    @_asks_database
    def enqueue(self, job: Job) -> None:
        """Owe a job; an id that is known, in whatever state, changes nothing."""
        options: EnqueueOptions = {
            "workflow_name": dbos_setup.JOB,
            "queue_name": dbos_setup.REJECTIONS
            if job.rejection
            else dbos_setup.ANALYSES,
            "workflow_id": job.id,
            # The only word of ours by which both databases find workflows.
            "authenticated_user": _series_key(job.series.study_uid, job.measured_uid),
        }
        self._client.enqueue(options, job_to_record(job))

    @_asks_database
    def list(self, *, limit: int = 200) -> tuple[JobRow, ...]:
        """Return the jobs accepted last, the latest first."""
        jobs = self._client.list_workflows(
            name=dbos_setup.JOB, limit=limit, sort_desc=True, load_output=True
        )
        if not jobs:
            return ()
        deliveries = self._deliveries([status.workflow_id for status in jobs])
        return tuple(job_row(job, deliveries[job.workflow_id]) for job in jobs)

    @_asks_database
    def show(self, job_id: str) -> JobRow:
        """Return one job; a unique beginning of its id is enough.

        Raises
        ------
        JobNotFoundError
            If none or more than one begins so.
        """
        status = self._find(job_id)
        full_id = status.workflow_id
        return job_row(status, self._deliveries([full_id])[full_id])

    @_asks_database
    def job(self, job_id: str) -> Job:
        """Return one job as it was enqueued.

        Raises
        ------
        JobNotFoundError
            If there is none.
        """
        return job_of(self._find(job_id))

    @_asks_database
    def of_series(self, study_uid: str, series_uid: str) -> tuple[JobRow, ...]:
        """Return the jobs that measure one series, the latest first.

        Those of its corrections are among them. A SEG that was corrected has only its
        own: it measures another series.
        """
        jobs = self._client.list_workflows(
            name=dbos_setup.JOB, user=_series_key(study_uid, series_uid), sort_desc=True
        )
        if not jobs:
            # A SEG; and version 0.1.0 enqueued without the key.
            return tuple(
                row
                for row in self.list()
                if (row.study_uid, row.series_uid) == (study_uid, series_uid)
            )
        deliveries = self._deliveries([status.workflow_id for status in jobs])
        return tuple(job_row(job, deliveries[job.workflow_id]) for job in jobs)

    @_asks_database
    def unsettled(self) -> Mapping[str, str]:
        """Return the digest of the series of every job that is not settled, by id.

        A correction that is not settled needs the jobs that it corrects, too.
        """
        jobs = self._client.list_workflows(
            name=[dbos_setup.JOB, dbos_setup.DELIVERY],
            status=list(ACTIVE),
            load_output=False,
        )
        needed = {}
        for job in map(job_of, jobs):
            needed[job.id] = job.series.digest
            needed.update(_corrected(job))
        return needed

    @_asks_database
    def retry(self, job_id: str, *, results_kept: bool) -> JobRow:
        """Begin again what failed: the deliveries that did, or the whole job.

        Parameters
        ----------
        results_kept
            Whether the results still lie in the outbox; if so, they are not made anew.

        Raises
        ------
        JobNotFoundError
            If there is no such job.
        JobStateError
            If it neither failed nor was cancelled.
        """
        status = self._find(job_id)
        job_id = status.workflow_id
        deliveries = self._deliveries([job_id])[job_id]
        row = job_row(status, deliveries)
        if row.state not in _RETRYABLE:
            raise JobStateError(job_id, state=row.state, wanted="retry")
        owed = {
            which.peer: attempt
            for which, attempt in latest_attempts(deliveries).items()
            if not _stored(attempt)
        }
        if owed and results_kept:
            for attempt in owed.values():
                self._deliver_again(attempt)
        else:
            self._begin_anew(job_id, deliveries, set(owed))
        return self.show(job_id)

    @_asks_database
    def cancel(self, job_id: str) -> JobRow:
        """Give up a job that is not settled; a step that runs is not waited for.

        Raises
        ------
        JobNotFoundError
            If there is no such job.
        JobStateError
            If it is settled.
        """
        row = self.show(job_id)
        if row.state in _SETTLED:
            raise JobStateError(row.id, state=row.state, wanted="cancel")
        for _ in range(_CANCEL_ROUNDS):
            self._client.cancel_workflows([row.id, *self._active_deliveries(row.id)])
            row = self.show(row.id)
            if row.state in _SETTLED:
                break
            # An attempt that was just ending has put the next one into the queue.
            time.sleep(_CANCEL_PAUSE_S)
        return row

    @_asks_database
    def prune(self, *, settled_before_s: float) -> tuple[JobRow, ...]:
        """Forget the jobs that were settled before a POSIX time, and return them."""
        until = datetime.fromtimestamp(settled_before_s, UTC).isoformat()
        jobs = self._client.list_workflows(name=dbos_setup.JOB, end_time=until)
        if not jobs:
            return ()
        deliveries = self._deliveries([status.workflow_id for status in jobs])
        old = []
        for status in jobs:
            attempts = deliveries[status.workflow_id]
            row = job_row(status, attempts)
            if row.settled_at_s is not None and row.settled_at_s < settled_before_s:
                old.append(row)
                ids = [row.id, *(attempt.workflow_id for attempt in attempts)]
                self._client.delete_workflows(ids)
        return tuple(old)

    def _find(self, job_id: str) -> WorkflowStatus:
        found = self._client.list_workflows(
            name=dbos_setup.JOB, workflow_id_prefix=job_id, limit=2
        )
        if len(found) != 1 or not job_id:
            how = "no job" if not found else "more than one job"
            message = f"{how} begins with {job_id!r}"
            raise JobNotFoundError(message)
        return found[0]

    def _deliveries(
        self, job_ids: Sequence[str]
    ) -> Mapping[str, Sequence[WorkflowStatus]]:
        by_job = defaultdict(list)
        prefixes = [f"{job_id}:" for job_id in job_ids]
        for status in self._client.list_workflows(
            name=dbos_setup.DELIVERY, workflow_id_prefix=prefixes, load_input=False
        ):
            by_job[DeliveryId.parse(status.workflow_id).job_id].append(status)
        return by_job

    def _active_deliveries(self, job_id: str) -> Sequence[str]:
        return [
            status.workflow_id
            for status in self._deliveries([job_id])[job_id]
            if status.status in ACTIVE
        ]

    def _deliver_again(self, attempt: WorkflowStatus) -> None:
        which = DeliveryId.parse(attempt.workflow_id)
        job = self.job(which.job_id)
        stored = attempt.output["stored"] if isinstance(attempt.output, dict) else []
        options: EnqueueOptions = {
            "workflow_name": dbos_setup.DELIVERY,
            "queue_name": dbos_setup.DELIVERIES,
            "queue_partition_key": which.peer,
            "workflow_id": str(which.next()),
        }
        first_attempt = 1
        self._client.enqueue(
            options, job_to_record(job), which.peer, first_attempt, stored
        )

    def _begin_anew(
        self, job_id: str, deliveries: Sequence[WorkflowStatus], owed: set[str]
    ) -> None:
        """Run the job from its first step; peers that hold the results get no more."""
        forgotten = [
            status.workflow_id
            for status in deliveries
            if DeliveryId.parse(status.workflow_id).peer in owed
        ]
        if forgotten:
            self._client.delete_workflows(forgotten)
        self._client.rewind_workflow(job_id, queue_name=dbos_setup.ANALYSES)


def _corrected(job: Job) -> Mapping[str, str]:
    """Return the jobs whose results a correction needs, and what they measured."""
    told = job.correction
    if told is None:
        return {}
    return {one: told.first_digest for one in (told.former, told.first) if one}


def _series_key(study_uid: str, series_uid: str) -> str:
    """Return the word by which the jobs that measure a series are found."""
    return digest(study_uid, series_uid)


def _stored(attempt: WorkflowStatus) -> bool:
    return isinstance(attempt.output, dict) and attempt.output["verdict"] == "done"
