"""From an event of an acceptor to a job that is durably owed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dicom_node import log
from dicom_node.corrections.match import (
    Drawn,
    correction_job,
    drawn_in,
    is_awaited,
    is_with_a_peer,
)
from dicom_node.errors import (
    AnalysisUnavailableError,
    InstanceRefusedError,
    NodeError,
)
from dicom_node.jobs.queue import JobQueue
from dicom_node.receive.events import InstanceStored, SpoolEvent
from dicom_node.records import (
    Completion,
    Job,
    JobRow,
    JobState,
    ReceivedSeries,
    StoredInstance,
)
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.assembler import Assembler, CompletionRules
from dicom_node.series.count_confirmation import CountConfirmer
from dicom_node.series.manifest import mark_owed, write_pending
from dicom_node.series.spool_content import SpoolContent, read_instance
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout
from dicom_node.work.plugins import Registry
from dicom_node.work.triage import job_for

_MR_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"})
"""MR and Enhanced MR Image Storage (PS3.4 B.5): what an analysis may want."""

_RETRY_S = 5.0
_LOST_WORD_S = 60.0
"""An acceptor that dies may leave unsaid what it stored; never older than this."""
_UNSETTLED = frozenset({JobState.WAITING, JobState.RUNNING, JobState.DELIVERING})


class Intake:
    """Assembles series, and owes a job for each one that is complete.

    Parameters
    ----------
    imports
        Held by whoever may import a library for the first time: one that two threads
        import at once is seen half made by one of them.
    """

    def __init__(
        self,
        settings: Settings,
        queue: JobQueue,
        registry: Registry,
        confirmer: CountConfirmer | None,
        *,
        imports: threading.Lock,
    ) -> None:
        self._settings = settings
        self._layout = SpoolLayout(settings.spool.folder)
        self._queue = queue
        self._registry = registry
        self._confirmer = confirmer
        self._imports = imports
        self._assembler = Assembler(
            CompletionRules(
                quiet_s=settings.series.quiet_s, max_wait_s=settings.series.max_wait_s
            ),
            ask=None if confirmer is None else confirmer.ask,
        )
        self._unwritten: list[ReceivedSeries] = []
        self._retry_at_s = 0.0

    @property
    def is_collecting(self) -> bool:
        """Whether a series is arriving, or complete and not yet owed."""
        return self._assembler.collecting > 0 or bool(self._unwritten)

    def restore(self, content: SpoolContent, now_s: float) -> None:
        """Take up what lay on the disk when the node started."""
        completed = (*content.pending, *content.owed)
        self._assembler.restore(content.instances, completed, now_s)
        for series in sorted(content.pending, key=lambda series: series.revision):
            # Asked by content, for the id of a job changes with an analysis that was
            # upgraded before this start.
            rows = self._queue.of_series(series.study_uid, series.series_uid)
            if any(row.digest == series.digest for row in rows):
                mark_owed(self._layout, series)
            else:
                self._unwritten.append(series)

    def apply(self, event: SpoolEvent, now_s: float) -> bool:
        """Take note of an event; tell whether a series may need the science soon."""
        self._assembler.apply(event, now_s)
        return (
            isinstance(event, InstanceStored)
            and event.instance.sop_class_uid in _MR_CLASSES
        )

    def acceptor_lost(self, name: str, now_s: float) -> None:
        """Take up what a dead acceptor had stored and not yet told."""
        self._assembler.acceptor_lost(name)
        self._assembler.restore(self._stored_lately(), (), now_s)

    def warm(self) -> None:
        """Import what choosing a route needs, while the series is still arriving."""
        with self._imports:
            for route in self._settings.routes:
                try:
                    self._registry.get(route.analysis)
                except AnalysisUnavailableError as error:
                    log.error(
                        "analysis_unavailable",
                        analysis=route.analysis,
                        reason=str(error),
                    )
            from dicom_node.decode import suitable_series as _select  # noqa: F401

    def tick(self, now_s: float) -> None:
        """Owe a job for every series that has become complete."""
        if self._confirmer is not None:
            for question, count in self._confirmer.answers():
                self._assembler.counted(question, count)
        fresh = self._assembler.tick(now_s)
        self._unwritten.extend(fresh)
        if fresh or (self._unwritten and now_s >= self._retry_at_s):
            self._unwritten = [
                series for series in self._unwritten if not self._try_to_owe(series)
            ]
            self._retry_at_s = now_s + _RETRY_S

    def forget(self, key: SeriesKey) -> None:
        """Drop a series that was deleted from the disk."""
        self._assembler.forget(key)

    def _try_to_owe(self, series: ReceivedSeries) -> bool:
        try:
            return self._owe(series)
        except NodeError as error:
            log.error(
                "series_not_owed",
                series_uid=series.series_uid,
                error_code=error.code,
                reason=str(error),
                retry_s=_RETRY_S,
            )
            return error.code == "series-rejected"

    def _owe(self, series: ReceivedSeries) -> bool:
        """Owe the job of a series; False if it has to wait for another one."""
        write_pending(self._layout, series)
        with self._imports:
            drawn = drawn_in(series)
        if drawn is None:
            self._owe_analysis(series)
            return True
        source_uid = self._source_of(series, drawn)
        rows = self._queue.of_series(series.study_uid, source_uid)
        if self._is_pending(series.study_uid, source_uid) or is_awaited(rows):
            return False
        with self._imports:
            routing = self._settings.routes, self._registry
            job = correction_job(series, drawn, source_uid, rows, routing)
        if job is None:
            self._owe_analysis(series)
            return True
        self._enqueue(job)
        return True

    def _is_pending(self, study_uid: str, series_uid: str) -> bool:
        """Tell whether a series is arriving, or complete and not yet owed."""
        key = SeriesKey(study_uid, series_uid)
        return self._assembler.is_collecting(key) or any(
            SeriesKey(one.study_uid, one.series_uid) == key for one in self._unwritten
        )

    def _source_of(self, series: ReceivedSeries, drawn: Drawn) -> str:
        """Return the series to which a SEG refers and that we know, else the first."""
        for uid in drawn.source_uids:
            if self._assembler.holds(SeriesKey(series.study_uid, uid)):
                return uid
        return drawn.source_uids[0]

    def _owe_analysis(self, series: ReceivedSeries) -> None:
        older = self._supersede(series) if series.revision > 1 else None
        with self._imports:
            job = job_for(
                series,
                self._settings.routes,
                self._registry,
                accepted_at_s=max(one.received_at_s for one in series.instances),
            )
        self._enqueue(replace(job, supersedes=older))

    def _enqueue(self, job: Job) -> None:
        series = job.series
        self._queue.enqueue(job)
        mark_owed(self._layout, series)
        code = None if job.rejection is None else job.rejection[0]
        log.event(
            "series_complete",
            level=(
                logging.WARNING
                if series.completion is Completion.MAX_WAIT
                else logging.INFO
            ),
            series_uid=series.series_uid,
            study_uid=series.study_uid,
            calling_ae=series.calling_ae,
            instances=len(series.instances),
            completion=series.completion.value,
            revision=series.revision,
            job_id=job.id,
            route=job.route or None,
            error_code=code,
        )

    def _supersede(self, series: ReceivedSeries) -> str | None:
        """Give up unsettled jobs of what the series held before, and their corrections.

        Returns
        -------
        str or None
            The latest of the older jobs whose results a peer holds.
        """
        accepted_at_s = max(one.received_at_s for one in series.instances)
        rows = self._queue.of_series(series.study_uid, series.series_uid)
        # The others were enqueued before the node was killed.
        older = [
            row
            for row in rows
            if (
                row.accepted_at_s < accepted_at_s
                if row.corrects
                else row.revision < series.revision
            )
        ]
        self._give_up(older)
        return next((row.id for row in older if is_with_a_peer(row)), None)

    def _give_up(self, rows: Iterable[JobRow]) -> None:
        for row in rows:
            if row.state in _UNSETTLED:
                self._queue.cancel(row.id)
                log.event("job_superseded", job_id=row.id, series_uid=row.series_uid)

    def _stored_lately(self) -> Iterable[StoredInstance]:
        since_s = time.time() - _LOST_WORD_S
        for path in self._layout.inbox.glob("*/*.dcm"):
            instance = _instance_since(path, since_s)
            if instance is not None:
                yield instance


def _instance_since(path: Path, since_s: float) -> StoredInstance | None:
    try:
        if path.stat().st_mtime < since_s:
            return None
        return read_instance(path)
    except (InstanceRefusedError, OSError):
        return None  # found again, and set aside, when the node starts
