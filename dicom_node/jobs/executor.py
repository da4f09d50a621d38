"""The executor of one worker slot: runs what the queues hold, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from dbos import DBOS

from dicom_node.jobs import dbos_setup
from dicom_node.jobs.database_clock import use_database_clock
from dicom_node.jobs.delivery_retry import RetryRule
from dicom_node.jobs.job_workflow import register
from dicom_node.jobs.pace import Pace
from dicom_node.jobs.running_step import (
    StepBegun,
    StepEnded,
    StepKind,
    WorkerMessage,
)
from dicom_node.jobs.step_outcome import (
    DeliveryOutcome,
    Outcome,
    ProofOrder,
    TriageOutcome,
    Verdict,
)
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.jobs.triage_workflow import register_triage
from dicom_node.jobs.unrecorded_end import WorkflowEnds
from dicom_node.jobs.work_protocol import Work
from dicom_node.records import Job, StoredInstance

_MAKE_WAY_S = 0.5
"""What is owed goes first; a triage takes no longer than that."""


class Executor:
    """Runs workflows from `start` to `stop`; one a process.

    Parameters
    ----------
    name
        Of `dbos_setup.executor_id`. What an executor of this name was running when it
        was killed is taken up when it starts again, unless another has done so before.
    report
        Is told of the beginning and the end of every step.
    """

    def __init__(
        self,
        database_url: str,
        *,
        name: str,
        work: Work,
        rule: RetryRule,
        report: Callable[[WorkerMessage], None],
    ) -> None:
        self._pace = Pace()
        self._one_ahead_at_a_time = threading.Lock()
        self._watched = _Watched(work, report, self._pace)
        dbos_setup.open_engine(database_url, executor_id=name)
        self._ends = WorkflowEnds()
        register_triage(self._watched, rule, self._ends)
        register(self._watched, rule, self._ends)

    def start(self) -> None:
        """Take up what was left, and then what is enqueued."""
        DBOS.launch()
        use_database_clock()
        dbos_setup.register_queues()

    def analyse_ahead(
        self, instances: tuple[StoredInstance, ...], *, until_s: float
    ) -> None:
        """Begin to analyse what is probably a series, if nothing else is to be done.

        Parameters
        ----------
        until_s
            When it is too late to begin, on the monotonic clock.
        """

        def begin() -> None:
            with self._one_ahead_at_a_time:
                if time.monotonic() < until_s:
                    self._watched.analyse_ahead(instances)

        threading.Thread(target=begin, name="analyse-ahead", daemon=True).start()

    def expect(self) -> None:
        """Look for work more often, until the next analysis has begun."""
        self._pace.expect()

    def rest(self) -> None:
        """Look for work seldom once there has been none for long; ask often.

        Only of a worker that has the queues to itself: the pace is that of all.
        """
        self._pace.rest(self.idle_s())

    def stop(self, *, drain_s: int) -> None:
        """Take nothing more, and give what runs a while; the rest goes on next time."""
        self._ends.stop()
        DBOS.destroy(workflow_completion_timeout_sec=drain_s)

    @property
    def has_lost_a_record(self) -> bool:
        """Whether the database did not take the end of a step.

        What that step belongs to is taken up again once this process has ended.
        """
        return self._ends.is_lost

    def idle_s(self) -> float:
        """Return for how long nothing has run."""
        return self._watched.idle_s()

    def delivering_s(self) -> float:
        """Return for how long nothing has run but deliveries."""
        return self._watched.delivering_s()


_Ended = TypeVar("_Ended", Outcome, TriageOutcome, DeliveryOutcome)


class _End:
    """How a step ends; without a verdict unless it says so."""

    verdict = ""

    def noted(self, outcome: _Ended) -> _Ended:
        self.verdict = outcome.verdict.value
        return outcome


class _Watched:
    """Passes work on, reports its steps, and knows when some was last running.

    Of the steps that read what was sent here, or call an analysis, one runs at a time:
    if the process dies of it, the supervisor knows of which, and blames no other.
    """

    def __init__(
        self, work: Work, report: Callable[[WorkerMessage], None], pace: Pace
    ) -> None:
        self._work = work
        self._report = report
        self._pace = pace
        self._one_at_a_time = threading.Lock()
        self._lock = threading.Lock()
        self._running = self._analysing = 0
        self._last_s = self._analysed_s = time.monotonic()

    def triage(self, order: TriageOrder) -> TriageOutcome:
        with self._one_at_a_time, self._step(StepKind.TRIAGE) as end:
            return end.noted(self._work.triage(order))

    def analyse_ahead(self, instances: tuple[StoredInstance, ...]) -> Outcome:
        if not self._one_at_a_time.acquire(timeout=_MAKE_WAY_S):
            return Outcome(verdict=Verdict.AGAIN, text="something is owed")
        try:
            with self._step(StepKind.ANALYSE_AHEAD) as end:
                return end.noted(self._work.analyse_ahead(instances))
        finally:
            self._one_at_a_time.release()

    def analyse(self, job: Job) -> Outcome:
        with self._one_at_a_time, self._step(StepKind.ANALYSE) as end:
            return end.noted(self._work.analyse(job))

    def encode(self, job: Job, analysed: Outcome) -> Outcome:
        # A rejection reads nothing, or one header, and need not wait for an analysis.
        is_light = analysed.verdict is Verdict.REJECTED
        alone = nullcontext() if is_light else self._one_at_a_time
        with alone, self._step(StepKind.ENCODE) as end:
            return end.noted(self._work.encode(job, analysed))

    def deliver(self, job: Job, peer: str, stored: Sequence[str]) -> DeliveryOutcome:
        with self._step(StepKind.DELIVER) as end:
            return end.noted(self._work.deliver(job, peer, stored))

    def prove(
        self, job: Job, peer: str, stored: Sequence[str], order: ProofOrder
    ) -> DeliveryOutcome:
        with self._step(StepKind.PROVE) as end:
            return end.noted(self._work.prove(job, peer, stored, order))

    def idle_s(self) -> float:
        with self._lock:
            return 0.0 if self._running else time.monotonic() - self._last_s

    def delivering_s(self) -> float:
        with self._lock:
            return 0.0 if self._analysing else time.monotonic() - self._analysed_s

    @contextmanager
    def _step(self, kind: StepKind) -> Iterator[_End]:
        workflow_id = str(DBOS.workflow_id) if kind.is_owed else ""
        now_s = time.monotonic()
        analysing = int(not kind.is_with_a_peer)
        with self._lock:
            self._running += 1
            self._analysing += analysing
        self._report(StepBegun(workflow_id=workflow_id, kind=kind, at_s=now_s))
        if kind.is_owed:
            self._pace.begin(is_analysis=kind is StepKind.ANALYSE)
        end = _End()
        try:
            yield end
        finally:
            self._report(StepEnded(workflow_id=workflow_id, verdict=end.verdict))
            with self._lock:
                self._running -= 1
                self._analysing -= analysing
                self._last_s = time.monotonic()
                if analysing:
                    self._analysed_s = self._last_s
