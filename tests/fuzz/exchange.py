"""One case against a running node: send, go, and look at what came back."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from tests.fuzz.cases import Case, Ending
from tests.support.peers import HOST

_CONNECT_S = 20.0
_END_S = 60.0
"""Within this the node must have closed, once the client has closed its half; the disk
and the processors are shared with all other cases."""

_DATA = 4
_REPLIES = {
    2: "acceptance",
    3: "rejection",
    _DATA: "data",
    6: "release reply",
    7: "abort",
}
_STATUS = struct.pack("<HHI", 0, 0x0900, 2)
_LONGEST_REPLY = 64 * 1024
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client heard of the node.

    Parameters
    ----------
    replies
        Kinds of PDU, and the status of each response.
    problem
        What is wrong; mostly nothing.
    """

    replies: tuple[str, ...] = ()
    problem: str = ""


def play(case: Case, port: int) -> Answer:
    """Run one case against the node that listens at a port."""
    try:
        connection = socket.create_connection((HOST, port), timeout=_CONNECT_S)
    except OSError as error:
        return Answer(problem=f"no connection: {error}")
    with connection:
        _send(connection, case.pieces)
        if case.ending is Ending.RESET:
            linger = (socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            connection.setsockopt(*linger)
            return Answer()
        if case.ending is Ending.CLOSED:
            return Answer()
        try:
            return _read(_answer(connection))
        except TimeoutError:
            return Answer(problem=f"the node did not close within {_END_S:.0f} s")


def _send(connection: socket.socket, pieces: tuple[bytes, ...]) -> None:
    # The node may have aborted already; what it said is still to be read.
    connection.settimeout(_END_S)
    with suppress(OSError):
        for piece in pieces:
            connection.sendall(piece)


def _answer(connection: socket.socket) -> bytes:
    """Return everything that the node sends, until it closes."""
    connection.settimeout(_END_S)
    answer = b""
    try:
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            answer += part
    except TimeoutError:
        raise
    except OSError:
        return answer  # it had closed with bytes of ours unread
    return answer


def _read(answer: bytes) -> Answer:
    """Read an answer as a row of PDUs; a reset may have cut off the last."""
    replies: list[str] = []
    for kind, body in _pdus(answer):
        if kind not in _REPLIES or len(body) > _LONGEST_REPLY:
            problem = f"PDU of type {kind:#04x} and {len(body)} bytes"
            return Answer(replies=tuple(replies), problem=problem)
        status = body.find(_STATUS) + len(_STATUS)
        replies.append(
            _REPLIES[kind]
            if kind != _DATA
            else f"status {int.from_bytes(body[status : status + 2], 'little'):#06x}"
        )
    return Answer(replies=tuple(replies))


def _pdus(answer: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 6 <= len(answer):
        kind, length = struct.unpack_from(">BxI", answer, at)
        yield kind, answer[at + 6 : at + 6 + length]
        at += 6 + length
