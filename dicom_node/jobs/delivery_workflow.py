"""The durable workflow of one delivery: attempts to send, and then to have it proven.

An attempt that fails in a way that may pass, or that has to wait for a report of the
peer, is not slept over: it ends and the next one is enqueued with a delay, so that
waiting costs no thread, survives any restart, and does not count as a crash.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from dbos import DBOS, SetEnqueueOptions, SetWorkflowAttributes, SetWorkflowID

from dicom_node import log
from dicom_node.jobs import dbos_setup, workflow_names
from dicom_node.jobs.database_clock import delay_s
from dicom_node.jobs.dead_worker import given_up
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.delivery_retry import RetryRule, age_text
from dicom_node.jobs.job_state import PROVING, latest_attempts, verdict_of
from dicom_node.jobs.step_outcome import (
    DeliveryOutcome,
    Outcome,
    ProofOrder,
    Verdict,
)
from dicom_node.jobs.unrecorded_end import WorkflowEnds, unless_database_fails
from dicom_node.jobs.work_protocol import Work, job_fields, log_settled, since_ms
from dicom_node.record_codec import Record, from_record, to_record
from dicom_node.records import Job, Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class _Earlier:
    """What came before an attempt.

    Parameters
    ----------
    attempt
        Of the one that is made now, counted from 1; again after `jobs retry`, and for
        the proof.
    stored
        SOP instance UIDs that the peer holds already.
    since_s
        POSIX time of the start of the first attempt.
    proof
        Where the proof stands; None before all is sent.
    """

    attempt: int
    stored: tuple[str, ...]
    since_s: float
    proof: ProofOrder | None = None

    @property
    def is_proving(self) -> bool:
        """Whether the peer has stored all, and has to show it now."""
        return self.proof is not None and not self.proof.is_resend


class Deliveries:
    """Begins deliveries, and runs their attempts.

    Parameters
    ----------
    encode_step
        The step of a job that says who gets the results.
    """

    def __init__(self, work: Work, rule: RetryRule, *, encode_step: str) -> None:
        self._work = work
        self._rule = rule
        self._encode_step = encode_step
        self._lock = threading.Lock()
        self._settled: dict[DeliveryId, Verdict] = {}
        self._sending: Counter[str] = Counter()
        self._workflow: Callable[..., Any]

    def register(self, ends: WorkflowEnds) -> None:
        """Register the workflow with DBOS; call once, before launch."""

        def delivery(
            record: Record,
            peer: str,
            attempt: int,
            stored: list[str],
            since_s: float | None = None,
            proof: Record | None = None,
        ) -> Record:
            # Version 0.1.0 enqueued without the last two.
            earlier = _Earlier(
                attempt=attempt,
                stored=tuple(stored),
                since_s=_past_s(since_s),
                proof=None if proof is None else _past(from_record(ProofOrder, proof)),
            )
            with ends.watched():
                return self._attempt(record, peer, earlier)

        self._workflow = DBOS.workflow(
            name=workflow_names.DELIVERY, max_recovery_attempts=dbos_setup.LAST_RESORT
        )(delivery)

    def begin(self, which: DeliveryId, record: Record) -> None:
        """Begin the first attempt: at once, if nothing is being sent to its peer."""
        with self._lock:
            is_free = not self._sending[which.peer]
        if not is_free:
            now = _Earlier(attempt=1, stored=(), since_s=time.time())
            self._enqueue(which, record, now, None)
            return
        with SetWorkflowID(str(which)):
            DBOS.start_workflow(self._workflow, record, which.peer, 1, [])

    def _attempt(self, record: Record, peer: str, earlier: _Earlier) -> Record:
        job = from_record(Job, record)
        name, step = ("prove", self._prove) if earlier.is_proving else (
            "send", self._send,
        )  # fmt: skip
        outcome = from_record(
            DeliveryOutcome, DBOS.run_step({"name": name}, step, job, peer, earlier)
        )
        following = _following(outcome, earlier)
        if following is None:
            DBOS.run_step({"name": "settle"}, self._settle, job, peer, outcome)
        else:
            pause_s = outcome.pause_s
            if pause_s is None:
                pause_s = self._rule.pause_s(earlier.attempt)
            this = DeliveryId.parse(str(DBOS.workflow_id))
            self._enqueue(this.next(), record, following, pause_s)
        return to_record(outcome)

    @unless_database_fails()
    def _send(self, job: Job, peer: str, earlier: _Earlier) -> Record:
        started = time.monotonic()
        outcome = _lost(earlier)
        if outcome is None:
            with self._noted(peer):
                outcome = self._work.deliver(job, peer, earlier.stored)
        this = DeliveryId.parse(str(DBOS.workflow_id))
        _forget_before(this)
        outcome = self._given_up_if_old(outcome, earlier, earlier.since_s)
        if outcome.verdict is Verdict.DONE and outcome.proof is not Proof.STORED:
            before = earlier.proof or ProofOrder(since_s=time.time())
            order = replace(before, is_resend=False, sent_as=this.number)
            outcome = replace(outcome, following=order, pause_s=0.0)
        self._log("delivery_attempted", job, peer, outcome, (earlier, started))
        return to_record(outcome)

    @unless_database_fails()
    def _prove(self, job: Job, peer: str, earlier: _Earlier) -> Record:
        started = time.monotonic()
        order = earlier.proof
        assert order is not None  # noqa: S101 - `is_proving`
        outcome = _lost(earlier) or self._work.prove(job, peer, earlier.stored, order)
        this = DeliveryId.parse(str(DBOS.workflow_id))
        _forget_before(this, kept=order.sent_as)
        outcome = self._given_up_if_old(outcome, earlier, order.since_s)
        self._log("proof_attempted", job, peer, outcome, (earlier, started))
        return to_record(outcome)

    def _log(
        self,
        name: str,
        job: Job,
        peer: str,
        outcome: DeliveryOutcome,
        attempt: tuple[_Earlier, float],
    ) -> None:
        earlier, started = attempt
        retry_s = outcome.pause_s
        if retry_s is None and outcome.verdict is Verdict.AGAIN:
            retry_s = self._rule.pause_s(earlier.attempt)
        is_proof = earlier.is_proving
        log.event(
            name,
            peer=peer,
            attempt=earlier.attempt,
            state=outcome.verdict.value,
            error_code=outcome.code or None,
            reason=outcome.text or None,
            proof=outcome.proof.value if is_proof else None,
            instances=len(outcome.proven if is_proof else outcome.stored),
            retry_s=retry_s or None,
            duration_ms=since_ms(started),
            **job_fields(job),
        )

    def _given_up_if_old(
        self, outcome: DeliveryOutcome, earlier: _Earlier, since_s: float
    ) -> DeliveryOutcome:
        age_s = time.time() - since_s
        if outcome.verdict is not Verdict.AGAIN or not self._rule.is_over(age_s):
            return outcome
        text = (
            f"given up after {age_text(age_s)} and {earlier.attempt} attempts: "
            f"{outcome.text}"
        )
        return replace(outcome, verdict=Verdict.FAILED, text=text, following=None)

    @unless_database_fails()
    def _settle(self, job: Job, peer: str, outcome: DeliveryOutcome) -> None:
        log.event(
            "delivery_settled",
            peer=peer,
            state=outcome.verdict.value,
            error_code=outcome.code or None,
            proof=outcome.proof.value if outcome.proven else None,
            instances=len(outcome.stored),
            **job_fields(job),
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
        owed = self._owed_to(job)
        if None in verdicts.values() or owed > {one.peer for one in verdicts}:
            return
        for which in verdicts:
            self._settled.pop(which, None)
        is_done = set(verdicts.values()) == {Verdict.DONE}
        log_settled(job, (Verdict.DONE if is_done else Verdict.FAILED).value, "")

    def _owed_to(self, job: Job) -> set[str]:
        """Return the peers to which a job's results go, as it was checkpointed."""
        for step in DBOS.list_workflow_steps(job.id):
            if step["function_name"] == self._encode_step and step["output"]:
                return set(from_record(Outcome, step["output"]).deliver_to)
        return set()

    @contextmanager
    def _noted(self, peer: str) -> Iterator[None]:
        with self._lock:
            self._sending[peer] += 1
        try:
            yield
        finally:
            with self._lock:
                self._sending[peer] -= 1

    def _enqueue(
        self,
        which: DeliveryId,
        record: Record,
        earlier: _Earlier,
        pause_s: float | None,
    ) -> None:
        order = earlier.proof
        more = [] if order is None else [to_record(order)]
        with (
            SetWorkflowID(str(which)),
            SetWorkflowAttributes({PROVING: True} if earlier.is_proving else None),
            SetEnqueueOptions(
                queue_partition_key=which.peer, delay_seconds=delay_s(pause_s)
            ),
        ):
            DBOS.enqueue_workflow(
                dbos_setup.DELIVERIES,
                self._workflow,
                record,
                which.peer,
                earlier.attempt,
                list(earlier.stored),
                earlier.since_s,
                *more,
            )


