"""Acceptor processes against DCMTK, pynetdicom, port scans and noise."""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self
from unittest.mock import Mock

import pytest
from pydicom import dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from dicom_node.receive.admission import ReceiverOptions
from dicom_node.receive.association_slots import AssociationSlots, association_table
from dicom_node.receive.event_report import ReportRequest
from dicom_node.receive.events import (
    AssociationClosed,
    AssociationEnding,
    AssociationOpened,
    InstanceStored,
    SpoolEvent,
)
from dicom_node.receive.receiver import (
    AssociationWatch,
    Receiver,
    open_listener,
)
from dicom_node.records import StoreRequest
from dicom_node.series.spool_content import read_spool
from tests.support.acceptors import OPTIONS, Acceptors
from tests.support.dicom_files import (
    dataset_bytes,
    dcmtk_convert,
    encoded,
    gdcmconv,
    mr_instance,
    write_instances,
)
from tests.support.peers import (
    HOST,
    WITHIN_S,
    connected,
    dcmsend,
    echo,
    run_dcmtk,
    send,
    storescu,
    wait_until,
)
from tests.support.raw_association import (
    MR,
    associate_request,
    opened,
    read_pdu,
    status_of,
    store_pdus,
    store_raw,
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acceptors]:
    """Two acceptors for the tests that leave nothing behind but instances."""
    folder = tmp_path_factory.mktemp("spool")
    with Acceptors(folder, processes=2) as running:
        yield running


def _converted(source: Path, folder: Path, name: str) -> Path:
    """Return the file in the transfer syntax of this name."""
    target = folder / f"{name}.dcm"
    gdcm = {
        "jpeg-lossless": "--jpeg",
        "jpeg-ls": "--jpegls",
        "jpeg-2000": "--j2k",
        "rle": "--rle",
    }
    dcmtk = {
        "jpeg-lossless-57": ("dcmcjpeg", "+el"),
        "jpeg-extended": ("dcmcjpeg", "+ee"),
        "rle-dcmtk": ("dcmcrle",),
        "jpeg-ls-dcmtk": ("dcmcjpls",),
        "implicit": ("dcmconv", "+ti"),
        "deflated": ("dcmconv", "+td"),
        "big-endian": ("dcmconv", "+tb"),
    }
    if name in gdcm:
        return gdcmconv(source, target, gdcm[name])
    if name in dcmtk:
        return dcmtk_convert(source, target, *dcmtk[name])
    return source


SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "deflated": str(DeflatedExplicitVRLittleEndian),
    "big-endian": str(ExplicitVRBigEndian),
    "rle": "1.2.840.10008.1.2.5",
    "rle-dcmtk": "1.2.840.10008.1.2.5",
    "jpeg-extended": "1.2.840.10008.1.2.4.51",
    "jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "jpeg-lossless-57": "1.2.840.10008.1.2.4.57",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg-ls-dcmtk": "1.2.840.10008.1.2.4.80",
    "jpeg-2000": "1.2.840.10008.1.2.4.90",
}


STORESCU_PROPOSES = {
    "explicit": "-xe",
    "implicit": "-xi",
    "deflated": "-xd",
    "big-endian": "-xb",
    "rle": "-xr",
    "jpeg-extended": "-xx",
    "jpeg-lossless": "-xs",
    "jpeg-ls": "-xt",
    "jpeg-2000": "-xv",
}


def _source(folder: Path, name: str, study: str) -> Path:
    (plain,) = write_instances(folder / "plain", 1, study=study)
    sent = folder / "sent"
    sent.mkdir()
    return _converted(plain, sent, name)


def _is_kept_as(node: Acceptors, sent: Path, syntax: str) -> bool:
    """Check the one instance that came, and return whether its bytes are the same."""
    (stored,) = node.stored_as(str(dcmread(sent).SOPInstanceUID))
    found = dcmread(stored.path)
    assert stored.transfer_syntax_uid == syntax
    assert found.file_meta.TransferSyntaxUID == syntax
    assert found.SOPInstanceUID == stored.sop_instance_uid
    return dataset_bytes(stored.path) == dataset_bytes(sent)


