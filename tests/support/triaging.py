"""A queue that triages what it is given, at once and without a worker."""

from __future__ import annotations

import time

from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.step_outcome import TriageOutcome, Verdict
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.plugins.registry import Registry
from dicom_node.settings.sections import Settings
from dicom_node.work.triage import Triage


class TriagingQueue(JobQueue):
    """Jobs lie in a real database; only the order of triage does not wait there.

    Attributes
    ----------
    waiting
        Orders that have to be looked at again.
    """

    def __init__(self, settings: Settings, registry: Registry) -> None:
        super().__init__(settings.database_url)
        self.waiting: list[TriageOrder] = []
        self._triage = Triage(settings, registry, self)

    def enqueue_triage(self, order: TriageOrder) -> None:
        """Look at a series now."""
        self.triage(order)

    def triage(self, order: TriageOrder) -> TriageOutcome:
        """Triage a series now, and return what came of it."""
        outcome = self._triage.run(order)
        if outcome.verdict is Verdict.AGAIN:
            self.waiting.append(order.again(waits_for=outcome.text, now_s=time.time()))
        return outcome

    def triage_again(self) -> None:
        """Triage again what had to wait."""
        waiting, self.waiting = self.waiting, []
        for order in waiting:
            self.triage(order)
