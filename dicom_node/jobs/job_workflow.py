"""The durable workflows of a job: analyse, encode, then one delivery per peer.

Each step is checkpointed. After kill -9 a workflow goes on at the first step that had
not ended. A delivery that fails in a way that may pass is not slept over: the attempt
ends and the next one is enqueued with a delay, so that waiting costs no thread,
survives any restart, and does not count as a crash.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from dicom_node import log
from dicom_node.jobs import dbos_setup, workflow_names
from dicom_node.jobs.dead_worker import given_up
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.delivery_retry import RetryRule, age_text
from dicom_node.jobs.job_state import latest_attempts, verdict_of
from dicom_node.jobs.step_outcome import (
    DeliveryOutcome,
    Outcome,
    TriageOutcome,
    Verdict,
)
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.jobs.unrecorded_end import WorkflowEnds, unless_database_fails
from dicom_node.record_codec import Record, from_record, to_record
from dicom_node.records import Job

_ENCODE = "encode"
"""The step that says who gets the results."""
_TROUBLE_PAUSES_S = (30.0, 60.0, 120.0, 240.0, 480.0)
"""Memory, a device or the disk gave out, which is no fault of the series: someone else
may be done with it by then."""


class Work(Protocol):
    """What the workflows call; every method ends in a value, whatever happens."""

    def triage(self, order: TriageOrder) -> TriageOutcome:
        """Read headers, choose the route, and enqueue the job that is owed."""

    def analyse(self, job: Job) -> Outcome:
        """Decode and analyse, holding the result for `encode`."""

    def encode(self, job: Job, analysed: Outcome) -> Outcome:
        """Turn the result into DICOM objects in the outbox, and say who gets them."""

    def deliver(self, job: Job, peer: str, stored: Sequence[str]) -> DeliveryOutcome:
        """Send what is in the outbox, but for the instances already stored."""


def register(work: Work, rule: RetryRule, ends: WorkflowEnds) -> None:
    """Register both workflows with DBOS; call once, before launch."""
    workflows = _Workflows(work, rule)

    def job(record: Record) -> Record:
        with ends.watched():
            return workflows.job(record)

    def delivery(
        record: Record,
        peer: str,
        attempt: int,
        stored: list[str],
        since_s: float | None = None,
    ) -> Record:
        # Version 0.1.0 enqueued without the last one.
        earlier = _Earlier(
            attempt=attempt,
            stored=tuple(stored),
            since_s=time.time() if since_s is None else since_s,
        )
        with ends.watched():
            return workflows.delivery(record, peer, earlier)

    # A step itself gives up a workflow that has lost too many workers, so that its job
    # is settled and logged as any other; DBOS' own limit is for all other starts.
    DBOS.workflow(
        name=workflow_names.JOB, max_recovery_attempts=dbos_setup.LAST_RESORT
    )(job)
    workflows.delivery_workflow = DBOS.workflow(
        name=workflow_names.DELIVERY, max_recovery_attempts=dbos_setup.LAST_RESORT
    )(delivery)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Earlier:
    """What came before an attempt to deliver.

    Parameters
    ----------
    attempt
        Of the one that is made now, counted from 1; again after `jobs retry`.
    stored
        SOP instance UIDs that the peer holds already.
    since_s
        POSIX time of the start of the first attempt.
    """

    attempt: int
    stored: tuple[str, ...]
    since_s: float


class _Workflows:
    def __init__(self, work: Work, rule: RetryRule) -> None:
        self._work = work
        self._rule = rule
        self._lock = threading.Lock()
        self._settled: dict[DeliveryId, Verdict] = {}
        self._sending: Counter[str] = Counter()
        self.delivery_workflow: Callable[..., Any]

    def job(self, record: Record) -> Record:
        job = from_record(Job, record)
        outcome = self._analysed(job)
        if outcome.verdict is not Verdict.FAILED:
            analysed = outcome
            outcome = self._repeated(
                _ENCODE, lambda _attempt: self._encode(job, analysed)
            )
        for peer in outcome.deliver_to:
            self._begin(DeliveryId(job_id=job.id, peer=peer, number=1), record)
        if outcome.verdict is not Verdict.DONE:
            _log_settled(job, outcome.verdict.value, outcome.code)
        return to_record(outcome)

    def _analysed(self, job: Job) -> Outcome:
        if job.rejection is not None:
            code, text = job.rejection
            return Outcome(verdict=Verdict.REJECTED, code=code, text=text)
        return self._repeated("analyse", partial(self._analyse, job))

    def _repeated(self, name: str, step: Callable[[int], Record]) -> Outcome:
        """Run a step until the machine's trouble is over, or has lasted too long."""
        for attempt, pause_s in enumerate((*_TROUBLE_PAUSES_S, None), start=1):
            outcome = from_record(Outcome, DBOS.run_step({"name": name}, step, attempt))
            if outcome.verdict is not Verdict.AGAIN:
                return outcome
            if pause_s is not None:
                # A job that is moved is begun again there, and ends here.
                DBOS.run_step({"name": "make_way"}, _make_way)
                DBOS.sleep(pause_s)
        return Outcome(verdict=Verdict.FAILED, code=outcome.code, text=outcome.text)

    @unless_database_fails()
    def _analyse(self, job: Job, attempt: int) -> Record:
        log.event("job_started", stage="analyse", attempt=attempt, **_fields(job))
        started = time.monotonic()
        outcome = given_up() or self._work.analyse(job)
        _log_stage(job, "analyse", outcome, started)
        return to_record(outcome)

    @unless_database_fails()
    def _encode(self, job: Job, analysed: Outcome) -> Record:
        started = time.monotonic()
        outcome = given_up() or self._work.encode(job, analysed)
        _log_stage(job, "encode", outcome, started)
        return to_record(outcome)

    def delivery(self, record: Record, peer: str, earlier: _Earlier) -> Record:
        job = from_record(Job, record)
        outcome = from_record(
            DeliveryOutcome,
            DBOS.run_step({"name": "send"}, self._send, job, peer, earlier),
        )
        if outcome.verdict is Verdict.AGAIN:
            following = _Earlier(
                attempt=earlier.attempt + 1,
                stored=outcome.stored,
                since_s=earlier.since_s,
            )
            this = DeliveryId.parse(str(DBOS.workflow_id))
            self._enqueue(this.next(), record, following)
        else:
            DBOS.run_step({"name": "settle"}, self._settle, job, peer, outcome)
        return to_record(outcome)

    @unless_database_fails()
    def _send(self, job: Job, peer: str, earlier: _Earlier) -> Record:
        started = time.monotonic()
        lost = given_up()
        if lost is not None:
            outcome = DeliveryOutcome(
                verdict=lost.verdict, code=lost.code, text=lost.text
            )
        else:
            with self._noted(peer):
                outcome = self._work.deliver(job, peer, earlier.stored)
        _forget_before(DeliveryId.parse(str(DBOS.workflow_id)))
        outcome = self._given_up_if_old(outcome, earlier)
        is_tried_again = outcome.verdict is Verdict.AGAIN
        log.event(
            "delivery_attempted",
            peer=peer,
            attempt=earlier.attempt,
            state=outcome.verdict.value,
            error_code=outcome.code or None,
            reason=outcome.text or None,
            instances=len(outcome.stored),
            retry_s=self._rule.pause_s(earlier.attempt) if is_tried_again else None,
            duration_ms=_since_ms(started),
            **_fields(job),
        )
        return to_record(outcome)

    def _given_up_if_old(
        self, outcome: DeliveryOutcome, earlier: _Earlier
    ) -> DeliveryOutcome:
        age_s = time.time() - earlier.since_s
        if outcome.verdict is not Verdict.AGAIN or not self._rule.is_over(age_s):
            return outcome
        text = (
            f"given up after {age_text(age_s)} and {earlier.attempt} attempts: "
            f"{outcome.text}"
        )
        return replace(outcome, verdict=Verdict.FAILED, text=text)

    @unless_database_fails()
    def _settle(self, job: Job, peer: str, outcome: DeliveryOutcome) -> None:
        log.event(
            "delivery_settled",
            peer=peer,
            state=outcome.verdict.value,
            error_code=outcome.code or None,
            instances=len(outcome.stored),
            **_fields(job),
        )
        with self._lock:
            self._settled[DeliveryId.parse(str(DBOS.workflow_id))] = outcome.verdict
            self._settle_job(job)

    def _settle_job(self, job: Job) -> None:
        """Write the job's line once its last delivery has ended.

        Two deliveries that end at once still see each other as active in the database,
        and the first may end before the next has begun.
        """
        attempts = latest_attempts(
            DBOS.list_workflows(workflow_id_prefix=f"{job.id}:", load_input=False)
        )
        verdicts = {
            which: self._settled.get(which, verdict_of(attempt))
            for which, attempt in attempts.items()
        }
        if None in verdicts.values() or _owed_to(job) > {one.peer for one in verdicts}:
            return
        for which in verdicts:
            self._settled.pop(which, None)
        is_done = set(verdicts.values()) == {Verdict.DONE}
        _log_settled(job, (Verdict.DONE if is_done else Verdict.FAILED).value, "")

    @contextmanager
    def _noted(self, peer: str) -> Iterator[None]:
        with self._lock:
            self._sending[peer] += 1
        try:
            yield
        finally:
            with self._lock:
                self._sending[peer] -= 1

    def _begin(self, which: DeliveryId, record: Record) -> None:
        """Begin the first attempt: at once, if nothing is being sent to its peer."""
        with self._lock:
            is_free = not self._sending[which.peer]
        if not is_free:
            now = _Earlier(attempt=1, stored=(), since_s=time.time())
            self._enqueue(which, record, now)
            return
        with SetWorkflowID(str(which)):
            DBOS.start_workflow(self.delivery_workflow, record, which.peer, 1, [])

    def _enqueue(self, which: DeliveryId, record: Record, earlier: _Earlier) -> None:
        attempt = earlier.attempt
        pause_s = self._rule.pause_s(attempt - 1) if attempt > 1 else None
        with (
            SetWorkflowID(str(which)),
            SetEnqueueOptions(queue_partition_key=which.peer, delay_seconds=pause_s),
        ):
            DBOS.enqueue_workflow(
                dbos_setup.DELIVERIES,
                self.delivery_workflow,
                record,
                which.peer,
                attempt,
                list(earlier.stored),
                earlier.since_s,
            )