@pytest.mark.peer
@pytest.mark.parametrize("name", SYNTAXES)
def test_what_dcmsend_sends_lies_on_the_disk(
    node: Acceptors, tmp_path: Path, name: str
) -> None:
    sent = _source(tmp_path, name, f"dcmsend-{name}")
    dcmsend(sent, node.port, options=("-dn",))
    # It makes explicit little endian of what is not compressed, and deflates anew.
    is_converted = name in ("implicit", "big-endian")
    syntax = SYNTAXES["explicit" if is_converted else name]
    is_same = _is_kept_as(node, sent, syntax)
    assert is_same or is_converted or name == "deflated"


@pytest.mark.peer
@pytest.mark.parametrize("name", STORESCU_PROPOSES)
def test_what_storescu_sends_lies_on_the_disk(
    node: Acceptors, tmp_path: Path, name: str
) -> None:
    sent = _source(tmp_path, name, f"storescu-{name}")
    storescu(sent, node.port, options=(STORESCU_PROPOSES[name],))
    is_same = _is_kept_as(node, sent, SYNTAXES[name])
    assert is_same or name == "deflated"


@pytest.mark.parametrize(
    "sop_class", ["1.2.840.10008.5.1.4.1.1.88.22", "1.3.12.2.1107.5.9.1", "1.2.3.4.5"]
)
def test_a_class_that_nobody_analyses_is_kept_too(
    node: Acceptors, sop_class: str
) -> None:
    found = mr_instance(study=f"other-{sop_class}")
    found.SOPClassUID = UID(sop_class)
    found.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    assert send([found], node.port) == [0x0000]


def test_dcmtk_echoes(node: Acceptors) -> None:
    done = run_dcmtk(
        "echoscu", "-aet", "PACS", "-aec", "LUMBAR_AI", HOST, str(node.port)
    )
    assert done.returncode == 0, done.stderr


def _rejection(
    port: int,
    *,
    calling: str = "PACS",
    called: str = "LUMBAR_AI",
    sop_class: str = MR,
) -> tuple[int, ...]:
    """Ask for an association; return result, source and reason (PS3.8 table 9-21).

    By hand: pynetdicom now and then sees that we close before it reads our answer.
    """
    asking, asked = (title.encode().ljust(16) for title in (calling, called))
    with connected(port) as connection:
        connection.sendall(associate_request(asking, called=asked, sop_class=sop_class))
        answer = read_pdu(connection)
    assert answer[:1] == b"\x03"
    return tuple(answer[7:])


@pytest.mark.parametrize(
    ("calling", "called", "answer"),
    [("STRANGER", "LUMBAR_AI", (1, 1, 3)), ("PACS", "OTHER", (1, 1, 7))],
)
def test_a_title_that_is_not_known_is_rejected_for_good(
    node: Acceptors, calling: str, called: str, answer: tuple[int, int, int]
) -> None:
    assert _rejection(node.port, calling=calling, called=called) == answer


def test_a_service_that_we_are_not_is_rejected(node: Acceptors) -> None:
    find = "1.2.840.10008.5.1.4.1.2.2.1"
    assert _rejection(node.port, sop_class=find) == (1, 1, 1)


def test_a_title_padded_with_nul_is_served(node: Acceptors) -> None:
    """As old workstations do (pynetdicom#921)."""
    request = associate_request(calling=b"PACS".ljust(16, b"\0"))
    with connected(node.port) as connection:
        connection.sendall(request)
        assert connection.recv(1) == b"\x02"


def test_one_association_too_many_is_rejected_for_now(tmp_path: Path) -> None:
    options = replace(OPTIONS, max_associations=2)
    with Acceptors(tmp_path, options=options, processes=2) as node:
        wait_until(
            lambda: sum(isinstance(e, AssociationClosed) for e in node.events) >= 1,
        )
        with opened(node.port, sop_class=MR), opened(node.port, sop_class=MR) as second:
            assert _rejection(node.port) == (2, 3, 2)
            assert echo(node.port)
            second.release()
            wait_until(lambda: _stores(node), what="a slot is free")


def _stores(node: Acceptors) -> bool:
    with opened(node.port, sop_class=MR) as association:
        return association.is_established


