"""A peer that stops to read or to answer is cut off, and holds no thread."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.uid import UID, SecondaryCaptureImageStorage
from pynetdicom.association import Association

from dicom_node.dimse.contexts import PROPOSED_SYNTAXES, VERIFICATION
from dicom_node.errors import PeerUnreachableError
from dicom_node.peers.associate import association
from dicom_node.peers.send import send_instances
from dicom_node.peers.verify import echo
from dicom_node.records import InstanceOutcome
from dicom_node.settings.sections import Peer
from tests.support import phantom_plugin
from tests.support.dicom_files import mr_instance
from tests.support.node_process import node_for
from tests.support.peers import (
    DCMTK_ENVIRONMENT,
    HOST,
    WITHIN_S,
    Archive,
    free_port,
    listens,
    send,
    wait_until,
)
from tests.support.stalling_proxy import StallingProxy

TIMEOUT_S = 2.0
"""Of the peer that stalls: a machine that is slow has opened an association by then."""
STOP_WITHIN_S = 10.0
LARGE_BYTES = 2**24
"""More than the buffers of both sockets hold."""
STALLS_AFTER_BYTES = 2**20


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = mr_instance(1, study="large")
    found.SOPClassUID = UID(SecondaryCaptureImageStorage)
    found.file_meta.MediaStorageSOPClassUID = UID(SecondaryCaptureImageStorage)
    found.Rows, found.Columns = 4096, LARGE_BYTES // 2 // 4096
    found.PixelData = bytes(LARGE_BYTES)
    path = tmp_path_factory.mktemp("large") / "large.dcm"
    found.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(autouse=True)
def threads_end() -> Iterator[None]:
    """Let no thread of an association outlive its test."""
    before = set(threading.enumerate())
    yield
    wait_until(
        lambda: (
            not any(
                thread.name.startswith(("Requestor", "watch-", "DUL"))
                for thread in set(threading.enumerate()) - before
            )
        ),
        what="the threads of the association end",
    )


def peer_at(port: int, timeout_s: float = TIMEOUT_S) -> Peer:
    return Peer(ae_title="PACS", host=HOST, port=port, timeout_s=timeout_s)


def sent(path: Path, port: int, timeout_s: float = TIMEOUT_S) -> InstanceOutcome:
    """Send in a thread, so that one that hangs fails the test and not the suite."""
    peer = peer_at(port, timeout_s)
    outcomes: list[InstanceOutcome] = []

    def send() -> None:
        outcomes.extend(send_instances("pacs", peer, [path], calling_ae="LUMBAR_AI"))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(WITHIN_S)
    assert not thread.is_alive(), f"still sending after {WITHIN_S:g} s"
    return outcomes[0]


@pytest.mark.parametrize("slow", [False, True], ids=["frozen", "trickling"])
def test_a_peer_that_stops_reading_is_cut_off_and_takes_the_instance_when_it_reads(
    large: Path, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half a MiB a second is too slow then; the rule itself allows 8 minutes here.
    monkeypatch.setattr("dicom_node.peers.send._LEAST_BYTES_PER_S", LARGE_BYTES)
    with (
        Archive() as archive,
        StallingProxy(archive.port, after_bytes=STALLS_AFTER_BYTES, slow=slow) as proxy,
    ):
        outcome = sent(large, proxy.port)
        assert (outcome.stored, outcome.retryable) == (False, True)
        monkeypatch.undo()
        proxy.is_healthy = True
        assert sent(large, proxy.port, WITHIN_S).stored


@pytest.mark.peer
def test_a_storescp_that_is_stopped_in_mid_association_is_cut_off(
    large: Path, tmp_path: Path
) -> None:
    port = free_port()
    storescp = subprocess.Popen(
        ["storescp", "-od", str(tmp_path), str(port)], env=DCMTK_ENVIRONMENT
    )

    def stop() -> None:
        os.kill(storescp.pid, signal.SIGSTOP)

    try:
        wait_until(lambda: listens(port), what="storescp listens")
        with StallingProxy(port, after_bytes=STALLS_AFTER_BYTES, stalled=stop) as proxy:
            outcome = sent(large, proxy.port)
        assert (outcome.stored, outcome.retryable) == (False, True)
    finally:
        os.kill(storescp.pid, signal.SIGCONT)
        storescp.terminate()
        storescp.wait(10)


def _hold(
    listener: socket.socket,
    answer: bytes,
    let_go: threading.Event,
    asked: threading.Event,
) -> None:
    connection, _ = listener.accept()
    with connection:
        asked.set()
        connection.send(answer)
        let_go.wait()


@contextmanager
def _silent_peer(answer: bytes) -> Iterator[tuple[int, threading.Event]]:
    """Listen for one association, which is answered with these bytes alone."""
    let_go, asked = threading.Event(), threading.Event()
    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=_hold, args=(listener, answer, let_go, asked))
        thread.start()
        try:
            yield listener.getsockname()[1], asked
        finally:
            let_go.set()
            thread.join()


@pytest.mark.parametrize("answer", [b"", b"\x02\0\0"], ids=["silent", "half-a-pdu"])
def test_an_association_that_is_not_answered_in_whole_is_cut_off(answer: bytes) -> None:
    with _silent_peer(answer) as (port, _):
        started_s = time.monotonic()
        with pytest.raises(PeerUnreachableError):
            echo(peer_at(port), "LUMBAR_AI")
        assert time.monotonic() - started_s < WITHIN_S  # a wait that hangs has no end


def test_a_node_whose_question_is_never_answered_stops_in_time(tmp_path: Path) -> None:
    with _silent_peer(b"") as (port, asked):
        node = node_for(
            tmp_path,
            Archive(port=port),
            analysis=phantom_plugin.NAME,
            environment=phantom_plugin.make_installed(tmp_path / "site"),
        )
        node.settings["peers"]["pacs"].update(answers_c_find=True, timeout_s=120)
        node.settings["series"].update(confirm_by_c_find=True, quiet_s=60)
        with node:
            send([mr_instance(1, study="asked")], node.port)
            assert asked.wait(WITHIN_S)
            assert node.stop() == 0
            assert node.stop_took_s() < STOP_WITHIN_S


@contextmanager
def _opened() -> Iterator[Association]:
    """Yield an association with an archive."""
    with (
        Archive() as archive,
        association(
            "pacs",
            peer_at(archive.port, 1.0),
            calling_ae="NODE",
            proposals=((VERIFICATION, PROPOSED_SYNTAXES),),
        ) as opened,
    ):
        yield opened


def test_a_release_that_waits_for_its_own_thread_for_ever_is_ended() -> None:
    # Seen once, on a machine that was short of time: pynetdicom's thread had paused,
    # and said that it had not.
    with _opened() as opened:
        opened._reactor_checkpoint.clear()
        wait_until(lambda: opened._is_paused, what="the thread pauses")
        opened._is_paused = False
    assert not opened.is_established


class _GoesOn(threading.Event):
    """Lets whoever waits for it go on a little later, whether it is set or not."""

    def wait(self, timeout: float | None = None) -> bool:
        time.sleep(0.02 if timeout is None else timeout)
        return True


def test_no_answer_is_lost_to_the_thread_that_serves_requests() -> None:
    # Seen on a busy machine: the thread went on after it was said to have paused.
    with _opened() as opened:
        opened._reactor_checkpoint = _GoesOn()
        answers = [opened.send_c_echo().get("Status") for _ in range(5)]
    assert answers == [0] * 5


def test_the_thread_that_serves_requests_leaves_the_note_that_it_is_over() -> None:
    with _opened() as opened:
        over = (None, None)
        opened.dimse.msg_queue.put(over)
        time.sleep(0.1)  # in which the thread looks some hundred times
        assert opened.dimse.msg_queue.get_nowait() == over
