"""Once an hour: settled jobs, their results and their series are removed."""

from __future__ import annotations

import time

from dicom_node import log
from dicom_node.errors import NodeError
from dicom_node.jobs.queue import JobQueue
from dicom_node.node.enqueue_series import Intake
from dicom_node.series.retention import sweep_fetched, sweep_jobs, sweep_series
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout

_EVERY_S = 3600.0
_DAY_S = 86400.0


class Housekeeping:
    """Removes what has been settled for longer than `keep_days`."""

    def __init__(self, settings: Settings, queue: JobQueue, intake: Intake) -> None:
        self._layout = SpoolLayout(settings.spool.folder)
        self._keep_s = settings.spool.keep_days * _DAY_S
        self._queue = queue
        self._intake = intake
        self._next_s = float("-inf")

    def turn(self, now_s: float) -> None:
        """Clean up if it is time.

        Parameters
        ----------
        now_s
            Monotonic time.
        """
        if now_s < self._next_s or self._intake.is_collecting:
            return
        self._next_s = now_s + _EVERY_S
        try:
            self.clean(before_s=time.time() - self._keep_s)
        except (NodeError, OSError) as error:
            log.error("housekeeping_failed", reason=type(error).__name__)

    def clean(self, *, before_s: float) -> None:
        """Remove what was settled, and not touched since, before a POSIX time."""
        unsettled = self._queue.unsettled()
        sweep_jobs(self._layout, before_s=before_s, unsettled=set(unsettled))
        for key in sweep_series(
            self._layout, before_s=before_s, unsettled=set(unsettled.values())
        ):
            self._intake.forget(key)
        sweep_fetched(self._layout, before_s=before_s)
        self._queue.prune(settled_before_s=before_s)