def test_one_title_leaves_room_for_the_others(tmp_path: Path) -> None:
    """A PACS that opens associations and never releases them shuts out itself alone."""
    options = replace(
        OPTIONS,
        calling_aes=frozenset({"PACS", "MR1"}),
        max_associations=4,
        title_limit=3,
    )
    with Acceptors(tmp_path, options=options, processes=2) as node, ExitStack() as held:
        for _ in range(3):
            held.enter_context(opened(node.port, sop_class=MR))
        for _ in range(40):  # more than are kept of those that only verify
            held.enter_context(_associated(node.port, _VERIFICATION_CONTEXT))
        assert _rejection(node.port) == (2, 3, 2)
        with opened(node.port, calling="MR1", sop_class=MR) as other:
            assert other.is_established
        assert echo(node.port)


_VERIFICATION_CONTEXT = "1.2.840.10008.1.1"


@contextmanager
def _associated(port: int, sop_class: str = MR) -> Iterator[socket.socket]:
    with connected(port) as connection:
        connection.sendall(associate_request(sop_class=sop_class))
        assert read_pdu(connection)[:1] == b"\x02"
        yield connection


def _pdv(control: int, data: bytes = b"") -> bytes:
    return struct.pack(">BxIIBB", 4, len(data) + 6, len(data) + 2, 1, control) + data


@pytest.mark.parametrize(
    "pdus",
    [struct.pack(">BxI", 4, 0), _pdv(0) * 100, _pdv(1) * 100],
    ids=["no PDV", "empty dataset fragments", "empty command fragments"],
)
def test_empty_data_hold_no_association(node: Acceptors, pdus: bytes) -> None:
    with _associated(node.port) as connection:
        connection.sendall(pdus)
        assert read_pdu(connection)[:1] == b"\x07"


def test_a_byte_now_and_then_holds_no_association(tmp_path: Path) -> None:
    """Each PDU comes in time; the dataset would take weeks."""
    request = store_pdus(encoded(mr_instance()), "1.2.3")
    command = request[: 6 + int.from_bytes(request[2:6], "big")]
    with (
        Acceptors(tmp_path, options=replace(OPTIONS, idle_timeout_s=1)) as node,
        _associated(node.port) as connection,
    ):
        connection.sendall(command)
        connection.settimeout(0.2)
        for _ in range(100):
            connection.sendall(_pdv(0, b"\x08\0"))
            with suppress(TimeoutError):
                assert read_pdu(connection)[:1] == b"\x07"
                break
        else:
            pytest.fail("the association was held")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 0xC210),
        (b"no DICOM at all, and of even length.", 0xC210),
        (bytes(4000), 0xC210),
        (encoded(mr_instance())[:200], 0xC210),
        (encoded(mr_instance(2)), 0xA900),
    ],
    ids=["empty", "text", "zeros", "cut before the UIDs", "another instance"],
)
def test_an_unusable_dataset_has_its_status_and_leaves_nothing(
    node: Acceptors, content: bytes, status: int
) -> None:
    before = node.files()
    uid = str(mr_instance(1).SOPInstanceUID)
    assert store_raw(content, node.port, sop_uid=uid) == status
    assert node.files() == before
    assert echo(node.port)


def test_the_good_ones_of_an_association_are_kept_beside_a_bad_one(
    node: Acceptors,
) -> None:
    good, bad, last = (mr_instance(number, study="mixed") for number in (1, 2, 3))
    del bad.SeriesInstanceUID
    assert send([good, bad, last], node.port) == [0x0000, 0xC210, 0x0000]


def test_a_uid_with_path_characters_harms_nothing(node: Acceptors) -> None:
    uid = "../../../../tmp/evil"
    dataset = mr_instance(study="path")
    own = str(dataset.SOPInstanceUID).encode()
    content = encoded(dataset).replace(own, uid.encode().ljust(len(own), b"\0"))
    assert store_raw(content, node.port, sop_uid=uid) == 0x0000
    assert len(node.stored_as(uid)) == 1
    assert all(path.is_relative_to(node.layout.inbox) for path in node.files())


def test_others_are_served_beside_silent_clients_and_a_port_scan(
    tmp_path: Path,
) -> None:
    with Acceptors(tmp_path) as node, ExitStack() as clients:
        for _ in range(200):  # more than an acceptor holds
            silent = connected(node.port)
            clients.enter_context(silent)
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x01\x00"):
            noisy = connected(node.port)
            clients.enter_context(noisy).sendall(noise)
        for _ in range(50):
            connected(node.port).close()
        assert echo(node.port)
        assert send([mr_instance()], node.port) == [0x0000]


