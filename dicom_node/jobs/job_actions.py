"""What the commands of `jobs` and the buttons of the page do about a job."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from dicom_node.errors import JobNotFoundError, JobStateError, NothingToSendError
from dicom_node.jobs.job_verbs import SHORT_ID, Verb
from dicom_node.jobs.queue import JobQueue
from dicom_node.records import JobRow, JobState
from dicom_node.spool_layout import SpoolLayout, deliverable


class JobActions:
    """Actions of an operator, on the jobs and the outbox of one node."""

    def __init__(self, queue: JobQueue, layout: SpoolLayout) -> None:
        self._queue = queue
        self._layout = layout

    def do(self, verb: Verb, job_id: str) -> JobRow:
        """Do one thing about one job.

        Raises
        ------
        NodeError
            If there is no such job, or nothing of the kind is to be done about it.
        """
        if verb is Verb.RETRY:
            return self.retry(self._queue.show(job_id).id)
        if verb is Verb.RESEND:
            (row,) = self.resend([self._queue.show(job_id)])
            return row
        if verb is Verb.RERUN:
            return self._queue.rerun(job_id)
        return self._queue.cancel(job_id)

    def retry(self, job_id: str, *, peer: str | None = None) -> JobRow:
        """Begin again what failed, to one peer or all that lack results."""
        is_kept = self._has_results(job_id)
        return self._queue.retry(job_id, results_kept=is_kept, peer=peer)

    def retry_all(
        self, *, is_failed: bool, peer: str | None = None
    ) -> tuple[JobRow, ...]:
        """Begin again all that failed, all that a peer lacks, or what is both."""
        rows = self._queue.all_rows() if peer is None else self._queue.lacking(peer)
        begun: list[JobRow] = []
        for row in rows:
            if is_failed and row.state is not JobState.FAILED:
                continue
            # Another may have begun it, or retention have removed it, meanwhile.
            with suppress(JobStateError, JobNotFoundError):
                begun.append(self.retry(row.id, peer=peer))
        return tuple(begun)

    def resend(
        self, jobs: Sequence[JobRow], *, peer: str | None = None
    ) -> tuple[JobRow, ...]:
        """Deliver the results of jobs once more, if all of them are still there.

        Raises
        ------
        NothingToSendError
            If those of one were removed; then nothing is sent.
        """
        for row in jobs:
            if not self._has_results(row.id):
                text = (
                    f"the results of job {row.id} are no longer in the outbox; "
                    f"`jobs rerun {row.id[:SHORT_ID]}` makes them anew"
                )
                raise NothingToSendError(text)
        return tuple(self._queue.resend(row.id, peer=peer) for row in jobs)

    def _has_results(self, job_id: str) -> bool:
        return bool(deliverable(self._layout.job_outbox(job_id)))
