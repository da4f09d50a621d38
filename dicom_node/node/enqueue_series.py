"""From an event of an acceptor to a series whose triage is durably queued."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dicom_node import log
from dicom_node.dimse.contexts import MEASURED_CLASSES
from dicom_node.errors import JobDatabaseError, NodeError
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.node.first_counts import SENT_AGAIN
from dicom_node.node.instance_count_questions import PeerCounts
from dicom_node.node.tally import Tally
from dicom_node.node_report import Counted
from dicom_node.receive.events import InstanceStored, SpoolEvent
from dicom_node.records import Completion, ReceivedSeries
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.assembler import Assembler, CompletionRules
from dicom_node.series.manifest import mark_owed, write_pending
from dicom_node.series.released_series import take_released, write_released
from dicom_node.series.spool_content import SpoolContent, unreported_instances
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout
from dicom_node.supervisor_messages import AnalyseAhead

_RETRY_S = 5.0
_MAX_AHEAD = 100
"""Instances in a message to a worker. A sagittal T2 series has some 20."""
_MAX_PATHS_CHARACTERS = 40_000
"""Of all their paths. Then a message has 75 KB at most, which a pipe with room takes at
once, whether or not anybody reads it: a frozen worker must not hold the supervisor."""


class Intake:
    """Assembles series, and queues the triage of each one that is complete.

    It knows events and digests. What a series holds is the matter of triage, which a
    worker does: no byte that was sent here is parsed where all processes hang on it.
    """

    def __init__(
        self,
        settings: Settings,
        queue: JobQueue,
        counts: PeerCounts | None,
        tally: Tally | None = None,
    ) -> None:
        self._layout = SpoolLayout(settings.spool.folder)
        self._queue = queue
        self._counts = counts
        self._tally = tally or Tally()
        self._assembler = Assembler(
            _rules(settings), ask=None if counts is None else counts.ask
        )
        self._unwritten: list[TriageOrder] = []
        self._retry_at_s = 0.0
        self._read_inbox_at_s = float("inf")

    def follow(self, settings: Settings, counts: PeerCounts | None) -> None:
        """Go by other settings; what is collecting is asked about anew."""
        self._counts = counts
        ask = None if counts is None else counts.ask
        self._assembler.follow(_rules(settings), ask)

    @property
    def is_collecting(self) -> bool:
        """Whether a series is arriving, or complete and its triage not yet queued."""
        return self._assembler.collecting > 0 or bool(self._unwritten)

    def restore(self, content: SpoolContent, now_s: float) -> None:
        """Take up what lay on the disk when the node started."""
        # Both of a series that was sent again: what is pending came later.
        completed = (*content.owed, *content.pending)
        released = take_released(self._layout)
        self._assembler.restore(content.instances, completed, now_s, released)
        # Enqueued or not: an order that is known changes nothing.
        owed = {series.digest for series in content.owed}
        self._unwritten.extend(
            _repeated(series) if series.digest in owed else _first(series)
            for series in sorted(content.pending, key=lambda series: series.revision)
        )

    def note_released(self) -> None:
        """Tell the next start what was sent whole: the node is being stopped."""
        try:
            write_released(self._layout, self._assembler.released())
        except OSError as error:
            log.error("released_not_written", reason=error.strerror)

    def apply(self, event: SpoolEvent, now_s: float) -> bool:
        """Take note of an event; return whether a worker should load the analysis."""
        self._assembler.apply(event, now_s)
        if not isinstance(event, InstanceStored):
            return False
        instance = event.instance
        self._tally.count(Counted.INSTANCES, instance.calling_ae)
        self._tally.count(Counted.BYTES, instance.calling_ae, by=instance.size_bytes)
        return instance.sop_class_uid in MEASURED_CLASSES

    def acceptor_lost(self, name: str, now_s: float) -> None:
        """Take up, at the next tick, what a dead acceptor left unreported."""
        self._assembler.acceptor_lost(name)
        self._read_inbox_at_s = now_s

    def tick(self, now_s: float) -> None:
        """Queue the triage of every series that has become complete."""
        if now_s >= self._read_inbox_at_s:
            self._read_inbox(now_s)
        if self._counts is not None:
            for answer in self._counts.answers():
                self._assembler.counted(answer)
        known = len(self._unwritten)
        self._unwritten += map(_first, self._assembler.tick(now_s))
        self._unwritten += map(_repeated, self._assembler.sent_again(now_s))
        has_new = len(self._unwritten) > known
        if has_new or (self._unwritten and now_s >= self._retry_at_s):
            self._retry_at_s = now_s + _RETRY_S
            self._unwritten = self._write_down(self._unwritten)

    def foreseen(self, now_s: float) -> list[AnalyseAhead]:
        """Return what a worker that is idle may analyse before it is owed."""
        return [
            AnalyseAhead(instances=one.instances, until_s=one.until_s)
            for one in self._assembler.foreseen(now_s)
            if len(one.instances) <= _MAX_AHEAD
            and sum(len(str(each.path)) for each in one.instances)
            <= _MAX_PATHS_CHARACTERS
            and all(each.sop_class_uid in MEASURED_CLASSES for each in one.instances)
        ]

    def collects(self, key: SeriesKey) -> bool:
        """Tell whether a series is arriving."""
        return self._assembler.is_collecting(key)

    def forget(self, key: SeriesKey) -> None:
        """Drop a series that was deleted from the disk."""
        self._assembler.forget(key)

    def _read_inbox(self, now_s: float) -> None:
        """Take up what no event has reported, later if the disk cannot be read now."""
        known = tuple(self._assembler.instances())
        try:
            self._assembler.restore(
                unreported_instances(self._layout, known), (), now_s
            )
        except OSError as error:
            self._read_inbox_at_s = now_s + _RETRY_S
            log.error("inbox_not_read", reason=error.strerror, retry_s=_RETRY_S)
        else:
            self._read_inbox_at_s = float("inf")

    def _write_down(self, orders: Sequence[TriageOrder]) -> list[TriageOrder]:
        """Enqueue orders, and return those that have to be tried again."""
        failed: list[TriageOrder] = []
        others = iter(orders)
        for order in others:
            try:
                self._enqueue(order)
            except JobDatabaseError as error:
                # The database may have kept us waiting, and would with each order.
                _log_not_enqueued(order, error)
                return [*failed, order, *others]
            except NodeError as error:
                _log_not_enqueued(order, error)
                failed.append(order)
        return failed

    def _enqueue(self, order: TriageOrder) -> None:
        series = order.series
        write_pending(self._layout, series)
        self._queue.enqueue_triage(order)
        mark_owed(self._layout, series)
        evidence = SENT_AGAIN if order.occasion else series.completion.value
        self._tally.count(Counted.SERIES, evidence)
        is_doubtful = series.completion is Completion.MAX_WAIT and not order.occasion
        log.event(
            "series_sent_again" if order.occasion else "series_complete",
            level=logging.WARNING if is_doubtful else logging.INFO,
            series_uid=series.series_uid,
            study_uid=series.study_uid,
            calling_ae=series.calling_ae,
            instances=len(series.instances),
            completion=series.completion.value,
            revision=series.revision,
        )


def _rules(settings: Settings) -> CompletionRules:
    series = settings.series
    return CompletionRules(quiet_s=series.quiet_s, max_wait_s=series.max_wait_s)


def _first(series: ReceivedSeries) -> TriageOrder:
    """Return the order for a content that has become complete."""
    return TriageOrder(series=series)


def _repeated(series: ReceivedSeries) -> TriageOrder:
    """Return the order for a series that was sent again, the same after a restart."""
    latest = max(one.generation for one in series.instances)
    return TriageOrder(series=series, occasion=str(latest))


def _log_not_enqueued(order: TriageOrder, error: NodeError) -> None:
    log.error(
        "series_not_enqueued",
        series_uid=order.series.series_uid,
        error_code=error.code,
        reason=str(error),
        retry_s=_RETRY_S,
    )