@unless_database_fails()
def _make_way() -> None:
    """Let a job wait where it holds no place among the analyses."""
    job_id = str(DBOS.workflow_id)
    status = DBOS.get_workflow_status(job_id)
    if status is not None and status.queue_name == dbos_setup.ANALYSES:
        DBOS.resume_workflow(job_id, queue_name=dbos_setup.WAITING)


def _forget_before(this: DeliveryId) -> None:
    """Delete the attempt before the last one.

    Only the latest tells anything. In a week there would be hundreds for each job, and
    each holds the whole record of its job. The last one may still be ending.
    """
    before = replace(this, number=this.number - 2)
    if before.number > 0:
        DBOS.delete_workflows([str(before)])


def _owed_to(job: Job) -> set[str]:
    """Return the peers to which a job's results go, as it was checkpointed."""
    for step in DBOS.list_workflow_steps(job.id):
        if step["function_name"] == _ENCODE and step["output"]:
            return set(from_record(Outcome, step["output"]).deliver_to)
    return set()


def _log_settled(job: Job, state: str, code: str) -> None:
    log.event(
        "job_settled",
        state=state,
        error_code=code or None,
        instances=len(job.series.instances),
        completion=job.series.completion.value,
        revision=job.series.revision,
        calling_ae=job.series.calling_ae,
        study_uid=job.series.study_uid,
        duration_ms=round((time.time() - job.accepted_at_s) * 1000),
        **_fields(job),
    )


def _log_stage(job: Job, stage: str, outcome: Outcome, started: float) -> None:
    log.event(
        "stage_ended",
        stage=stage,
        state=outcome.verdict.value,
        error_code=outcome.code or None,
        duration_ms=_since_ms(started),
        **_fields(job),
    )


def _fields(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "series_uid": job.series.series_uid,
        "route": job.route,
        "analysis": job.analysis,
        "analysis_version": job.analysis_version,
    }


def _since_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
