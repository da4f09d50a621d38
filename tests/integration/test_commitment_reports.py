"""What an acceptor does with reports of storage commitment, true ones and others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom.uid import MRImageStorage, generate_uid

from dicom_node.asked_commitments import Asked, AskedCommitments
from tests.support.acceptors import OPTIONS, Acceptors
from tests.support.committing_peer import (
    COMPLETE,
    SOME_FAILED,
    event_information,
    report,
)
from tests.support.dicom_files import mr_instance
from tests.support.peers import send

SUCCESS, NO_SUCH_TRANSACTION = 0x0000, 0x0115
ARCHIVE = "ARCHIVE"
"""May report, and may not store."""
INSTANCE = (MRImageStorage, "1.2.3.4")


@pytest.fixture(scope="module")
def acceptors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acceptors]:
    options = replace(OPTIONS, reporting_aes=frozenset({"PACS", ARCHIVE}))
    with Acceptors(tmp_path_factory.mktemp("spool"), options=options) as acceptors:
        yield acceptors


@pytest.fixture
def asked(acceptors: Acceptors) -> AskedCommitments:
    return AskedCommitments(acceptors.layout)


def transaction(asked: AskedCommitments, *, ae_title: str = "PACS") -> str:
    uid = str(generate_uid())
    asked.ask(Asked(transaction_uid=uid, ae_title=ae_title, peer="pacs", job_id="job"))
    return uid


def test_a_report_is_laid_beside_what_was_asked(
    acceptors: Acceptors, asked: AskedCommitments
) -> None:
    uid = transaction(asked)
    told = event_information(uid, committed=[INSTANCE])
    assert report(acceptors.port, COMPLETE, told) == SUCCESS
    found = asked.report(uid)
    assert found is not None
    assert found.event_type == COMPLETE
    assert INSTANCE[1].encode() in found.dataset


def test_a_report_that_comes_again_changes_nothing(
    acceptors: Acceptors, asked: AskedCommitments
) -> None:
    uid = transaction(asked)
    told = event_information(uid, committed=[INSTANCE])
    assert report(acceptors.port, COMPLETE, told) == SUCCESS
    first = asked.report(uid)
    other = event_information(uid, failed=[INSTANCE])
    assert report(acceptors.port, SOME_FAILED, other) == SUCCESS
    assert asked.report(uid) == first


def test_a_report_of_an_unknown_transaction_is_refused_and_leaves_no_trace(
    acceptors: Acceptors, asked: AskedCommitments
) -> None:
    before = sorted(acceptors.layout.commitments.iterdir())
    uid = str(generate_uid())
    told = event_information(uid, committed=[INSTANCE])
    assert report(acceptors.port, COMPLETE, told) == NO_SUCH_TRANSACTION
    assert asked.report(uid) is None
    assert sorted(acceptors.layout.commitments.iterdir()) == before


def test_a_report_from_another_title_than_was_asked_is_refused(
    acceptors: Acceptors, asked: AskedCommitments
) -> None:
    uid = transaction(asked, ae_title=ARCHIVE)
    told = event_information(uid, committed=[INSTANCE])
    assert report(acceptors.port, COMPLETE, told) == NO_SUCH_TRANSACTION
    assert asked.report(uid) is None
    assert report(acceptors.port, COMPLETE, told, calling=ARCHIVE) == SUCCESS


def test_a_report_of_a_transaction_that_was_closed_is_refused(
    acceptors: Acceptors, asked: AskedCommitments
) -> None:
    uid = transaction(asked)
    asked.forget([uid])
    told = event_information(uid, committed=[INSTANCE])
    assert report(acceptors.port, COMPLETE, told) == NO_SUCH_TRANSACTION


@pytest.mark.parametrize("uid", ["", "../../node-id", "1.2." + "3" * 300])
def test_a_report_without_a_proper_transaction_uid_is_refused(
    acceptors: Acceptors, uid: str
) -> None:
    told = event_information("1.2", committed=[INSTANCE])
    if uid:
        told["TransactionUID"]._value = uid  # no UID: pydicom would refuse it
    else:
        del told.TransactionUID
    assert report(acceptors.port, COMPLETE, told) == NO_SUCH_TRANSACTION


def test_a_report_of_an_unknown_event_or_without_content_is_refused(
    acceptors: Acceptors, asked: AskedCommitments
) -> None:
    uid = transaction(asked)
    told = event_information(uid, committed=[INSTANCE])
    assert report(acceptors.port, 3, told) == NO_SUCH_TRANSACTION
    assert report(acceptors.port, COMPLETE, None) == NO_SUCH_TRANSACTION
    assert asked.report(uid) is None


def test_a_report_that_is_too_long_is_refused_and_the_next_one_taken(
    acceptors: Acceptors, asked: AskedCommitments
) -> None:
    uid = transaction(asked)
    many = [(MRImageStorage, f"1.2.3.{number}") for number in range(5000)]
    told = event_information(uid, committed=many)
    assert report(acceptors.port, COMPLETE, told) == NO_SUCH_TRANSACTION
    told = event_information(uid, committed=[INSTANCE])
    assert report(acceptors.port, COMPLETE, told) == SUCCESS


def test_a_title_that_is_not_asked_for_commitment_gets_no_context_for_reports(
    acceptors: Acceptors, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # With the options of a node that asks nobody for commitment.
    folder = tmp_path_factory.mktemp("plain")
    with Acceptors(folder) as plain:
        told = event_information("1.2", committed=[INSTANCE])
        assert report(plain.port, COMPLETE, told, more=[MRImageStorage]) is None
    assert report(acceptors.port, COMPLETE, told, calling="STRANGER") is None


def test_a_peer_that_may_not_send_may_report_and_nothing_else(
    acceptors: Acceptors, asked: AskedCommitments
) -> None:
    with pytest.raises(ConnectionError):
        send([mr_instance(1)], acceptors.port, calling=ARCHIVE)
    uid = transaction(asked, ae_title=ARCHIVE)
    told = event_information(uid, committed=[INSTANCE])
    taken = report(
        acceptors.port, COMPLETE, told, calling=ARCHIVE, more=[MRImageStorage]
    )
    assert taken == SUCCESS
    assert acceptors.files() == []
