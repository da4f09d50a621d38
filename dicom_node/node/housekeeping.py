"""Removes what was settled long ago, and sooner what was delivered if the disk fills.

Results that a peer still lacks are never removed: an operator is told of them.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from dicom_node import log
from dicom_node.asked_commitments import AskedCommitments
from dicom_node.errors import NodeError
from dicom_node.jobs.job_state import lacking_peers
from dicom_node.jobs.queue import JobQueue
from dicom_node.node.enqueue_series import Intake
from dicom_node.records import JobRow, JobState, ReceivedSeries
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.retention import (
    RemovableBefore,
    sweep_aside,
    sweep_jobs,
    sweep_series,
    undelivered_bytes,
)
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout

_EVERY_S = 3600.0
_DISK_LOOK_S = 10.0
_EARLY_EVERY_S = 60.0
"""At least, between two sweeps for want of disk: each reads all jobs."""
_UNTOUCHED_S = 600.0
"""What is younger is not removed for want of disk: its sender may be about to go on."""
_HOUR_S = 3600.0
_DAY_S = 86400.0
_GIB = 2**30
_WELL = frozenset({JobState.DONE, JobState.REJECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Jobs:
    """What retention has to know of all jobs.

    Parameters
    ----------
    needed
        Ids of the jobs that are not settled, or that those correct.
    needed_content
        Digests of the series of these jobs.
    undelivered
        The jobs that have given up to deliver their results to a peer, by id.
    states
        States of all jobs by the digest of their series.
    """

    needed: Collection[str]
    needed_content: Collection[str]
    undelivered: Mapping[str, JobRow]
    states: Mapping[str, Collection[JobState]]


class Housekeeping:
    """Cleans up once an hour, and as soon as the disk fills.

    Parameters
    ----------
    first_at_s
        Not before this time, on the monotonic clock; by default at once.
    """

    def __init__(
        self,
        settings: Settings,
        queue: JobQueue,
        intake: Intake,
        *,
        first_at_s: float = float("-inf"),
    ) -> None:
        self._layout = SpoolLayout(settings.spool.folder)
        self._queue = queue
        self._intake = intake
        self._next_s = first_at_s
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Go by these settings, at the next turns."""
        spool = settings.spool
        self._keep_s = spool.keep_days * _DAY_S
        self._keep_rejected_s = min(spool.keep_rejected_h * _HOUR_S, self._keep_s)
        self._keep_asked_s = settings.jobs.retry_days * _DAY_S + _DAY_S
        self._wanted_bytes = round(spool.free_early_gb * _GIB)
        self._next_disk_look_s = float("-inf")

    def turn(self, now_s: float) -> None:
        """Clean up if it is time.

        Parameters
        ----------
        now_s
            Monotonic time.
        """
        if now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            self._guarded(lambda: self.clean(now_s=time.time()))
        if now_s >= self._next_disk_look_s:
            self._next_disk_look_s = now_s + _DISK_LOOK_S
            if not self._has_enough():
                self._next_disk_look_s = now_s + _EARLY_EVERY_S
                self._guarded(lambda: self.free_early(now_s=time.time()))

    def clean(self, *, now_s: float) -> None:
        """Remove what was settled, and not touched since, long before a POSIX time."""
        jobs = self._jobs()
        before_s = now_s - self._keep_s
        sweep_jobs(
            self._layout, before_s=before_s, needed={*jobs.needed, *jobs.undelivered}
        )

        def removable_before(series: ReceivedSeries) -> float | None:
            if self._is_needed(series, jobs):
                return None
            states = set(jobs.states.get(series.digest, ()))
            is_rejected = states == {JobState.REJECTED}
            return now_s - self._keep_rejected_s if is_rejected else before_s

        self._sweep_series(removable_before)
        sweep_aside(self._layout, before_s=before_s)
        AskedCommitments(self._layout).sweep(before_s=now_s - self._keep_asked_s)
        self._queue.prune(settled_before_s=before_s, keep=set(jobs.undelivered))
        self._log_undelivered(jobs.undelivered.values())

    def free_early(self, *, now_s: float) -> None:
        """Remove what was delivered or rejected until there is enough of the disk.

        First what costs nothing to lose, then the series, then the results, from which
        a reader's corrections and follow-ups are measured.
        """
        jobs = self._jobs()
        before_s = now_s - _UNTOUCHED_S

        def removable_before(series: ReceivedSeries) -> float | None:
            states = jobs.states.get(series.digest, ())
            is_well = bool(states) and _WELL.issuperset(states)
            return before_s if is_well and not self._is_needed(series, jobs) else None

        log.warning("disk_filling", free_bytes=self._free_bytes())
        sweep_aside(self._layout, before_s=before_s)
        self._sweep_series(removable_before, is_enough=self._has_enough)
        sweep_jobs(
            self._layout,
            before_s=before_s,
            needed={*jobs.needed, *jobs.undelivered},
            is_enough=self._has_enough,
        )
        if not self._has_enough():
            log.error("disk_not_freed", free_bytes=self._free_bytes())
            self._log_undelivered(jobs.undelivered.values())

    def _jobs(self) -> _Jobs:
        needed = self._queue.unsettled()
        rows = self._queue.all_rows()
        states = defaultdict(list)
        for row in rows:
            states[row.digest].append(row.state)
        return _Jobs(
            needed=needed.keys(),
            needed_content=set(needed.values()),
            undelivered={row.id: row for row in rows if lacking_peers(row)},
            states=states,
        )

    def _is_needed(self, series: ReceivedSeries, jobs: _Jobs) -> bool:
        key = SeriesKey(series.study_uid, series.series_uid)
        return series.digest in jobs.needed_content or self._intake.collects(key)

    def _sweep_series(
        self,
        removable_before: RemovableBefore,
        *,
        is_enough: Callable[[], bool] = lambda: False,
    ) -> None:
        for key in sweep_series(
            self._layout, removable_before=removable_before, is_enough=is_enough
        ):
            self._intake.forget(key)
            # If it is sent again, it is triaged again: settings may have changed.
            self._queue.forget_triages(key.study_uid, key.series_uid)

    def _log_undelivered(self, rows: Iterable[JobRow]) -> None:
        by_peer: Counter[str] = Counter()
        jobs: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            for peer in lacking_peers(row):
                by_peer[peer] += 1
                jobs[peer].append(row.id)
        for peer, count in sorted(by_peer.items()):
            log.warning(
                "results_undelivered",
                peer=peer,
                instances=count,
                bytes=undelivered_bytes(self._layout, jobs[peer]),
                reason="results stay in the outbox until they are delivered",
            )

    def _has_enough(self) -> bool:
        return self._free_bytes() >= self._wanted_bytes

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._layout.folder).free
        except OSError:
            return self._wanted_bytes  # a disk that fails is told of by those who write

    def _guarded(self, clean: Callable[[], None]) -> None:
        try:
            clean()
        except (NodeError, OSError, ValueError) as error:
            log.error("housekeeping_failed", reason=type(error).__name__)
