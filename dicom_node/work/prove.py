"""A peer shows that it holds what it has stored: storage commitment, or a query.

An attempt asks, or looks for the answer, and says what comes next; nothing waits here
but for the moment in which a peer may report by the association that asked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.filereader import dcmread
from pydicom.uid import generate_uid

from dicom_node import log
from dicom_node.asked_commitments import Asked, AskedCommitments, Report
from dicom_node.audit.auditor import Auditor
from dicom_node.dimse.deadline import Deadline
from dicom_node.errors import AnswerLostError, NodeError
from dicom_node.jobs.proof_codes import NOT_COMMITTED, NOT_FOUND, NOT_REPORTED
from dicom_node.jobs.step_outcome import DeliveryOutcome, ProofOrder, Verdict
from dicom_node.peers.commit import Commitment, read_commitment, request_commitment
from dicom_node.peers.query import Asking, find_instances
from dicom_node.records import Proof
from dicom_node.settings.sections import Peer
from dicom_node.spool_layout import deliverable

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
_PAUSE_PER_AGE = 0.5
"""Of the time that a peer has had so far: most report within seconds, some when the
night's tape is written."""
_RESENDS = 1
"""What a peer does not hold is sent once more; then an operator has to look at it."""
_REASONS_SHOWN = 3
_MOST_OPEN = 200
"""Transactions of one delivery of which a report counts: a week's, if one is asked for
each hour."""
_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instance:
    sop_class_uid: str
    uid: str
    study_uid: str
    series_uid: str