def test_bytes_that_no_library_would_write_are_kept_too(node: Acceptors) -> None:
    """Odd padding, an undefined VR after the UIDs, and a pixel element cut off."""
    dataset = mr_instance(study="odd")
    odd = encoded(dataset)[:-77] + b"\xe0\x7f\x10\0??"
    uid = str(dataset.SOPInstanceUID)
    assert store_raw(odd, node.port, sop_uid=uid) == 0x0000
    (stored,) = node.stored_as(uid)
    assert dataset_bytes(stored.path) == odd


def test_a_client_that_stays_silent_is_closed(tmp_path: Path) -> None:
    options = replace(OPTIONS, association_timeout_s=2, idle_timeout_s=2)
    with Acceptors(tmp_path, options=options) as node:
        with connected(node.port) as silent:
            assert silent.recv(1) == b""
        with connected(node.port) as idle:
            idle.sendall(associate_request())
            assert read_pdu(idle)[:1] == b"\x02"
            assert read_pdu(idle)[:1] == b"\x07"  # A-ABORT


@pytest.mark.parametrize(
    "pdu",
    [
        struct.pack(">BxI", 4, 0xFFFFFFFF),
        struct.pack(">BxI", 0x63, 4) + bytes(4),
        struct.pack(">BxI", 1, 4) + bytes(4),
        struct.pack(">BxIIBB", 4, 6, 2, 9, 3),  # a context that was not accepted
        struct.pack(">BxIIBB", 4, 6, 2, 1, 2),  # a dataset without a command
    ],
    ids=["4 GiB", "unknown type", "second request", "context", "dataset"],
)
def test_what_breaks_the_protocol_is_aborted(node: Acceptors, pdu: bytes) -> None:
    with connected(node.port) as connection:
        connection.sendall(associate_request())
        assert read_pdu(connection)[:1] == b"\x02"
        connection.sendall(pdu)
        assert read_pdu(connection)[:1] == b"\x07"
    assert echo(node.port)


def test_echo_is_answered_while_a_store_is_stuck(node: Acceptors) -> None:
    """A sender stalls in the middle of a dataset; every acceptor has one such."""
    with ExitStack() as clients:
        for _ in range(6):
            connection = connected(node.port)
            clients.enter_context(connection).sendall(associate_request())
            read_pdu(connection)
            request = store_pdus(encoded(mr_instance(study="stuck")), "1.2.3")
            connection.sendall(request[:-500])
        assert echo(node.port)


class SlowDisk:
    """A sink whose disk takes what it is given and does not sync it until told."""

    def __init__(self, *, write_s: float = 0) -> None:
        self._write_s = write_s
        self.waiting = threading.Semaphore(0)
        self.synced = threading.Event()

    def begin(self, _request: StoreRequest) -> Self:
        return self

    def write(self, _fragment: memoryview) -> None:
        time.sleep(self._write_s)

    def finish(self) -> None:
        self.waiting.release()
        self.synced.wait(WITHIN_S)

    def discard(self) -> None:
        pass

    def begin_report(self, _request: ReportRequest) -> Self:
        return self


@contextmanager
def _received_by(
    disk: SlowDisk, threads: ThreadPoolExecutor, options: ReceiverOptions = OPTIONS
) -> Iterator[int]:
    """Run a receiver in this process; yield its port."""
    listener = open_listener(HOST, 0)
    receiver = Receiver(
        options,
        listener,
        name="acceptor-0",
        sink=disk,
        watch=Mock(spec=AssociationWatch),
        slots=AssociationSlots(association_table(1), 0, limit=4, title_limit=4),
    )
    with listener:
        serving = threads.submit(receiver.serve)
        try:
            yield listener.getsockname()[1]
        finally:
            receiver.stop()
            serving.result()
            receiver.drain(5)
            for end in (receiver._wake, receiver._woken):
                end.close()  # an acceptor's process ends with them


def test_the_time_of_the_disk_is_not_the_senders() -> None:
    disk = SlowDisk(write_s=0.4)
    disk.synced.set()
    options = replace(OPTIONS, idle_timeout_s=1.5)
    content = encoded(mr_instance(study="slow writes"))
    pdus = [store_pdus(b"", "1.2.3")[:-12]]
    pdus += [_pdv(0, content[at : at + 100]) for at in range(0, 500, 100)]
    pdus += [_pdv(2, content[500:])]
    with (
        ThreadPoolExecutor() as threads,
        _received_by(disk, threads, options) as port,
        _associated(port) as connection,
    ):
        connection.sendall(b"".join(pdus))  # the sender never pauses
        assert status_of(read_pdu(connection)) == 0x0000


