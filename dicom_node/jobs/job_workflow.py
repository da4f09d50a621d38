"""The durable workflow of a job: analyse, encode, then one delivery per peer.

Each step is checkpointed. After kill -9 a workflow goes on at the first step that had
not ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from dbos import DBOS

from dicom_node import log
from dicom_node.jobs import dbos_setup, workflow_names
from dicom_node.jobs.dead_worker import given_up
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.delivery_retry import RetryRule
from dicom_node.jobs.delivery_workflow import Deliveries
from dicom_node.jobs.step_outcome import Outcome, Verdict
from dicom_node.jobs.unrecorded_end import WorkflowEnds, unless_database_fails
from dicom_node.jobs.work_protocol import Work, job_fields, log_settled, since_ms
from dicom_node.record_codec import Record, from_record, to_record
from dicom_node.records import Job

_ENCODE = "encode"
"""The step that says who gets the results."""
_TROUBLE_PAUSES_S = (30.0, 60.0, 120.0, 240.0, 480.0)
"""Memory, a device or the disk gave out, which is no fault of the series: someone else
may be done with it by then."""


def register(work: Work, rule: RetryRule, ends: WorkflowEnds) -> None:
    """Register both workflows with DBOS; call once, before launch."""
    deliveries = Deliveries(work, rule, encode_step=_ENCODE)
    workflow = _JobWorkflow(work, deliveries)

    def job(record: Record) -> Record:
        with ends.watched():
            return workflow.run(record)

    # A step itself gives up a workflow that has lost too many workers, so that its job
    # is settled and logged as any other; DBOS' own limit is for all other starts.
    DBOS.workflow(
        name=workflow_names.JOB, max_recovery_attempts=dbos_setup.LAST_RESORT
    )(job)
    deliveries.register(ends)


class _JobWorkflow:
    def __init__(self, work: Work, deliveries: Deliveries) -> None:
        self._work = work
        self._deliveries = deliveries

    def run(self, record: Record) -> Record:
        job = from_record(Job, record)
        outcome = self._analysed(job)
        if outcome.verdict is not Verdict.FAILED:
            analysed = outcome
            outcome = self._repeated(
                _ENCODE, lambda _attempt: self._encode(job, analysed)
            )
        for peer in outcome.deliver_to:
            self._deliveries.begin(
                DeliveryId(job_id=job.id, peer=peer, number=1), record
            )
        if outcome.verdict is not Verdict.DONE:
            log_settled(job, outcome.verdict.value, outcome.code)
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
        log.event("job_started", stage="analyse", attempt=attempt, **job_fields(job))
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


@unless_database_fails()
def _make_way() -> None:
    """Let a job wait where it holds no place among the analyses."""
    job_id = str(DBOS.workflow_id)
    status = DBOS.get_workflow_status(job_id)
    if status is not None and status.queue_name == dbos_setup.ANALYSES:
        DBOS.resume_workflow(job_id, queue_name=dbos_setup.WAITING)


def _log_stage(job: Job, stage: str, outcome: Outcome, started: float) -> None:
    log.event(
        "stage_ended",
        stage=stage,
        state=outcome.verdict.value,
        error_code=outcome.code or None,
        duration_ms=since_ms(started),
        **job_fields(job),
    )
