"""Where a job stands, read from its workflow and deliveries; no second bookkeeping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.jobs.triage_order import TriageOrder, attempt_of, order_id
from dicom_node.jobs.workflow_names import JOB, TRIAGE
from dicom_node.record_codec import from_record
from dicom_node.records import Job, JobRow, JobState, Proof

ACTIVE = ("DELAYED", "ENQUEUED", "PENDING")
DISCARDED = "discarded"
"""The attribute of a workflow by which an operator gives its results up."""
PROVING = "proving"
"""The attribute of an attempt whose peer has stored all, and has to show it."""
_UNPROVEN = "unproven"
_MS = 1000.0
_UNFINISHED = {
    "DELAYED": JobState.WAITING,
    "ENQUEUED": JobState.WAITING,
    "PENDING": JobState.RUNNING,
    "CANCELLED": JobState.CANCELLED,
}
_WAITING = {"DELAYED": "waiting", "ENQUEUED": "waiting", "PENDING": "sending"}
_UNDER_WAY = frozenset({*_WAITING.values(), PROVING})
_DONE = frozenset(proof.value for proof in Proof)
FAILED_WORDS = frozenset({"failed", _UNPROVEN})
"""Of deliveries that an operator has to look at."""
_GIVEN_UP = FAILED_WORDS | {"cancelled"}
_HELD = _DONE | {PROVING, _UNPROVEN}
_MAY_LACK = frozenset({JobState.FAILED, JobState.REJECTED, JobState.DELIVERING})
"""A rejected job may owe a page, and a peer may refuse what another still waits for."""


class WorkflowEnd(Protocol):
    """How a workflow stands: a `WorkflowStatus` of DBOS, or a row read without it."""

    @property
    def workflow_id(self) -> str:
        """Its id."""

    @property
    def status(self) -> str:
        """The word of DBOS for it."""

    @property
    def output(self) -> Any:
        """What it returned, if it has ended."""

    @property
    def error(self) -> object:
        """What it raised, if anything."""

    @property
    def attributes(self) -> Mapping[str, Any] | None:
        """What was noted of it from outside."""


class WorkflowRecord(WorkflowEnd, Protocol):
    """A workflow with what it was enqueued with, and when it changed (POSIX, ms)."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def input(self) -> Mapping[str, Any] | None:
        """What it was enqueued with; None where that was not read."""

    @property
    def created_at(self) -> int | None:
        """When it was enqueued."""

    @property
    def updated_at(self) -> int | None:
        """When it changed last."""

    @property
    def executor_id(self) -> str | None:
        """The executor that took it last."""


_QUEUED = frozenset({"ENQUEUED", "DELAYED"})
_End = TypeVar("_End", bound=WorkflowEnd)
_Record = TypeVar("_Record", bound=WorkflowRecord)


def job_of(status: WorkflowRecord) -> Job:
    """Return the job with which a workflow was enqueued."""
    assert status.input is not None  # noqa: S101 - every caller loads the input
    return from_record(Job, status.input["args"][0])


def order_of(status: WorkflowRecord) -> TriageOrder:
    """Return the order with which a triage was enqueued."""
    assert status.input is not None  # noqa: S101 - every caller loads the input
    return from_record(TriageOrder, status.input["args"][0])


def digests_needed(status: WorkflowRecord) -> Mapping[str, str]:
    """Return the digest of the series of a job, a delivery or a triage, by id.

    A correction needs the jobs that it corrects, too.
    """
    if status.name == TRIAGE:
        order = order_of(status)
        return {order.id: order.series.digest}
    job = job_of(status)
    needed = {job.id: job.series.digest}
    correction = job.correction
    if correction is not None:
        corrected = [one for one in (correction.former, correction.first) if one]
        needed.update(dict.fromkeys(corrected, correction.first_digest))
    return needed


def last_attempt(triages: Iterable[_Record]) -> _Record:
    """Return the last attempt of one order, whose number tells and not the clock.

    A clock that was set back between two attempts makes the second the older one.
    """
    return max(triages, key=lambda status: attempt_of(status.workflow_id))