def _past_s(posix_s: float | None) -> float:
    """Return a time of the past; now, if the clock has been set back since then.

    A delivery that began in a year to come would else never be given up.
    """
    now_s = time.time()
    return now_s if posix_s is None else min(posix_s, now_s)


def _past(order: ProofOrder) -> ProofOrder:
    return replace(
        order, since_s=_past_s(order.since_s), asked_s=_past_s(order.asked_s)
    )


def _lost(earlier: _Earlier) -> DeliveryOutcome | None:
    """Return the failure of an attempt that lost too many workers."""
    lost = given_up()
    if lost is None:
        return None
    return DeliveryOutcome(
        verdict=lost.verdict, code=lost.code, text=lost.text, stored=earlier.stored
    )


def _following(outcome: DeliveryOutcome, earlier: _Earlier) -> _Earlier | None:
    """Return what the next attempt has to know; None if there is none."""
    order = outcome.following
    if order is None and outcome.verdict is not Verdict.AGAIN:
        return None
    following = _Earlier(
        attempt=earlier.attempt + 1,
        stored=outcome.stored,
        since_s=earlier.since_s,
        proof=order or earlier.proof,
    )
    if following.is_proving == earlier.is_proving:
        return following
    # Sending and proving have an age and a number of attempts each.
    return replace(following, attempt=1, since_s=time.time())


def _forget_before(this: DeliveryId, *, kept: int = 0) -> None:
    """Delete the attempt before the last one.

    Only the latest tells anything. In a week there would be hundreds for each job, and
    each holds the whole record of its job. The last one may still be ending.

    Parameters
    ----------
    kept
        Number of one that stays: it has stored what is being proven.
    """
    before = replace(this, number=this.number - 2)
    if before.number > 0 and before.number != kept:
        DBOS.delete_workflows([str(before)])
