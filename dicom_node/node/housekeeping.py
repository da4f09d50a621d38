"""Removes what was settled long ago, and sooner what was delivered if the disk fills.

Results that a peer still lacks are never removed: an operator is told of them. It is
done a step at a time, for the supervisor has other things to do: what is found is
removed in pages, and of each it is asked anew whether nobody needs it.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from dicom_node import log
from dicom_node.asked_commitments import AskedCommitments
from dicom_node.errors import NodeError
from dicom_node.jobs.queue import JobQueue
from dicom_node.node.enqueue_series import Intake
from dicom_node.records import JobState, ReceivedSeries
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.retention import (
    RemovableBefore,
    sweep_aside,
    sweep_jobs,
    sweep_series,
    sweep_torn,
    undelivered_bytes,
)
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout

_EVERY_S = 3600.0
_DISK_LOOK_S = 10.0
_EARLY_EVERY_S = 60.0
"""At least, between two sweeps for want of disk."""
_MOMENT_S = 0.1
"""Of a turn of the supervisor, beyond which it goes on in the next one."""
_LOOK_EVERY_S = 10.0
"""How old what is known of settled jobs may be when something is removed."""
_UNTOUCHED_S = 600.0
"""What is younger is not removed for want of disk: its sender may be about to go on."""
_HOUR_S = 3600.0
_TORN_S = _HOUR_S
"""Nobody takes so long over one write, unless a sender may be silent for longer."""
_DAY_S = 86400.0
_GIB = 2**30
_WELL = frozenset({JobState.DONE, JobState.REJECTED})


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
        self._cleaning: Iterator[None] | None = None
        self._freeing: Iterator[None] | None = None
        self._looked_s = float("-inf")
        self._needed: Collection[str] = ()
        self._needed_content: Collection[str] = ()
        self._lacking: Mapping[str, Sequence[str]] = {}
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Go by these settings, at the next turns."""
        spool = settings.spool
        self._keep_s = spool.keep_days * _DAY_S
        self._keep_rejected_s = min(spool.keep_rejected_h * _HOUR_S, self._keep_s)
        self._torn_s = max(_TORN_S, 2 * settings.node.idle_timeout_s)
        self._keep_asked_s = settings.jobs.retry_days * _DAY_S + _DAY_S
        self._wanted_bytes = round(spool.free_early_gb * _GIB)
        self._next_disk_look_s = float("-inf")

    def turn(self, now_s: float) -> bool:
        """Clean up for a moment, if it is time or something is left to do.

        Parameters
        ----------
        now_s
            Monotonic time.

        Returns
        -------
        bool
            Whether there was anything to do.
        """
        if self._cleaning is None and now_s >= self._next_s:
            self._next_s = now_s + _EVERY_S
            self._cleaning = self.clean(now_s=time.time())
        if self._freeing is None and now_s >= self._next_disk_look_s:
            self._next_disk_look_s = now_s + _DISK_LOOK_S
            if not self._has_enough():
                self._next_disk_look_s = now_s + _EARLY_EVERY_S
                self._freeing = self.free_early(now_s=time.time())
        # What is urgent goes first, and the other goes on where it was.
        if self._freeing is not None:
            self._freeing = _for_a_moment(self._freeing)
            return True
        if self._cleaning is not None:
            self._cleaning = _for_a_moment(self._cleaning)
            return True
        return False

    def clean(self, *, now_s: float) -> Iterator[None]:
        """Remove what was settled, and not touched since, long before a POSIX time.

        Yields whenever something else may be done.
        """
        before_s = now_s - self._keep_s
        rejected_before_s = now_s - self._keep_rejected_s
        yield from _paused(sweep_torn(self._layout, before_s=now_s - self._torn_s))
        yield from self._look()
        yield from _paused(
            sweep_jobs(
                self._layout,
                before_s=before_s,
                is_needed=self._needs_results,
                look_again=self._look_again,
            )
        )

        def removable_before(series: ReceivedSeries) -> float | None:
            if self._is_needed(series):
                return None
            is_rejected = self._states_of(series) == {JobState.REJECTED}
            return rejected_before_s if is_rejected else before_s

        yield from self._sweep_series(removable_before, rejected_before_s)
        yield from _paused(sweep_aside(self._layout, before_s=before_s))
        AskedCommitments(self._layout).sweep(before_s=now_s - self._keep_asked_s)
        self._look_again()
        yield from _paused(
            self._queue.prune(settled_before_s=before_s, keep=self._lacking.keys())
        )
        self._log_undelivered()

    def free_early(self, *, now_s: float) -> Iterator[None]:
        """Remove what was delivered or rejected until there is enough of the disk.

        First what costs nothing to lose, then the series, then the results, from which
        a reader's corrections and follow-ups are measured. Yields as `clean` does.
        """
        yield from _paused(sweep_torn(self._layout, before_s=now_s - self._torn_s))
        if self._has_enough():
            return
        yield from self._look()
        before_s = now_s - _UNTOUCHED_S

        def removable_before(series: ReceivedSeries) -> float | None:
            states = self._states_of(series)
            is_well = bool(states) and _WELL.issuperset(states)
            return before_s if is_well and not self._is_needed(series) else None

        log.warning("disk_filling", free_bytes=self._free_bytes())
        yield from _paused(sweep_aside(self._layout, before_s=before_s))
        yield from self._sweep_series(
            removable_before, before_s, is_enough=self._has_enough
        )
        yield from _paused(
            sweep_jobs(
                self._layout,
                before_s=before_s,
                is_needed=self._needs_results,
                look_again=self._look_again,
                is_enough=self._has_enough,
            )
        )
        if not self._has_enough():
            log.error("disk_not_freed", free_bytes=self._free_bytes())
            self._log_undelivered()

    def _look(self) -> Iterator[None]:
        """Learn what retention has to know of all jobs, as of now."""
        yield from self._queue.contents.refresh()
        self._looked_s = time.monotonic()
        self._lacking = self._queue.contents.lacking()
        needed = self._queue.unsettled()
        self._needed, self._needed_content = needed.keys(), set(needed.values())

    def _look_again(self) -> None:
        """Learn what may have become needed since the last look."""
        if time.monotonic() - self._looked_s >= _LOOK_EVERY_S:
            for _ in self._look():
                pass
            return
        needed = self._queue.unsettled()
        self._needed, self._needed_content = needed.keys(), set(needed.values())

    def _needs_results(self, job_id: str) -> bool:
        return job_id in self._needed or job_id in self._lacking

    def _is_needed(self, series: ReceivedSeries) -> bool:
        key = SeriesKey(series.study_uid, series.series_uid)
        return series.digest in self._needed_content or self._intake.collects(key)

    def _states_of(self, series: ReceivedSeries) -> frozenset[JobState]:
        return self._queue.contents.states_of(series.digest)

    def _sweep_series(
        self,
        removable_before: RemovableBefore,
        touched_before_s: float,
        *,
        is_enough: Callable[[], bool] = lambda: False,
    ) -> Iterator[None]:
        for keys in sweep_series(
            self._layout,
            removable_before=removable_before,
            touched_before_s=touched_before_s,
            look_again=self._look_again,
            is_enough=is_enough,
        ):
            for key in keys:
                self._intake.forget(key)
                # If it is sent again, it is triaged again: settings may have changed.
                self._queue.forget_triages(key.study_uid, key.series_uid)
            yield

    def _log_undelivered(self) -> None:
        by_peer: Counter[str] = Counter()
        jobs: dict[str, list[str]] = defaultdict(list)
        for job_id, peers in self._lacking.items():
            for peer in peers:
                by_peer[peer] += 1
                jobs[peer].append(job_id)
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


def _paused(steps: Iterable[object]) -> Iterator[None]:
    """Yield at every step of something."""
    for _ in steps:
        yield


def _for_a_moment(steps: Iterator[None]) -> Iterator[None] | None:
    """Go on with something for a moment; return what is left of it."""
    until_s = time.monotonic() + _MOMENT_S
    try:
        for _ in steps:
            if time.monotonic() >= until_s:
                return steps
    except (NodeError, OSError, ValueError) as error:
        log.error("housekeeping_failed", reason=type(error).__name__)
    return None