def job_made_by(triage: WorkflowRecord) -> str:
    """Return the id of the job that a triage named; empty if it named none."""
    if triage.name == JOB or triage.status != "SUCCESS":
        return ""
    return str(_output(triage).get("job_id", ""))


def visible_triages(triages: Iterable[_Record]) -> Iterator[_Record]:
    """Yield those triages that an operator has to see.

    That is the last one of each content, unless it has made a job.
    """
    orders: dict[str, list[_Record]] = {}
    for status in triages:
        orders.setdefault(order_id(status.workflow_id), []).append(status)
    latest = map(last_attempt, orders.values())
    seen = set()
    for status in sorted(latest, key=lambda one: one.created_at or 0, reverse=True):
        content = order_of(status).series.digest
        if content in seen:
            continue
        seen.add(content)
        if not job_made_by(status):
            yield status


def triage_row(status: WorkflowRecord) -> JobRow:
    """Put together what an operator sees of a series that has no job yet."""
    order = order_of(status)
    series = order.series
    state, reason = _state(status, {})
    if state in {JobState.WAITING, JobState.DONE}:
        # Done means that it had to wait, and that the next attempt is being enqueued.
        state, reason = JobState.WAITING, order.waits_for
    is_settled = state in {JobState.FAILED, JobState.CANCELLED}
    return JobRow(
        id=order.id,
        state=state,
        route="",
        series_uid=series.series_uid,
        study_uid=series.study_uid,
        calling_ae=series.calling_ae,
        instances=len(series.instances),
        accepted_at_s=series.accepted_at_s,
        settled_at_s=(status.updated_at or 0) / _MS if is_settled else None,
        reason=reason,
        digest=series.digest,
        revision=series.revision,
    )


def latest_attempts(deliveries: Iterable[_End]) -> dict[DeliveryId, _End]:
    """Return the last attempt for each peer, in the order of the peers' names."""
    latest: dict[str, tuple[DeliveryId, _End]] = {}
    for status in deliveries:
        which = DeliveryId.parse(status.workflow_id)
        if which.peer not in latest or which.number > latest[which.peer][0].number:
            latest[which.peer] = (which, status)
    return {which: status for _, (which, status) in sorted(latest.items())}


def verdict_of(attempt: WorkflowEnd) -> Verdict | None:
    """Return how a last attempt ended; None if it has not."""
    if attempt.status in ACTIVE:
        return None
    word, _ = _delivery(attempt)
    return Verdict.DONE if word in _DONE else Verdict.FAILED


def job_row(status: WorkflowRecord, deliveries: Iterable[WorkflowRecord]) -> JobRow:
    """Put together what an operator sees of one job."""
    job = job_of(status)
    attempts = latest_attempts(deliveries)
    state, reason = _state(status, attempts)
    if is_discarded(status):
        state = JobState.CANCELLED
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
        proofs=tuple(
            (which.peer, uid, proof)
            for which, attempt in attempts.items()
            for uid, proof in _proofs(attempt)
        ),
        corrects="" if job.correction is None else job.correction.series_uid,
        shape=job.shape,
        result_id=_result_id(status, job),
        worker="" if status.status in _QUEUED else status.executor_id or "",
    )


def lacking_peers(row: JobRow) -> tuple[str, ...]:
    """Return the peers that lack results which nobody tries to deliver any more."""
    words = {peer: word_of(state) for peer, state in row.deliveries}
    return lacking(row.state, words)


def lacking(state: JobState, words: Mapping[str, str]) -> tuple[str, ...]:
    """Return the peers that lack results for good, by the words for deliveries."""
    if state not in _MAY_LACK:
        return ()
    return tuple(peer for peer, word in words.items() if word in _GIVEN_UP)


def is_delivering(row: JobRow) -> bool:
    """Tell whether results are being delivered, or wait for the next attempt."""
    return any(word_of(state) in _UNDER_WAY for _, state in row.deliveries)


def word_of(state: str) -> str:
    """Return the word for a delivery, of what `JobRow` says of it."""
    return state.partition(" ")[0]