def test_echo_is_answered_while_every_store_waits_for_the_disk() -> None:
    disk, stores = SlowDisk(), 4
    with ThreadPoolExecutor() as threads, _received_by(disk, threads) as port:
        instances = [mr_instance(n, study="slow") for n in range(stores)]
        sent = [threads.submit(send, [one], port) for one in instances]
        try:
            assert all(disk.waiting.acquire(timeout=WITHIN_S) for _ in instances)
            assert echo(port)
            assert not any(one.done() for one in sent)
        finally:
            disk.synced.set()
        assert [one.result() for one in sent] == [[0x0000]] * stores


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: cannot mount a small disk")
def test_a_full_disk_is_told_and_heals(tmp_path: Path) -> None:
    with _small_disk(tmp_path, "1m") as small, Acceptors(small / "spool") as node:
        large = [mr_instance(n, study="full", size=512) for n in (1, 2, 3)]
        statuses = send(large, node.port)
        assert statuses[0] == 0x0000
        assert statuses[1:] == [0xA700, 0xA700]
        assert len(node.files()) == 1
        assert list(node.layout.tmp.iterdir()) == []
        assert echo(node.port)
        node.files()[0].unlink()
        assert send(large[1:2], node.port) == [0x0000]


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: cannot mount a small disk")
def test_no_instance_takes_the_disk_that_is_to_be_kept(tmp_path: Path) -> None:
    """It would fit, and there is enough when it begins."""
    with (
        _small_disk(tmp_path, "12m") as small,
        Acceptors(small / "spool", min_free_bytes=6 * 2**20) as node,
    ):
        large = mr_instance(size=2048)  # 8 MiB
        assert send([large, mr_instance(2)], node.port) == [0xA700, 0x0000]
        assert list(node.layout.tmp.iterdir()) == []


@contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[Path]:
    small = folder / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("NO MOUNT: this container may not mount a small disk")
    try:
        yield small
    finally:
        subprocess.run(["umount", str(small)], check=False)


@contextmanager
def _few_descriptors(process: BaseProcess, free: int) -> Iterator[None]:
    """Let a process open so many descriptors and no more."""
    pid = process.pid or 0
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    limit = [number for number in range(10_000) if number not in taken][free]
    former = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, former[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, former)


def test_a_lack_of_descriptors_is_told_as_temporary(tmp_path: Path) -> None:
    with Acceptors(tmp_path) as node, opened(node.port, sop_class=MR) as association:
        with _few_descriptors(node.running[0], 0):
            assert association.send_c_store(mr_instance(1)).Status == 0xA700
        assert association.send_c_store(mr_instance(1)).Status == 0x0000


def test_silent_clients_give_their_descriptors_to_a_sender(tmp_path: Path) -> None:
    with (
        Acceptors(tmp_path) as node,
        _few_descriptors(node.running[0], 4),
        ExitStack() as clients,
    ):
        for _ in range(20):
            silent = connected(node.port)
            clients.enter_context(silent)
        wait_until(lambda: echo(node.port), what="C-ECHO is answered")
        assert node.running[0].is_alive()


def test_less_disk_than_is_to_be_kept_is_told(tmp_path: Path) -> None:
    with Acceptors(tmp_path, min_free_bytes=2**62) as node:
        assert send([mr_instance()], node.port) == [0xA700]
        assert echo(node.port)
        assert node.files() == []


def test_a_killed_acceptor_has_acknowledged_nothing_that_is_not_there(
    tmp_path: Path,
) -> None:
    acknowledged = set()
    with (
        Acceptors(tmp_path) as node,
        connected(node.port) as connection,
    ):
        connection.sendall(associate_request())
        read_pdu(connection)
        for number in range(1, 20):
            found = mr_instance(number)
            uid = str(found.SOPInstanceUID)
            connection.sendall(store_pdus(encoded(found), uid))
            assert status_of(read_pdu(connection)) == 0x0000
            acknowledged.add(uid)
        connection.sendall(store_pdus(encoded(found), uid)[:-100])
        wait_until(lambda: any(node.layout.tmp.iterdir()))
        os.kill(node.running[0].pid or 0, signal.SIGKILL)
        with pytest.raises((EOFError, ConnectionError)):
            read_pdu(connection)
    content = read_spool(node.layout)
    assert {item.sop_instance_uid for item in content.instances} == acknowledged
    assert list(node.layout.tmp.iterdir()) == []
    assert list(node.layout.unreadable.iterdir()) == []


