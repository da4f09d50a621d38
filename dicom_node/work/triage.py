"""Triage: headers are read, the route is chosen, and the job that is owed is named."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from dicom_node import log
from dicom_node.corrections.match import (
    Drawn,
    Fitting,
    drawn_in,
    fitting_route,
    is_awaited,
    is_with_a_peer,
    place,
)
from dicom_node.decode.read_file import limits_of
from dicom_node.errors import JobStateError
from dicom_node.jobs.content_times_table import ContentTimesTable
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.step_outcome import TriageOutcome, Verdict
from dicom_node.jobs.triage_lock import TriageLock
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.plugins.choose_route import Choice, choose_from_headers
from dicom_node.plugins.registry import Registry
from dicom_node.records import Correction, Job, JobRow, JobState, Reason, ReceivedSeries
from dicom_node.series.content_times import first_accepted_s, known_since_s
from dicom_node.series.manifest import is_arriving, latest_series
from dicom_node.series.verify_files import verify_files
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout, deliverable
from dicom_node.work.result_identity import result_id, shape_of, shape_of_rejection

_UNSETTLED = frozenset({JobState.WAITING, JobState.RUNNING, JobState.DELIVERING})


class Triage:
    """Triages series, one after another, and queues the jobs that they are owed.

    A triage may run again at any time, as after a crash: it arrives at the same job,
    and a job that is known is not owed again.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        queue: JobQueue,
        *,
        is_one_of_several: bool = False,
    ) -> None:
        self._settings = settings
        self._times = (
            ContentTimesTable(settings.database_url) if is_one_of_several else None
        )
        self._layout = SpoolLayout(settings.spool.folder)
        self._registry = registry
        self._queue = queue
        self._limits = limits_of(settings.work.max_inflated_mb)
        self._one_at_a_time = threading.Lock()
        self._lock = TriageLock(settings.database_url, self._layout)

    def run(self, order: TriageOrder) -> TriageOutcome:
        """Name the job that a series is owed, and enqueue it.

        Raises
        ------
        InstanceMissingError
            If files of the series have gone.
        AnalysisBrokeError
            If an analysis that is asked does not answer.
        NodeError
            If the spool or the database cannot be used; retryable.
        """
        with self._one_at_a_time, self._lock.held(order.series.study_uid):
            verify_files(order.series)
            drawn = drawn_in(order.series, self._limits)
            corrected = None if drawn is None else self._correction(order, drawn)
            return corrected or self._analysis(order)

    def _analysis(self, order: TriageOrder) -> TriageOutcome:
        """Owe the job that measures a series with the network, or its rejection."""
        series = order.series
        rows = self._queue.of_series(series.study_uid, series.series_uid)
        choice = choose_from_headers(
            [instance.path for instance in series.instances],
            self._settings.routes,
            self._registry,
            limits=self._limits,
        )
        job = self._shaped(series, choice)
        known = _known(job, rows, order)
        if known is not None:
            return self._known_already(known)
        # A correction is of the content that was there when it came, also if this was
        # sent once more since then.
        content_since_s = job.content_time_s or series.accepted_at_s
        rows = tuple(
            self._given_up(row)
            if row.state in _UNSETTLED
            and (not row.corrects or row.accepted_at_s < content_since_s)
            else row
            for row in rows
        )
        older = (row for row in rows if is_with_a_peer(row))
        supersedes = next((row.result_id for row in older), None)
        return self._owe(replace(job, supersedes=supersedes))

    def _given_up(self, row: JobRow) -> JobRow:
        """Cancel the job of former content, and return it as it is then."""
        try:
            row = self._queue.cancel(row.id)
        except JobStateError:
            return self._queue.show(row.id)  # it was settled meanwhile
        log.event("job_superseded", job_id=row.id, series_uid=row.series_uid)
        return row

    def _correction(self, order: TriageOrder, drawn: Drawn) -> TriageOutcome | None:
        """Owe the job that measures from a reader's outlines; None if it is none."""
        series = order.series
        source_uid = self._source_of(series, drawn)
        rows = self._queue.of_series(series.study_uid, source_uid)
        others = [row for row in rows if row.digest != series.digest]
        if self._is_pending(series.study_uid, source_uid) or is_awaited(others):
            text = f"waits for the result of series {source_uid}, which it corrects"
            return TriageOutcome(verdict=Verdict.AGAIN, text=text)
        found = fitting_route(drawn, rows, self._settings.routes, self._registry)
        if found is None:
            return None
        if isinstance(found, Reason):
            return self._owe(self._shaped(series, Choice(rejection=found)))
        job = self._shaped(series, _choice_of(found), (source_uid, drawn))
        same = [row for row in rows if row.shape == job.shape]
        if same:
            return self._known_already(same[0])
        placed = place(drawn, source_uid, rows)
        return self._owe(
            replace(job, correction=placed.correction, supersedes=placed.supersedes)
        )

    def _source_of(self, series: ReceivedSeries, drawn: Drawn) -> str:
        """Return the series to which a SEG refers and that we know, else the first."""
        for uid in drawn.source_uids:
            if self._layout.series_folder(series.study_uid, uid).is_dir():
                return uid
        return drawn.source_uids[0]

    def _is_pending(self, study_uid: str, series_uid: str) -> bool:
        """Tell whether a series is arriving, or complete and not yet triaged."""
        return self._queue.is_triaging(study_uid, series_uid) or is_arriving(
            self._layout,
            study_uid,
            series_uid,
            since_s=time.time() - self._settings.series.max_wait_s,
        )

    def _shaped(
        self,
        series: ReceivedSeries,
        choice: Choice,
        drawn: tuple[str, Drawn] | None = None,
    ) -> Job:
        """Return a job that has everything but an id and what it replaces."""
        job = Job(
            id="",
            series=series,
            route=choice.route,
            analysis=choice.analysis,
            analysis_version=choice.analysis_version,
            accepted_at_s=series.accepted_at_s,
            rejection=choice.rejection,
            content_time_s=self._first_accepted_s(series),
            correction=None
            if drawn is None
            else Correction(
                series_uid=drawn[0], sop_instance_uid=drawn[1].sop_instance_uid
            ),
        )
        if choice.rejection is not None:
            return replace(job, shape=shape_of_rejection(job))
        (route,) = (one for one in self._settings.routes if one.name == choice.route)
        measured = (
            series
            if drawn is None
            else latest_series(self._layout, series.study_uid, drawn[0])
        )
        shape = shape_of(job, measured, route, self._settings)
        return replace(job, shape=shape)

    def _first_accepted_s(self, series: ReceivedSeries) -> float:
        path, first_s = self._layout.content_times, series.accepted_at_s
        if self._times is None:
            return first_accepted_s(path, series.digest, first_s)
        # What the node noted in its file when it was one machine still holds.
        known_s = known_since_s(path, series.digest)
        return self._times.first_accepted_s(
            series.digest, first_s if known_s is None else known_s
        )

    def _owe(self, job: Job) -> TriageOutcome:
        job = replace(job, id=result_id(job, job.shape))
        self._queue.enqueue(job)
        code, text = job.rejection or ("", "")
        return TriageOutcome(verdict=Verdict.DONE, code=code, text=text, job_id=job.id)

    def _known_already(self, row: JobRow) -> TriageOutcome:
        """Owe nothing new; but what has failed is begun again."""
        if row.state is JobState.FAILED:
            kept = bool(deliverable(self._layout.job_outbox(row.id)))
            self._queue.retry(row.id, results_kept=kept)
        return TriageOutcome(verdict=Verdict.DONE, job_id=row.id)


def _known(job: Job, rows: Sequence[JobRow], order: TriageOrder) -> JobRow | None:
    """Return the job by which a series has been owed what it is owed, if there is one.

    Parameters
    ----------
    rows
        The jobs of the series, the latest first.
    """
    own = [
        row for row in rows if not row.corrects and row.state is not JobState.CANCELLED
    ]
    if not own:
        return None
    latest = max(own, key=lambda row: row.revision)
    if latest.shape == job.shape or latest.revision > job.series.revision:
        return latest
    # A reader's work is not replaced because an archive sent the pictures once more.
    is_corrected = any(row.corrects and is_with_a_peer(row) for row in rows)
    if latest.digest == job.series.digest and is_corrected and not order.is_rerun:
        return latest
    return None


def _choice_of(fitting: Fitting) -> Choice:
    return Choice(
        route=fitting.route.name,
        analysis=fitting.analysis.name,
        analysis_version=fitting.analysis.version,
    )
