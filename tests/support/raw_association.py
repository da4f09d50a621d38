"""Associations by hand: bytes as no library sends them, and rejections looked at."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from pynetdicom import AE, evt
from pynetdicom.association import Association

from tests.support.peers import HOST, VERIFICATION, WITHIN_S, connected

MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


@contextmanager
def opened(
    port: int,
    *,
    calling: str = "PACS",
    called: str = "LUMBAR_AI",
    sop_class: str = VERIFICATION,
) -> Iterator[Association]:
    """Open an association by pynetdicom, accepted or not.

    pynetdicom leaves its socket open if the peer closed first, so it is closed here.
    """
    sockets: list[socket.socket] = []

    def remember(event: evt.Event) -> None:
        wrapped = event.assoc.dul.socket
        if wrapped is not None and wrapped.socket is not None:
            sockets.append(wrapped.socket)

    ae = AE(ae_title=calling)
    # A shared disk may take seconds for one fsync.
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = WITHIN_S
    ae.add_requested_context(sop_class, "1.2.840.10008.1.2.1")
    association = ae.associate(
        HOST, port, ae_title=called, evt_handlers=[(evt.EVT_CONN_OPEN, remember)]
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        for found in sockets:
            found.close()


def store_raw(
    content: bytes,
    port: int,
    *,
    sop_uid: str,
    sop_class: str = MR,
    syntax: str = EXPLICIT_LITTLE,
) -> int:
    """Send bytes as the dataset of one C-STORE and return the status."""
    with connected(port) as connection:
        connection.sendall(associate_request(sop_class=sop_class, syntax=syntax))
        read_pdu(connection)
        connection.sendall(store_pdus(content, sop_uid, sop_class=sop_class))
        status = status_of(read_pdu(connection))
        connection.sendall(struct.pack(">BxI", 5, 4) + bytes(4))
        read_pdu(connection)
    return status


def associate_request(
    calling: bytes = b"PACS".ljust(16),
    *,
    called: bytes = b"LUMBAR_AI".ljust(16),
    sop_class: str = MR,
    syntax: str = EXPLICIT_LITTLE,
) -> bytes:
    """Return an A-ASSOCIATE-RQ for one class in one transfer syntax, context 1."""

    def item(kind: int, value: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(value)) + value

    context = b"\x01\0\0\0" + item(0x30, sop_class.encode())
    context += item(0x40, syntax.encode())
    body = struct.pack(">Hxx", 1) + called + calling + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context)
    body += item(0x50, item(0x51, struct.pack(">I", 16384)))
    return struct.pack(">BxI", 1, len(body)) + body


def store_pdus(content: bytes, sop_uid: str, *, sop_class: str = MR) -> bytes:
    """Return one C-STORE request and its dataset, each as one PDU."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    command = b"".join(
        (
            element(0x0002, sop_class.encode()),
            element(0x0100, b"\x01\0"),
            element(0x0110, b"\x07\0"),
            element(0x0700, b"\0\0"),
            element(0x0800, b"\0\0"),
            element(0x1000, sop_uid.encode()),
        )
    )
    pdus = b""
    for control, data in ((3, command), (2, content)):
        pdv = struct.pack(">IBB", len(data) + 2, 1, control) + data
        pdus += struct.pack(">BxI", 4, len(pdv)) + pdv
    return pdus


def read_pdu(connection: socket.socket) -> bytes:
    """Return the next PDU, with its header.

    Raises
    ------
    EOFError
        If the other side has closed.
    """
    header = _read(connection, 6)
    return header + _read(connection, int.from_bytes(header[2:6], "big"))


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def status_of(pdu: bytes) -> int:
    """Return the status in a P-DATA PDU that holds a response."""
    at = pdu.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8
    return int.from_bytes(pdu[at : at + 2], "little")
