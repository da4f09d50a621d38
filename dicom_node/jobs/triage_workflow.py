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
from dicom_node.jobs import dbos_setup, workflow_names
from dicom_node.jobs.database_clock import delay_s
from dicom_node.jobs.dead_worker import given_up
from dicom_node.jobs.step_outcome import TriageOutcome, Verdict
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.jobs.unrecorded_end import WorkflowEnds, unless_database_fails
from dicom_node.jobs.work_protocol import Work
from dicom_node.record_codec import Record, from_record, to_record

_FIRST = 1


def register_triage(work: Work, ends: WorkflowEnds) -> None:
    """Register the workflow with DBOS; call once, before launch."""

    def triage(record: Record) -> Record:
        order = from_record(TriageOrder, record)
        with ends.watched():
            outcome = from_record(
                TriageOutcome,
                DBOS.run_step({"name": "triage"}, _run_triage, work, order),
            )
            if outcome.verdict is Verdict.AGAIN:
                _enqueue(workflow, order.again(waits_for=outcome.text))
        return to_record(outcome)

    # The step itself gives up what has lost too many workers, as those of a job do.
    workflow = DBOS.workflow(
        name=workflow_names.TRIAGE, max_recovery_attempts=dbos_setup.LAST_RESORT
    )(triage)


@unless_database_fails()
def _run_triage(work: Work, order: TriageOrder) -> Record:
    started = time.monotonic()
    lost = given_up()
    if lost is not None:
        outcome = TriageOutcome(verdict=lost.verdict, code=lost.code, text=lost.text)
    else:
        outcome = work.triage(order)
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