_Instances = Sequence[_Instance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prover:
    """Has one peer prove one delivery.

    Parameters
    ----------
    name
        The peer's name in the settings.
    folder
        The job's outbox.
    """

    name: str
    peer: Peer
    calling_ae: str
    folder: Path
    asked: AskedCommitments
    auditor: Auditor = field(default_factory=lambda: Auditor(None))
    clock: Callable[[], float] = time.time

    def prove(self, stored: Sequence[str], order: ProofOrder) -> DeliveryOutcome:
        """Make one attempt.

        Parameters
        ----------
        stored
            SOP instance UIDs that the peer has stored.
        """
        proof = self.peer.proof
        if proof is Proof.STORED:  # the settings have changed since
            return DeliveryOutcome(verdict=Verdict.DONE, stored=tuple(stored))
        instances = tuple(_instances(self.folder, stored))
        if not instances:
            text = "the results are not in the outbox; retry the job to make them anew"
            return DeliveryOutcome(
                verdict=Verdict.FAILED, code="results-missing", text=text
            )
        prove = self._find if proof is Proof.FOUND else self._commit
        try:
            outcome = prove(instances, order)
        except NodeError as error:
            outcome = DeliveryOutcome(
                verdict=Verdict.AGAIN if error.retryable else Verdict.FAILED,
                code=error.code,
                text=str(error),
                stored=tuple(stored),
            )
        return replace(outcome, proof=proof)

    def _find(self, instances: _Instances, order: ProofOrder) -> DeliveryOutcome:
        held: set[str] = set()
        with Deadline(2 * self.peer.timeout_s) as deadline:
            for series in dict.fromkeys(
                (one.study_uid, one.series_uid) for one in instances
            ):
                asking = Asking(deadline=deadline, auditor=self.auditor)
                found = find_instances(
                    self.peer, self.calling_ae, series, asking=asking
                )
                held.update(str(one.get("SOPInstanceUID")) for one in found)
        missing = [one for one in instances if one.uid not in held]
        if not missing:
            return _proven(instances)
        text = (
            f"{self.name} does not find {len(missing)} of {len(instances)} instances "
            "that it has stored"
        )
        now_s = self.clock()
        first_s = order.asked_s or now_s
        if now_s - first_s < self.peer.proof_wait_s:
            order = replace(order, asked_s=first_s)
            return self._later(NOT_FOUND, text, instances, order)
        return _missed(NOT_FOUND, text, (instances, missing), order)

    def _commit(self, instances: _Instances, order: ProofOrder) -> DeliveryOutcome:
        report = self._report(order.transactions)
        if report is not None:
            return self._judge(report, instances, order)
        waited_s = self.clock() - order.asked_s
        if not order.transactions or waited_s >= self.peer.proof_wait_s:
            order, lost = self._ask(instances, order)
            report = self._report(order.transactions[-1:])
            if report is not None:
                return self._judge(report, instances, order)
            if lost is not None:
                return DeliveryOutcome(
                    verdict=Verdict.AGAIN,
                    code=lost.code,
                    text=str(lost),
                    stored=_uids(instances),
                    following=order,
                )
        text = (
            f"{self.name} has stored {len(instances)} instances, and has sent no "
            f"report of {len(order.transactions)} requests for commitment"
        )
        return self._later(NOT_REPORTED, text, instances, order)

    def _ask(
        self, instances: _Instances, order: ProofOrder
    ) -> tuple[ProofOrder, AnswerLostError | None]:
        """Ask by a transaction that was never used before.

        Returns
        -------
        ProofOrder
            With the transaction.
        AnswerLostError or None
            Why it is not known whether the peer will report.
        """
        lost = None
        uid = str(generate_uid(prefix=None))
        self.asked.ask(
            Asked(
                transaction_uid=uid,
                ae_title=self.peer.ae_title,
                peer=self.name,
                job_id=self.folder.name,
            )
        )

        def take(told_uid: str, event_type: int, syntax: str, data: bytes) -> None:
            report = Report(
                event_type=event_type, transfer_syntax_uid=syntax, dataset=data
            )
            self.asked.take(told_uid, report, ae_title=self.peer.ae_title)

        try:
            request_commitment(
                self.name,
                self.peer,
                (uid, [(one.sop_class_uid, one.uid) for one in instances]),
                calling_ae=self.calling_ae,
                take=take,
            )
        except AnswerLostError as error:
            lost = error
        except NodeError:
            self.asked.forget((uid,))
            raise
        open_ = (*order.transactions, uid)
        self.asked.forget(open_[:-_MOST_OPEN])
        asked_s = self.clock() if lost is None else order.asked_s
        return replace(order, transactions=open_[-_MOST_OPEN:], asked_s=asked_s), lost

    def _report(self, transactions: Sequence[str]) -> Report | None:
        """Return the latest report; one of an earlier request counts, too."""
        found = (self.asked.report(uid) for uid in reversed(transactions))
        return next((report for report in found if report is not None), None)

    def _judge(
        self, report: Report, instances: _Instances, order: ProofOrder
    ) -> DeliveryOutcome:
        try:
            told = read_commitment(report.dataset, report.transfer_syntax_uid)
            why = _reasons(told)
        except ValueError as error:
            told, why = Commitment(committed=frozenset(), failed={}), str(error)
        strangers = {*told.committed, *told.failed} - {one.uid for one in instances}
        if strangers:
            log.warning(
                "commitment_of_others",
                peer=self.name,
                job_id=self.folder.name,
                instances=len(strangers),
                reason="the report names instances of which the peer was not asked",
            )
        self.asked.forget(order.transactions)
        held = told.committed - told.failed.keys()
        missing = [one for one in instances if one.uid not in held]
        if not missing:
            return _proven(instances)
        text = (
            f"{self.name} has committed to {len(instances) - len(missing)} of "
            f"{len(instances)} instances ({why})"
        )
        return _missed(NOT_COMMITTED, text, (instances, missing), order)

    def _later(
        self, code: str, text: str, instances: _Instances, order: ProofOrder
    ) -> DeliveryOutcome:
        """Return that the peer may still answer."""
        waited_s = self.clock() - order.asked_s
        pause_s = min(_PAUSE_PER_AGE * waited_s, _LONGEST_PAUSE_S)
        left_s = self.peer.proof_wait_s - waited_s
        return DeliveryOutcome(
            verdict=Verdict.AGAIN,
            code=code,
            text=text,
            stored=_uids(instances),
            following=order,
            pause_s=max(min(pause_s, left_s), _FIRST_PAUSE_S),
        )


def _proven(instances: _Instances) -> DeliveryOutcome:
    uids = _uids(instances)
    return DeliveryOutcome(verdict=Verdict.DONE, stored=uids, proven=uids)


def _missed(
    code: str, text: str, case: tuple[_Instances, _Instances], order: ProofOrder
) -> DeliveryOutcome:
    """Return what becomes of instances that a peer does not hold.

    Parameters
    ----------
    case
        All instances, and those that it does not hold.
    """
    instances, missing = case
    held = tuple(one.uid for one in instances if one not in missing)
    outcome = DeliveryOutcome(
        verdict=Verdict.FAILED, code=code, text=text, stored=held, proven=held
    )
    if order.resends >= _RESENDS:
        return replace(outcome, text=f"{text}, also after they were sent again")
    return replace(
        outcome,
        verdict=Verdict.AGAIN,
        text=f"{text}; what is missing is sent again",
        following=ProofOrder(
            since_s=order.since_s, is_resend=True, resends=order.resends + 1
        ),
        pause_s=0.0,
    )


def _reasons(told: Commitment) -> str:
    """Return the reasons of a report for people (PS3.3 C.14.1.1), the most frequent."""
    if not told.failed:
        return "it does not name the others"
    counted = Counter(told.failed.values()).most_common(_REASONS_SHOWN)
    return ", ".join(f"failure reason {reason:#06x}" for reason, _ in counted)


def _uids(instances: _Instances) -> tuple[str, ...]:
    return tuple(one.uid for one in instances)


def _instances(folder: Path, stored: Collection[str]) -> Iterator[_Instance]:
    """Yield what of the results in an outbox a peer has stored."""
    for path in deliverable(folder):
        found = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        if str(found.SOPInstanceUID) in stored:
            yield _Instance(
                sop_class_uid=str(found.SOPClassUID),
                uid=str(found.SOPInstanceUID),
                study_uid=str(found.StudyInstanceUID),
                series_uid=str(found.SeriesInstanceUID),
            )
