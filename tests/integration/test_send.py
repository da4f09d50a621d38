"""Storage SCU, C-ECHO and C-FIND against pynetdicom, DCMTK and Orthanc."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID, Comprehensive3DSRStorage, SegmentationStorage

from dicom_node.audit.auditor import Auditor
from dicom_node.errors import AssociationRejectedError, PeerUnreachableError
from dicom_node.peers.count_instances import count_series
from dicom_node.peers.send import send_instances
from dicom_node.peers.verify import echo
from dicom_node.records import InstanceOutcome
from dicom_node.settings.sections import Peer
from tests.support.acceptors import Acceptors
from tests.support.dicom_files import (
    dataset_bytes,
    dcmtk_convert,
    mr_instance,
    write_instances,
)
from tests.support.orthanc import Orthanc
from tests.support.peers import (
    DCMTK_ENVIRONMENT,
    HOST,
    WITHIN_S,
    Archive,
    free_port,
    wait_until,
)
from tests.support.slow_archive import SlowArchive

OURS = "LUMBAR_AI"
NOBODY = Auditor(None)


pynetdicom_drops_its_socket = pytest.mark.filterwarnings(
    # It leaves a socket that could not connect to the garbage collector.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


def _peer(port: int, *, title: str = "PACS", timeout_s: float = 60) -> Peer:
    return Peer(ae_title=title, host=HOST, port=port, timeout_s=timeout_s)


def _send(paths: list[Path], peer: Peer) -> tuple[InstanceOutcome, ...]:
    return send_instances("pacs", peer, paths, calling_ae=OURS)


@pytest.fixture
def results(tmp_path: Path) -> list[Path]:
    """Return three objects of the classes that we deliver; their content is MR."""
    paths = []
    for number, sop_class in enumerate(
        (SegmentationStorage, Comprehensive3DSRStorage, "1.2.840.10008.5.1.4.1.1.7"), 1
    ):
        found = mr_instance(number, study="results", series=str(number))
        found.SOPClassUID = UID(sop_class)
        found.file_meta.MediaStorageSOPClassUID = UID(sop_class)
        path = tmp_path / f"result_{number}.dcm"
        found.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def test_each_instance_is_stored_in_order_by_one_association(
    results: list[Path],
) -> None:
    with Archive() as archive:
        outcomes = _send(results, _peer(archive.port))
        assert [outcome.path for outcome in outcomes] == results
        assert all(outcome.stored and outcome.status == 0 for outcome in outcomes)
        assert archive.associations == 1
        expected = [dcmread(path).SOPInstanceUID for path in results]
        assert [found.SOPInstanceUID for found in archive.received] == expected


def test_a_peer_that_refuses_seg_still_gets_the_others(results: list[Path]) -> None:
    with Archive(refused_classes=(SegmentationStorage,)) as archive:
        seg, sr, capture = _send(results, _peer(archive.port))
    assert (seg.stored, seg.status, seg.retryable) == (False, None, False)
    assert "no such SOP class" in seg.text
    assert sr.stored
    assert capture.stored


def test_a_peer_that_refuses_every_class_gives_an_outcome_for_each(
    results: list[Path],
) -> None:
    with Archive(refused_classes=(SegmentationStorage,)) as archive:
        (seg,) = _send(results[:1], _peer(archive.port))
    assert (seg.stored, seg.retryable) == (False, False)


def test_what_was_stored_before_an_abort_is_known(results: list[Path]) -> None:
    started_s = time.monotonic()
    with Archive(abort_at=2) as archive:
        peer = _peer(archive.port, timeout_s=WITHIN_S)
        first, second, third = _send(results, peer)
    assert time.monotonic() - started_s < WITHIN_S, "it waited for who has aborted"
    assert first.stored
    for lost in (second, third):
        assert (lost.stored, lost.status, lost.retryable) == (False, None, True)


@pytest.mark.parametrize(
    ("status", "stored", "retryable"),
    [
        (0xB000, True, False),
        (0xB006, True, False),
        (0xB007, True, False),
        (0xA700, False, True),
        (0xA900, False, False),
        (0xC123, False, False),
    ],
)
def test_the_status_of_the_peer_is_the_outcome(
    results: list[Path], status: int, stored: bool, retryable: bool
) -> None:
    with Archive(failure_status=status, error_comment="PHANTOM^PATIENT") as archive:
        outcome = _send(results[:1], _peer(archive.port))[0]
    assert outcome.status == status
    assert (outcome.stored, outcome.retryable) == (stored, retryable)
    assert f"{status:#06x}" in outcome.text
    assert "PHANTOM" not in outcome.text


@pytest.mark.peer
def test_a_peer_that_knows_implicit_only_gets_implicit(
    results: list[Path], tmp_path: Path
) -> None:
    with _storescp(tmp_path / "in", "+xi") as port:
        outcomes = _send(results, _peer(port))
    assert all(outcome.stored for outcome in outcomes)
    kept = [dcmread(path) for path in (tmp_path / "in").iterdir()]
    assert {found.file_meta.TransferSyntaxUID for found in kept} == {
        "1.2.840.10008.1.2"
    }
    assert {found.PixelData for found in kept} == {
        dcmread(path).PixelData for path in results
    }


@pytest.mark.peer
def test_a_compressed_object_goes_as_it_is(tmp_path: Path) -> None:
    (plain,) = write_instances(tmp_path / "out", 1)
    packed = dcmtk_convert(plain, tmp_path / "rle.dcm", "dcmcrle")
    with Acceptors(tmp_path / "spool") as node:
        peer = _peer(node.port, title=OURS)
        (outcome,) = send_instances("node", peer, [packed], calling_ae="PACS")
        assert outcome.stored
        node.wait_for(1)
        assert dataset_bytes(node.stored[0].path) == dataset_bytes(packed)


@contextmanager
def _storescp(folder: Path, *options: str) -> Iterator[int]:
    folder.mkdir()
    port = free_port()
    process = subprocess.Popen(
        ["storescp", *options, "-od", str(folder), str(port)], env=DCMTK_ENVIRONMENT
    )
    try:
        wait_until(lambda: _answers(port), what="storescp listens")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@pynetdicom_drops_its_socket
def test_a_peer_that_is_down_is_unreachable(results: list[Path]) -> None:
    with pytest.raises(PeerUnreachableError, match="nothing listens there") as caught:
        _send(results, _peer(free_port()))
    assert caught.value.retryable


def test_a_host_without_an_address_is_unreachable(results: list[Path]) -> None:
    peer = Peer(ae_title="PACS", host="no-such-host.invalid", port=104, timeout_s=2)
    with pytest.raises(PeerUnreachableError):
        _send(results, peer)


def test_a_peer_that_never_answers_is_unreachable_in_time(results: list[Path]) -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(PeerUnreachableError, match=r": connected, and no answer"):
            _send(results, _peer(port, timeout_s=0.5))


def test_a_peer_that_does_not_know_us_may_be_told_of_us_later(
    results: list[Path], tmp_path: Path
) -> None:
    with Acceptors(tmp_path / "spool") as node:
        with pytest.raises(AssociationRejectedError, match=r"[Cc]alling") as caught:
            _send(results, _peer(node.port, title=OURS))
        assert caught.value.retryable
        with pytest.raises(AssociationRejectedError, match=r"[Cc]alled"):
            send_instances(
                "pacs", _peer(node.port, title="WRONG"), results, calling_ae="PACS"
            )


def test_a_peer_with_too_many_associations_may_accept_later(
    results: list[Path],
) -> None:
    """A-ASSOCIATE-RJ, transient, by the presentation layer: local limit exceeded."""
    with (
        _rejecting(bytes((0, 2, 3, 2))) as port,
        pytest.raises(AssociationRejectedError, match="Transient"),
    ):
        _send(results, _peer(port))


@contextmanager
def _rejecting(answer: bytes) -> Iterator[int]:
    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            # It closes at once, as a peer may: the answer must be read nevertheless.
            connection.sendall(b"\x03\0\0\0\0\x04" + answer)

    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


@pynetdicom_drops_its_socket
def test_echo_says_whether_a_peer_is_there() -> None:
    with Archive() as archive:
        echo(_peer(archive.port), OURS)
    with pytest.raises(PeerUnreachableError):
        echo(_peer(free_port()), OURS)


@pytest.mark.peer
def test_orthanc_counts_the_instances_of_a_series(tmp_path: Path) -> None:
    paths = write_instances(tmp_path / "out", 5, study="count")
    wanted = mr_instance(study="count")
    with Orthanc(tmp_path / "orthanc", node_port=free_port()) as orthanc:
        # A modality that it knows may ask; it answers no one else.
        peer = _peer(orthanc.dicom_port, title=_title(orthanc))
        echo(peer, OURS)
        for path in paths:
            dated = dcmread(path)
            dated.SeriesDate, dated.SeriesTime = "20260102", "101500"
            dated.save_as(path)
        assert all(item.stored for item in _send(paths, peer))
        study, series = str(wanted.StudyInstanceUID), str(wanted.SeriesInstanceUID)
        counted = count_series(peer, OURS, study, series, NOBODY)
        assert counted is not None
        assert counted.instances == 5
        assert counted.began_at is not None
        assert f"{counted.began_at:%Y%m%d %H%M%S}" == "20260102 101500"
        assert count_series(peer, OURS, study, "1.2.3", NOBODY) is None
        assert count_series(peer, OURS, study, "*", NOBODY) is None


def _title(orthanc: Orthanc) -> str:
    configuration = (orthanc.folder / "orthanc.json").read_text()
    found = re.search(r'"DicomAet"\s*:\s*"([^"]+)"', configuration)
    assert found is not None
    return found.group(1)


def test_a_peer_that_answers_without_an_end_is_not_listened_to_for_ever() -> None:
    with SlowArchive(mr_instance()) as archive:
        peer = _peer(archive.port).model_copy(
            update={"ae_title": archive.ae_title, "timeout_s": 1.0}
        )
        begun_s = time.monotonic()
        assert count_series(peer, OURS, "1.2", "1.3", NOBODY) is None
        assert time.monotonic() - begun_s < 30
        assert archive.answered > 1


def test_a_peer_without_c_find_does_not_count() -> None:
    with Archive() as archive:
        assert count_series(_peer(archive.port), OURS, "1.2", "1.3", NOBODY) is None
