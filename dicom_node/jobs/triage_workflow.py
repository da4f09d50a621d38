"""The durable workflow of a series: one step, triage, which enqueues the job.

Triage is not a step of the job's own workflow, for the id of a job is its identity, and
that is known only after triage: a second triage of the same content under the same
settings arrives at the same id, and so owes nothing twice. Nor does triage, which is
quick, queue behind an analysis.

What has to wait, as a correction for the result that it corrects, is not slept over:
the workflow ends, and the next attempt is enqueued with a delay. So waiting costs no
thread and no place in the queue, and survives any restart.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from dicom_node import log
from dicom_node.errors import MachineTroubleError
from dicom_node.jobs import dbos_setup, workflow_names
from dicom_node.jobs.database_clock import delay_s
from dicom_node.jobs.dead_worker import given_up
from dicom_node.jobs.delivery_retry import RetryRule, age_text
from dicom_node.jobs.step_outcome import TriageOutcome, Verdict
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.jobs.unrecorded_end import WorkflowEnds, unless_database_fails
from dicom_node.jobs.work_protocol import Work
from dicom_node.record_codec import Record, from_record, to_record

_FIRST = 1


def register_triage(work: Work, rule: RetryRule, ends: WorkflowEnds) -> None:
    """Register the workflow with DBOS; call once, before launch."""

    def triage(record: Record) -> Record:
        order = from_record(TriageOrder, record)
        with ends.watched():
            outcome = from_record(
                TriageOutcome,
                DBOS.run_step({"name": "triage"}, _run_triage, work, rule, order),
            )
            if outcome.verdict is Verdict.AGAIN:
                again = order.again(waits_for=outcome.text, now_s=time.time())
                _enqueue(workflow, again)
        return to_record(outcome)

    # The step itself gives up what has lost too many workers, as those of a job do.
    workflow = DBOS.workflow(
        name=workflow_names.TRIAGE, max_recovery_attempts=dbos_setup.LAST_RESORT
    )(triage)


@unless_database_fails()
def _run_triage(work: Work, rule: RetryRule, order: TriageOrder) -> Record:
    started = time.monotonic()
    lost = given_up()
    if lost is not None:
        outcome = TriageOutcome(verdict=lost.verdict, code=lost.code, text=lost.text)
    else:
        outcome = _given_up_if_old(work.triage(order), rule, order)
    _forget_before(order)
    series = order.series
    is_failed = outcome.verdict is Verdict.FAILED
    log.event(
        "job_settled" if is_failed else "series_triaged",
        job_id=outcome.job_id or order.id,
        state=outcome.verdict.value,
        error_code=outcome.code or None,
        reason=outcome.text or None,
        series_uid=series.series_uid,
        study_uid=series.study_uid,
        calling_ae=series.calling_ae,
        instances=len(series.instances),
        revision=series.revision,
        attempt=order.attempt,
        duration_ms=round((time.monotonic() - started) * 1000),
    )
    return to_record(outcome)


def _given_up_if_old(
    outcome: TriageOutcome, rule: RetryRule, order: TriageOrder
) -> TriageOutcome:
    """Return a failure in place of yet another wait: an operator has to see it.

    A disk does not let a broken sector be read, however long one waits.
    """
    now_s = time.time()
    age_s = now_s - order.waiting_since_s(now_s)
    if outcome.verdict is not Verdict.AGAIN or not rule.is_over(age_s):
        return outcome
    text = (
        f"given up after {age_text(age_s)} and {order.attempt} attempts: {outcome.text}"
    )
    code = outcome.code or MachineTroubleError.code
    return replace(outcome, verdict=Verdict.FAILED, code=code, text=text)


def _forget_before(order: TriageOrder) -> None:
    """Delete the attempt before the last one, as deliveries do.

    A disk that fails for days makes an attempt of each series every half a minute, and
    each holds the whole record of its series. The last attempt may still be ending, and
    by the first one it is known that the series has been ordered.
    """
    before = replace(order, attempt=max(order.attempt - 2, _FIRST))
    if before.attempt > _FIRST:
        DBOS.delete_workflows([before.workflow_id])


def _enqueue(workflow: Any, order: TriageOrder) -> None:
    with (
        SetWorkflowID(order.workflow_id),
        SetEnqueueOptions(delay_seconds=delay_s(order.pause_s)),
    ):
        DBOS.enqueue_workflow(dbos_setup.TRIAGES, workflow, to_record(order))
