"""An archive that stops half-way is cut off, and one that refuses is understood."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.dimse.deadline import Deadline
from dicom_node.errors import NodeError, QueryFailedError
from dicom_node.prior import archive_peer as archive_module
from dicom_node.prior.archive_peer import PeerArchive
from dicom_node.settings.sections import FollowUp, Peer, Route, Settings, Spool
from dicom_node.spool_layout import SpoolLayout
from tests.support.peers import HOST, wait_until
from tests.support.slow_archive import SlowArchive
from tests.support.unwilling_archive import UnwillingArchive

MR = "1.2.840.10008.5.1.4.1.1.4"
LONG_S = 240.0
SHORT_S = 1.0
"""The archives below hold on for as long as a test may run."""


@pytest.fixture(scope="module")
def archive(demo_series: Path) -> Iterator[SlowArchive]:
    first = sorted(demo_series.glob("*.dcm"))[0]
    with SlowArchive(dcmread(first)) as archive:
        yield archive


def asking(folder: Path, port: int, retrieve: str, deadline: Deadline) -> PeerArchive:
    peer = Peer(ae_title="SLOW", host=HOST, port=port, timeout_s=LONG_S)
    settings = Settings(
        version=1,
        peers={"slow": peer},
        spool=Spool(folder=folder / "spool"),
        routes=[Route(name="lumbar", deliver_to=["slow"])],
    )
    SpoolLayout(settings.spool.folder).prepare()
    follow_up = FollowUp.model_validate(
        {"peer": "slow", "retrieve": "c-move" if retrieve == "c-move" else "c-get"}
    )
    return PeerArchive(settings, follow_up, folder, deadline)


@contextmanager
def cut_once(condition: Callable[[], bool]) -> Iterator[Deadline]:
    """Give a deadline that ends when the archive has come so far."""
    with Deadline(LONG_S) as deadline:

        def follow() -> None:
            wait_until(condition, within_s=LONG_S, what="the archive has begun")
            deadline.cut()

        thread = threading.Thread(target=follow)
        thread.start()
        yield deadline
        thread.join()


def test_a_query_that_is_answered_without_an_end_is_cut_off(
    archive: SlowArchive, tmp_path: Path
) -> None:
    before = archive.answered
    with cut_once(lambda: archive.answered > before + 1) as deadline:
        peer = asking(tmp_path, archive.port, "c-get", deadline)
        with pytest.raises(NodeError, match="lost before the end of a C-FIND"):
            peer.studies("PHANTOM1", "20260101")


def test_a_c_get_that_stops_half_way_is_cut_off(
    archive: SlowArchive, tmp_path: Path
) -> None:
    def came() -> bool:
        return len(list(tmp_path.glob("*/*.dcm"))) == 1

    with cut_once(came) as deadline:
        peer = asking(tmp_path, archive.port, "c-get", deadline)
        with pytest.raises(NodeError, match="lost before the end of a C-GET"):
            peer.fetch("1.2", "1.3", [MR])


def test_a_c_move_that_is_never_answered_is_cut_off(
    archive: SlowArchive, tmp_path: Path
) -> None:
    before = archive.moved
    with cut_once(lambda: archive.moved > before) as deadline:
        peer = asking(tmp_path, archive.port, "c-move", deadline)
        with pytest.raises(NodeError, match="lost before the end of a C-MOVE"):
            peer.fetch("1.2", "1.3", [MR])


def drip(listener: socket.socket, let_go: threading.Event) -> None:
    """Answer an association request with a byte now and then."""
    connection, _ = listener.accept()
    with connection:
        while not let_go.wait(0.1):
            try:
                connection.send(b"\x02")
            except OSError:
                return


def never(listener: socket.socket, let_go: threading.Event) -> None:
    """Accept, and say nothing."""
    connection, _ = listener.accept()
    with connection:
        let_go.wait()


@pytest.mark.parametrize("answer", [drip, never])
def test_an_association_that_is_never_accepted_is_cut_off(
    tmp_path: Path, answer: Callable[[socket.socket, threading.Event], None]
) -> None:
    let_go = threading.Event()
    with socket.create_server((HOST, 0)) as listener, Deadline(SHORT_S) as deadline:
        thread = threading.Thread(target=answer, args=(listener, let_go))
        thread.start()
        try:
            port = listener.getsockname()[1]
            peer = asking(tmp_path, port, "c-get", deadline)
            with pytest.raises(NodeError):
                peer.studies("PHANTOM1", "20260101")
        finally:
            let_go.set()
            thread.join()


def test_nothing_is_begun_when_the_time_is_over(
    archive: SlowArchive, tmp_path: Path
) -> None:
    with Deadline(0.01) as deadline:
        deadline.cut()
        peer = asking(tmp_path, archive.port, "c-get", deadline)
        with pytest.raises(NodeError):
            peer.studies("PHANTOM1", "20260101")


RETRIEVE = {"C-FIND": "c-get", "C-GET": "c-get", "C-MOVE": "c-move"}


def ask(peer: PeerArchive, service: str) -> object:
    if service == "C-FIND":
        return peer.studies("PHANTOM1", "20260101")
    return peer.fetch("1.2", "1.3", [MR])


@pytest.mark.parametrize("service", ["C-FIND", "C-GET", "C-MOVE"])
def test_an_archive_that_does_not_know_the_service_is_named(
    tmp_path: Path, service: str
) -> None:
    with UnwillingArchive(status=0) as archive, Deadline(LONG_S) as deadline:
        peer = asking(tmp_path, archive.port, RETRIEVE[service], deadline)
        with pytest.raises(QueryFailedError, match=f"{service} at SLOW: not supported"):
            ask(peer, service)


@pytest.mark.parametrize(
    ("service", "said"),
    [("C-FIND", "0xc001"), ("C-GET", "0xc001"), ("C-MOVE", "0xa801")],
)
def test_a_failure_is_told_with_its_status(
    tmp_path: Path, service: str, said: str
) -> None:
    with (
        UnwillingArchive(service, status=0xC001) as archive,
        Deadline(LONG_S) as deadline,
    ):
        peer = asking(tmp_path, archive.port, RETRIEVE[service], deadline)
        with pytest.raises(QueryFailedError, match=f"{service} at SLOW: .*{said}"):
            ask(peer, service)


def test_a_series_of_which_an_archive_has_nothing_is_empty_by_c_get(
    tmp_path: Path,
) -> None:
    with UnwillingArchive("C-GET", status=0) as archive, Deadline(LONG_S) as deadline:
        peer = asking(tmp_path, archive.port, "c-get", deadline)
        assert list(peer.fetch("1.2", "1.3", [MR])) == []


def test_a_c_move_after_which_nothing_came_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "move_series", lambda *_, **__: None)
    with Deadline(LONG_S) as deadline:
        peer = asking(tmp_path, 1, "c-move", deadline)
        with pytest.raises(QueryFailedError, match="nothing arrived"):
            peer.fetch("1.2", "1.3", [MR])


def test_what_an_archive_moves_without_saying_who_asked_lies_in_the_inbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = SpoolLayout(tmp_path / "spool")
    filed = layout.series_folder("1.2", "1.3") / "abc-1.dcm"
    filed.parent.mkdir(parents=True)
    filed.write_bytes(b"")
    monkeypatch.setattr(archive_module, "move_series", lambda *_, **__: None)
    with Deadline(LONG_S) as deadline:
        peer = asking(tmp_path, 1, "c-move", deadline)
        assert list(peer.fetch("1.2", "1.3", [MR])) == [filed]
