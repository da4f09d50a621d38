"""Storage commitment asked of peers that report, refuse, lie, vanish and come late."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from pydicom.uid import UID, Comprehensive3DSRStorage, SegmentationStorage
from pynetdicom.dsutils import encode

from dicom_node import log
from dicom_node.asked_commitments import AskedCommitments, Report
from dicom_node.jobs.step_outcome import DeliveryOutcome, ProofOrder, Verdict
from dicom_node.records import Proof
from dicom_node.settings.sections import Peer
from dicom_node.spool_layout import SpoolLayout
from dicom_node.work.prove import Prover
from tests.support.committing_peer import (
    COMPLETE,
    CommittingPeer,
    Request,
    event_information,
)
from tests.support.dicom_files import mr_instance
from tests.support.peers import HOST, free_port

WAIT_S = 100.0
EXPLICIT = "1.2.840.10008.1.2.1"
ORDER = ProofOrder(since_s=0.0, sent_as=1)


@dataclass
class Case:
    """Results that a peer has stored, and a prover with a clock of its own."""

    folder: Path
    peer: CommittingPeer
    now_s: float = 1000.0
    stored: tuple[str, ...] = ()
    order: ProofOrder = field(default=ORDER)

    def __post_init__(self) -> None:
        layout = SpoolLayout(self.folder)
        layout.prepare()
        self.asked = AskedCommitments(layout)
        outbox = layout.job_outbox("job")
        outbox.mkdir()
        for name, sop_class in (
            ("seg.dcm", SegmentationStorage),
            ("sr.dcm", Comprehensive3DSRStorage),
        ):
            found = mr_instance(len(self.stored) + 1)
            found.SOPClassUID = UID(sop_class)
            found.file_meta.MediaStorageSOPClassUID = UID(sop_class)
            found.save_as(outbox / name, enforce_file_format=True)
            self.stored += (str(found.SOPInstanceUID),)

    def prove(self) -> DeliveryOutcome:
        """Make one attempt, and take up what it says of the next one."""
        prover = Prover(
            name="pacs",
            peer=Peer(
                ae_title=self.peer.ae_title,
                host=HOST,
                port=self.peer.port,
                timeout_s=30,
                proof=Proof.COMMITTED,
                proof_wait_s=WAIT_S,
            ),
            calling_ae="LUMBAR_AI",
            folder=self.asked_layout.job_outbox("job"),
            asked=self.asked,
            clock=lambda: self.now_s,
        )
        outcome = prover.prove(self.stored, self.order)
        assert outcome.proof is Proof.COMMITTED
        self.order = outcome.following or self.order
        return outcome

    @property
    def asked_layout(self) -> SpoolLayout:
        """Of its spool."""
        return SpoolLayout(self.folder)

    def take(self, request: Request, *, committed: int) -> None:
        """Take a report of the first so many instances, as an acceptor does."""
        instances = request.instances
        told = event_information(
            request.transaction_uid,
            committed=instances[:committed],
            failed=instances[committed:],
        )
        report = Report(
            event_type=COMPLETE,
            transfer_syntax_uid=EXPLICIT,
            dataset=encode(told, is_implicit_vr=False, is_little_endian=True) or b"",
        )
        self.asked.take(request.transaction_uid, report, ae_title="PACS")

    def open(self) -> int:
        """Return of how many transactions a report would be taken."""
        return len(list(self.asked_layout.commitments.glob("*.asked.json")))


def test_the_peer_is_asked_for_what_it_has_stored_by_a_transaction_of_its_own(
    tmp_path: Path,
) -> None:
    with CommittingPeer() as peer:
        case = Case(tmp_path, peer)
        outcome = case.prove()
        request = peer.wait_asked()
    assert [uid for _, uid in request.instances] == list(case.stored)
    assert [kind for kind, _ in request.instances] == [
        SegmentationStorage,
        Comprehensive3DSRStorage,
    ]
    assert case.order.transactions == (request.transaction_uid,)
    assert (outcome.verdict, outcome.code) == (Verdict.AGAIN, "commitment-not-reported")
    assert (outcome.stored, outcome.proven) == (case.stored, ())


def test_a_report_by_the_same_association_proves_it_at_once(tmp_path: Path) -> None:
    with CommittingPeer(same_association=True) as peer:
        case = Case(tmp_path, peer)
        outcome = case.prove()
    assert (outcome.verdict, outcome.proven) == (Verdict.DONE, case.stored)
    assert peer.answers == [0x0000]
    assert case.open() == 0


def test_a_report_of_a_stranger_by_the_same_association_is_refused_and_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(level="info")
    with CommittingPeer(same_association=True, names_transaction="1.2.3") as peer:
        case = Case(tmp_path, peer)
        outcome = case.prove()
    assert (outcome.verdict, outcome.proven) == (Verdict.AGAIN, ())
    assert peer.answers == [0x0115]
    (line,) = (
        line
        for line in capsys.readouterr().out.splitlines()
        if "report_refused" in line
    )
    assert "no such transaction is open" in line


def test_a_report_by_another_association_is_found_by_the_next_attempt(
    tmp_path: Path,
) -> None:
    with CommittingPeer() as peer:
        case = Case(tmp_path, peer)
        case.prove()
        case.take(peer.wait_asked(), committed=2)
        case.now_s += 1
        outcome = case.prove()
        assert len(peer.requests) == 1
    assert (outcome.verdict, outcome.proven) == (Verdict.DONE, case.stored)
    assert case.open() == 0


def test_pauses_grow_while_the_peer_is_silent_and_then_it_is_asked_anew(
    tmp_path: Path,
) -> None:
    with CommittingPeer() as peer:
        case = Case(tmp_path, peer)
        pauses_s = []
        while len(peer.requests) < 2:
            pauses_s.append(case.prove().pause_s or 0)
            case.now_s += pauses_s[-1]
        first, second = peer.requests
    assert first.transaction_uid != second.transaction_uid
    assert case.order.transactions == (first.transaction_uid, second.transaction_uid)
    waits_s = pauses_s[:-1]
    assert sum(waits_s) == pytest.approx(WAIT_S)
    assert len(waits_s) < 20
    assert all(one <= other for one, other in pairwise(waits_s[:-1]))


def test_a_report_that_comes_after_it_was_asked_anew_counts(tmp_path: Path) -> None:
    with CommittingPeer() as peer:
        case = Case(tmp_path, peer)
        case.prove()
        late = peer.wait_asked()
        case.now_s += WAIT_S
        case.prove()
        assert len(peer.requests) == 2
        case.take(late, committed=2)
        outcome = case.prove()
    assert outcome.verdict is Verdict.DONE
    assert case.open() == 0


def test_what_it_does_not_keep_is_sent_again_once_and_then_an_operator_is_asked(
    tmp_path: Path,
) -> None:
    with CommittingPeer(same_association=True, loses=1) as peer:
        case = Case(tmp_path, peer)
        outcome = case.prove()
        assert (outcome.verdict, outcome.code) == (Verdict.AGAIN, "commitment-failed")
        assert outcome.stored == case.stored[1:]
        assert (case.order.is_resend, case.order.resends) == (True, 1)
        assert case.order.transactions == ()
        case.order = replace(case.order, is_resend=False)
        outcome = case.prove()
    assert len({one.transaction_uid for one in peer.requests}) == 2
    assert outcome.verdict is Verdict.FAILED
    assert outcome.following is None
    assert outcome.text == (
        "pacs has committed to 1 of 2 instances (failure reason 0x0112), also after "
        "they were sent again"
    )
    assert outcome.stored == outcome.proven == case.stored[1:]


def test_a_report_of_other_instances_proves_nothing_and_is_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure()
    with CommittingPeer(same_association=True, names_others=True) as peer:
        outcome = Case(tmp_path, peer).prove()
    assert (outcome.verdict, outcome.code) == (Verdict.AGAIN, "commitment-failed")
    assert outcome.proven == ()
    assert "commitment_of_others" in capsys.readouterr().out


def test_an_instance_that_is_both_kept_and_lost_is_lost(tmp_path: Path) -> None:
    with CommittingPeer() as peer:
        case = Case(tmp_path, peer)
        case.prove()
        request = peer.wait_asked()
        both = replace(request, instances=(*request.instances, *request.instances[:1]))
        case.take(both, committed=2)
        outcome = case.prove()
    assert (outcome.verdict, outcome.proven) == (Verdict.AGAIN, case.stored[1:])


@pytest.mark.parametrize(
    ("peer", "verdict", "code", "text"),
    [
        (CommittingPeer(offers=False), "failed", "commitment-refused", "not offer"),
        (CommittingPeer(status=0x0112), "failed", "commitment-refused", "0x0112"),
        (CommittingPeer(status=0x0110), "again", "commitment-deferred", "0x0110"),
        (CommittingPeer(status=0x0213), "again", "commitment-deferred", "0x0213"),
    ],
)
def test_a_peer_that_does_not_commit_leaves_what_it_has_stored(
    tmp_path: Path, peer: CommittingPeer, verdict: str, code: str, text: str
) -> None:
    with peer:
        case = Case(tmp_path, peer)
        outcome = case.prove()
    assert (outcome.verdict.value, outcome.code) == (verdict, code)
    assert text in outcome.text
    assert (outcome.stored, outcome.proven) == (case.stored, ())
    assert case.open() == 0


def test_a_report_that_comes_before_the_answer_is_taken(tmp_path: Path) -> None:
    with CommittingPeer(reports_early=True) as peer:
        outcome = Case(tmp_path, peer).prove()
    assert outcome.verdict is Verdict.DONE


def test_a_request_whose_answer_is_lost_is_made_anew_and_a_report_of_it_counts(
    tmp_path: Path,
) -> None:
    with CommittingPeer(aborts=True) as peer:
        case = Case(tmp_path, peer)
        outcome = case.prove()
        assert (outcome.verdict, outcome.code) == (Verdict.AGAIN, "peer-unreachable")
        assert outcome.pause_s is None
        peer.aborts = False
        case.prove()
        first, second = peer.requests
        assert case.order.transactions == (
            first.transaction_uid, second.transaction_uid,
        )  # fmt: skip
        case.take(first, committed=2)
        assert case.prove().verdict is Verdict.DONE
    assert case.open() == 0


def test_a_report_is_taken_once_also_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(_source: Path, _target: Path) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr("os.link", link)
    with CommittingPeer() as peer:
        case = Case(tmp_path, peer)
        case.prove()
        case.take(peer.wait_asked(), committed=2)
        case.take(peer.wait_asked(), committed=0)
        assert case.prove().verdict is Verdict.DONE


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_peer_that_is_down_is_asked_again_later(tmp_path: Path) -> None:
    case = Case(tmp_path, CommittingPeer(port=free_port()))
    outcome = case.prove()
    assert (outcome.verdict, outcome.code) == (Verdict.AGAIN, "peer-unreachable")
    assert (outcome.stored, outcome.pause_s) == (case.stored, None)
    assert case.open() == 0


def test_what_is_no_report_is_a_failed_commitment(tmp_path: Path) -> None:
    with CommittingPeer() as peer:
        case = Case(tmp_path, peer)
        case.prove()
        uid = peer.wait_asked().transaction_uid
        nested = b"\x08\x00\x99\x11SQ\0\0\xff\xff\xff\xff" * 500
        report = Report(event_type=1, transfer_syntax_uid=EXPLICIT, dataset=nested)
        case.asked.take(uid, report, ae_title="PACS")
        outcome = case.prove()
    assert (outcome.verdict, outcome.code) == (Verdict.AGAIN, "commitment-failed")
    assert "cannot be read" in outcome.text


def test_a_file_of_ours_that_is_damaged_is_as_no_report(tmp_path: Path) -> None:
    with CommittingPeer() as peer:
        case = Case(tmp_path, peer)
        case.prove()
        case.take(peer.wait_asked(), committed=2)
        (path,) = case.asked_layout.commitments.glob("*.report.json")
        path.write_bytes(b'{"event_type": ')
        assert case.prove().code == "commitment-not-reported"


def test_transactions_that_are_older_than_any_wait_are_closed(tmp_path: Path) -> None:
    with CommittingPeer() as peer:
        case = Case(tmp_path, peer)
        case.prove()
        case.take(peer.wait_asked(), committed=2)
    case.asked.sweep(before_s=0)
    assert case.open() == 1
    # Its transaction was closed at the moment in which it was laid there.
    (case.asked_layout.commitments / "1.2.report.json").write_bytes(b"{}")
    case.asked.sweep(before_s=2**40)
    assert list(case.asked_layout.commitments.iterdir()) == []
