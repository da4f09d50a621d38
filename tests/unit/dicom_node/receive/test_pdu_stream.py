"""PDUs from a socket: whole, in time, and not larger than they can be."""

from __future__ import annotations

import socket
import struct
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from dicom_node.dimse.pdu import ProtocolError
from dicom_node.receive.pdu_stream import MAX_PDU_BYTES, PduStream


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return the peer's end and ours."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        yield theirs, ours


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def test_pdus_come_whole_however_they_are_cut(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    bodies = [b"", b"a", b"b" * 5000, b"c" * MAX_PDU_BYTES, b"d" * 70000, b"e"]
    stream = PduStream(ours)

    def send() -> None:
        content = b"".join(_pdu(4, body) for body in bodies)
        for start in range(0, len(content), 4097):
            theirs.sendall(content[start : start + 4097])

    sender = threading.Thread(target=send)
    sender.start()
    read = [bytes(stream.read(5)[1]) for _ in bodies]
    sender.join()
    assert read == bodies


def test_a_silent_peer_is_told_from_a_gone_one(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    stream = PduStream(ours)
    theirs.sendall(_pdu(4, b"abc")[:-1])
    with pytest.raises(TimeoutError):
        stream.read(0.05)
    theirs.close()
    with pytest.raises(EOFError):
        stream.read(5)


def test_a_byte_now_and_then_does_not_keep_a_connection(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    stop = threading.Event()

    def drip() -> None:
        theirs.sendall(struct.pack(">BxI", 4, 100))
        while not stop.wait(0.02):
            theirs.sendall(b"x")

    dripping = threading.Thread(target=drip)
    dripping.start()
    with pytest.raises(TimeoutError):
        PduStream(ours).read(0.2)
    stop.set()
    dripping.join()


def test_what_came_in_time_is_read_though_we_are_late(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    stream = PduStream(ours)
    theirs.sendall(_pdu(4, b"a" * 5000) + _pdu(5, b"b"))
    assert [bytes(stream.read(-60.0)[1]) for _ in range(2)] == [b"a" * 5000, b"b"]
    with pytest.raises(TimeoutError):
        stream.read(-60.0)


@pytest.mark.parametrize("kind", [0x00, 0x08, ord("G"), 0xFF])
def test_what_is_no_pdu_is_refused(
    ends: tuple[socket.socket, socket.socket], kind: int
) -> None:
    theirs, ours = ends
    theirs.sendall(_pdu(kind, b""))
    with pytest.raises(ProtocolError) as caught:
        PduStream(ours).read(5)
    assert caught.value.abort_reason == 1


def test_four_gibibytes_announced_take_no_memory(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    theirs.sendall(struct.pack(">BxI", 4, 0xFFFFFFFF))
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            PduStream(ours).read(5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