def test_a_stop_lets_an_open_association_end(tmp_path: Path) -> None:
    with Acceptors(tmp_path) as node:
        with opened(node.port, sop_class=MR) as association:
            association.send_c_store(mr_instance(1))
            node.running[0].terminate()
            assert association.send_c_store(mr_instance(2)).Status == 0x0000
        node.running[0].join(WITHIN_S)
        assert node.running[0].exitcode == 0
        node.wait_for(2)


def test_a_stop_does_not_wait_for_a_silent_sender(tmp_path: Path) -> None:
    with Acceptors(tmp_path) as node, opened(node.port):
        node.stop(within_s=WITHIN_S / 8)  # long before the association is idle for long
        assert node.running[0].exitcode == 0


def test_events_come_in_the_order_in_which_things_happened(tmp_path: Path) -> None:
    with Acceptors(tmp_path) as node:
        instances = [mr_instance(1), mr_instance(2)]
        send(instances, node.port)

        def told() -> list[SpoolEvent]:
            """Return those of the association by which instances came."""
            events = list(node.events)
            by_them = {
                event.association_id
                for event in events
                if isinstance(event, InstanceStored)
            }
            return [event for event in events if event.association_id in by_them]

        wait_until(lambda: len(told()) == 4, what="all of it is told")
        opened, first, second, closed = told()
        assert isinstance(opened, AssociationOpened)
        assert isinstance(first, InstanceStored)
        assert isinstance(second, InstanceStored)
        assert [one.instance.sop_instance_uid for one in (first, second)] == [
            one.SOPInstanceUID for one in instances
        ]
        assert isinstance(closed, AssociationClosed)
        assert closed.ending is AssociationEnding.RELEASED


_RELEASE = struct.pack(">BxI", 5, 4) + bytes(4)
_ABORT = struct.pack(">BxI", 7, 4) + bytes(4)
_HALF = store_pdus(encoded(mr_instance(study="half")), "1.2.3")[:-500]
_ENDINGS = {
    "abort": (_ABORT, AssociationEnding.ABORTED),
    "gone within a dataset": (_HALF, AssociationEnding.LOST),
    "nothing": (b"", AssociationEnding.LOST),
    "an unknown PDU": (struct.pack(">BxI", 0x63, 4), AssociationEnding.VIOLATED),
    "release within a command": (
        struct.pack(">BxIIBB", 4, 10, 6, 1, 1) + bytes(4) + _RELEASE,
        AssociationEnding.VIOLATED,
    ),
}


@pytest.mark.parametrize("case", _ENDINGS)
def test_an_association_that_was_not_released_is_told_as_such(
    node: Acceptors, case: str
) -> None:
    last, ending = _ENDINGS[case]
    before = len(node.events)
    with connected(node.port) as connection:
        connection.sendall(associate_request())
        read_pdu(connection)
        connection.sendall(last)
        if ending is not AssociationEnding.LOST:
            connection.shutdown(socket.SHUT_WR)
            connection.recv(100)

    def endings() -> list[AssociationEnding]:
        """Return the one of this association: that of an earlier one may come late."""
        events = node.events[before:]
        own = [
            event.association_id
            for event in events
            if isinstance(event, AssociationOpened)
        ]
        return [
            event.ending
            for event in events
            if isinstance(event, AssociationClosed) and event.association_id in own
        ]

    wait_until(lambda: bool(endings()))
    assert endings() == [ending]
    assert not ending.is_release


def test_a_sender_that_falls_silent_is_told_as_silent(tmp_path: Path) -> None:
    with Acceptors(tmp_path, options=replace(OPTIONS, idle_timeout_s=0.3)) as node:
        with connected(node.port) as connection:
            connection.sendall(associate_request())
            read_pdu(connection)
            assert read_pdu(connection)[:1] == b"\x07"
        wait_until(
            lambda: (
                isinstance(node.events[-1], AssociationClosed)
                and node.events[-1].ending is AssociationEnding.SILENT
            ),
        )