def is_held(state: str) -> bool:
    """Tell whether a peer has stored all results, proven or not."""
    return word_of(state) in _HELD


def is_owed(state: JobState, word: str) -> bool:
    """Tell whether a peer lacks results of a job, by the word for its delivery."""
    return word in _UNDER_WAY or (state in _MAY_LACK and word in _GIVEN_UP)


def is_discarded(status: WorkflowEnd) -> bool:
    """Tell whether an operator has given up results that could not be delivered."""
    return bool((status.attributes or {}).get(DISCARDED))


def _result_id(status: WorkflowRecord, job: Job) -> str:
    if status.status != "SUCCESS":
        return ""
    # In version 0.1.0 the UIDs of results derived from the id of the job.
    return str(_output(status).get("result_id") or job.id)


def state_and_reason(
    status: WorkflowEnd, attempts: Mapping[DeliveryId, WorkflowEnd]
) -> tuple[JobState, str]:
    """Return where a job or a triage stands, and why.

    Parameters
    ----------
    attempts
        The last one for each peer; none for a triage.
    """
    if is_discarded(status):
        return JobState.CANCELLED, ""
    return _state(status, attempts)


def delivery_words(
    attempts: Mapping[DeliveryId, WorkflowEnd],
) -> dict[str, tuple[str, str]]:
    """Return one word for the state of each delivery and why, by peer."""
    return {which.peer: _delivery(attempt) for which, attempt in attempts.items()}


def _state(
    status: WorkflowEnd, attempts: Mapping[DeliveryId, WorkflowEnd]
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


def _delivery_state(
    attempts: Mapping[DeliveryId, WorkflowEnd],
) -> tuple[JobState, str]:
    states = delivery_words(attempts)
    words = {word for word, _ in states.values()}
    reasons = "; ".join(
        f"{peer}: {text}"
        for peer, (word, text) in states.items()
        if word in FAILED_WORDS
    )
    if words & _UNDER_WAY:
        return JobState.DELIVERING, reasons
    if words & FAILED_WORDS:
        return JobState.FAILED, reasons
    if "cancelled" in words:
        return JobState.CANCELLED, ""
    return JobState.DONE, ""


def _delivery(attempt: WorkflowEnd) -> tuple[str, str]:
    """Return one word for the state of a delivery, and why."""
    is_proving = bool((attempt.attributes or {}).get(PROVING))
    if attempt.status in _WAITING:
        return PROVING if is_proving else _WAITING[attempt.status], ""
    if attempt.status == "CANCELLED":
        return "cancelled", ""
    failed = _UNPROVEN if is_proving else "failed"
    if attempt.status != "SUCCESS":
        return failed, _error(attempt)
    outcome = _output(attempt)
    if outcome["verdict"] == Verdict.DONE:
        return _proof(outcome).value, ""
    return failed, _reason(outcome)


def _proof(outcome: Mapping[str, Any]) -> Proof:
    """Return the proof that there is for what a peer has stored.

    Version 0.1.0 knew of none, and an attempt to send has none yet.
    """
    return Proof(outcome["proof"]) if outcome.get("proven") else Proof.STORED


def _proofs(attempt: WorkflowEnd) -> Iterator[tuple[str, str]]:
    """Yield each instance that a peer holds after an attempt, and how that is known."""
    outcome = attempt.output
    if not isinstance(outcome, Mapping):
        return
    proven = set(outcome.get("proven") or ())
    for uid in outcome.get("stored") or ():
        yield uid, (_proof(outcome) if uid in proven else Proof.STORED).value


def _output(status: WorkflowEnd) -> dict[str, Any]:
    output = status.output
    if not isinstance(output, dict):
        return {"verdict": Verdict.FAILED, "code": "unknown", "text": "no outcome"}
    return output


def _reason(outcome: dict[str, Any]) -> str:
    return f"{outcome['code']}: {outcome['text']}"


def _error(status: WorkflowEnd) -> str:
    if status.error is None:
        return f"internal_error: {status.status}"
    return f"internal_error: {type(status.error).__name__}"
