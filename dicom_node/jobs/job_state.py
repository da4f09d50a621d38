"""Where a job stands, read from its workflow and deliveries; no second bookkeeping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dbos import WorkflowStatus

from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.job_record import job_from_record
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.records import Job, JobRow, JobState

ACTIVE = ("DELAYED", "ENQUEUED", "PENDING")
_MS = 1000.0
_UNFINISHED = {
    "DELAYED": JobState.WAITING,
    "ENQUEUED": JobState.WAITING,
    "PENDING": JobState.RUNNING,
    "CANCELLED": JobState.CANCELLED,
}
_WAITING = {"DELAYED": "waiting", "ENQUEUED": "waiting", "PENDING": "sending"}


def job_of(status: WorkflowStatus) -> Job:
    """Return the job with which a workflow was enqueued."""
    assert status.input is not None  # noqa: S101 - every caller loads the input
    return job_from_record(status.input["args"][0])


def latest_attempts(
    deliveries: Iterable[WorkflowStatus],
) -> dict[DeliveryId, WorkflowStatus]:
    """Return the last attempt for each peer, in the order of the peers' names."""
    latest: dict[str, tuple[DeliveryId, WorkflowStatus]] = {}
    for status in deliveries:
        which = DeliveryId.parse(status.workflow_id)
        if which.peer not in latest or which.number > latest[which.peer][0].number:
            latest[which.peer] = (which, status)
    return {which: status for _, (which, status) in sorted(latest.items())}


def verdict_of(attempt: WorkflowStatus) -> Verdict | None:
    """Return how a last attempt ended; None if it has not."""
    if attempt.status in ACTIVE:
        return None
    word, _ = _delivery(attempt)
    return Verdict.DONE if word == "stored" else Verdict.FAILED


def job_row(status: WorkflowStatus, deliveries: Iterable[WorkflowStatus]) -> JobRow:
    """Put together what an operator sees of one job."""
    job = job_of(status)
    attempts = latest_attempts(deliveries)
    state, reason = _state(status, attempts)
    settled = state in {
        JobState.DONE,
        JobState.REJECTED,
        JobState.FAILED,
        JobState.CANCELLED,
    }
    ends_ms = [one.updated_at or 0 for one in (status, *attempts.values())]
    return JobRow(
        id=job.id,
        state=state,
        route=job.route,
        series_uid=job.series.series_uid,
        study_uid=job.series.study_uid,
        calling_ae=job.series.calling_ae,
        instances=len(job.series.instances),
        accepted_at_s=job.accepted_at_s,
        settled_at_s=max(ends_ms) / _MS if settled else None,
        reason=reason,
        digest=job.series.digest,
        revision=job.series.revision,
        deliveries=tuple(
            (which.peer, " ".join(_delivery(attempt)).strip())
            for which, attempt in attempts.items()
        ),
        corrects="" if job.correction is None else job.correction.series_uid,
    )


def _state(
    status: WorkflowStatus, attempts: dict[DeliveryId, WorkflowStatus]
) -> tuple[JobState, str]:
    if status.status in _UNFINISHED:
        return _UNFINISHED[status.status], ""
    if status.status != "SUCCESS":
        return JobState.FAILED, _error(status)
    outcome = _output(status)
    if outcome["verdict"] == Verdict.FAILED:
        return JobState.FAILED, _reason(outcome)
    if outcome["verdict"] == Verdict.REJECTED:
        return JobState.REJECTED, _reason(outcome)
    return _delivery_state(attempts)


def _delivery_state(attempts: dict[DeliveryId, WorkflowStatus]) -> tuple[JobState, str]:
    states = {which.peer: _delivery(attempt) for which, attempt in attempts.items()}
    words = {word for word, _ in states.values()}
    reasons = "; ".join(
        f"{peer}: {text}" for peer, (word, text) in states.items() if word == "failed"
    )
    if words & {"waiting", "sending"}:
        return JobState.DELIVERING, reasons
    if "failed" in words:
        return JobState.FAILED, reasons
    if "cancelled" in words:
        return JobState.CANCELLED, ""
    return JobState.DONE, ""


def _delivery(attempt: WorkflowStatus) -> tuple[str, str]:
    """Return one word for the state of a delivery, and why."""
    if attempt.status in _WAITING:
        return _WAITING[attempt.status], ""
    if attempt.status == "CANCELLED":
        return "cancelled", ""
    if attempt.status != "SUCCESS":
        return "failed", _error(attempt)
    outcome = _output(attempt)
    if outcome["verdict"] == Verdict.DONE:
        return "stored", ""
    return "failed", _reason(outcome)


def _output(status: WorkflowStatus) -> dict[str, Any]:
    output = status.output
    if not isinstance(output, dict):
        return {"verdict": Verdict.FAILED, "code": "unknown", "text": "no outcome"}
    return output


def _reason(outcome: dict[str, Any]) -> str:
    return f"{outcome['code']}: {outcome['text']}"


def _error(status: WorkflowStatus) -> str:
    if status.error is None:
        return f"internal_error: {status.status}"
    return f"internal_error: {type(status.error).__name__}"
