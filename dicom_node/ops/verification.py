"""A C-ECHO to the node itself or to a peer, in few bytes and without a library.

References
----------
PS3.7 9.3.5 and annex E: the command set of C-ECHO. PS3.8 9.3: the PDUs.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass

from dicom_node.dimse import pdu
from dicom_node.dimse.status import SUCCESS
from dicom_node.node_report import OpsPlan, PeerPlan
from dicom_node.receive.pdu_stream import PduStream
from dicom_node.tls import TlsFiles, requestor_context

_VERIFICATION = "1.2.840.10008.1.1"
_IMPLICIT_LITTLE = "1.2.840.10008.1.2"
_CONTEXT = 1
_ELEMENT = struct.Struct("<HHI")
_US = struct.Struct("<H")
_GROUP_LENGTH, _AFFECTED_CLASS, _COMMAND, _MESSAGE_ID = 0x0000, 0x0002, 0x0100, 0x0110
_DATASET_TYPE, _STATUS = 0x0800, 0x0900
_C_ECHO_RQ, _NO_DATASET = 0x0030, 0x0101


_REJECTIONS = {
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognised",
    (1, 7): "called AE title not recognised",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
"""By source and reason: PS3.8 table 9-21."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """Whom we ask, and by what name of ours."""

    host: str
    port: int
    called_ae: str
    calling_ae: str
    tls: TlsFiles | None


def itself(plan: OpsPlan) -> Callee:
    """Return the node as a callee of itself."""
    return Callee(
        host=plan.node_host,
        port=plan.node_port,
        called_ae=plan.ae_title,
        calling_ae=plan.ae_title,
        tls=plan.node_tls,
    )


def callee_of(peer: PeerPlan, calling_ae: str) -> Callee:
    """Return a peer as a callee of the node."""
    return Callee(
        host=peer.host,
        port=peer.port,
        called_ae=peer.ae_title,
        calling_ae=calling_ae,
        tls=peer.tls,
    )


def echo(callee: Callee, timeout_s: float) -> float:
    """Ask for an answer, and return how long it took, in seconds.

    Raises
    ------
    OSError
        If there is none within `timeout_s`, or not the right one.
    """
    started_s = time.monotonic()
    deadline_s = started_s + timeout_s
    try:
        _exchange(callee, deadline_s)
    except EOFError as error:
        message = "the association was closed"
        raise OSError(message) from error
    except pdu.ProtocolError as error:
        raise OSError(str(error)) from error
    return time.monotonic() - started_s


def _exchange(callee: Callee, deadline_s: float) -> None:
    left_s = deadline_s - time.monotonic()
    with connected(callee.host, callee.port, callee.tls, left_s) as connection:
        stream = PduStream(connection)
        request = pdu.associate_request_pdu(
            called_ae=callee.called_ae,
            calling_ae=callee.calling_ae,
            abstract_syntax=_VERIFICATION,
            transfer_syntax=_IMPLICIT_LITTLE,
        )
        _ask(stream, request, pdu.A_ASSOCIATE_AC, deadline_s)
        command = pdu.command_pdu(_CONTEXT, _echo_command())
        answer = _ask(stream, command, pdu.P_DATA_TF, deadline_s)
        status = _status_of(answer)
        if status != SUCCESS:
            what = "without a status" if status is None else f"{status:#06x}"
            message = f"C-ECHO was answered {what}"
            raise OSError(message)
        _ask(stream, pdu.release_request_pdu(), pdu.A_RELEASE_RP, deadline_s)


def connected(
    host: str, port: int, tls: TlsFiles | None, timeout_s: float
) -> socket.socket:
    """Open a connection, over TLS if there are files for it.

    Raises
    ------
    OSError
        If there is none within `timeout_s`.
    """
    connection = socket.create_connection((host, port), timeout_s)
    if tls is None:
        return connection
    try:
        return requestor_context(tls).wrap_socket(connection, server_hostname=host)
    except OSError:
        connection.close()
        raise


def _ask(stream: PduStream, request: bytes, wanted: int, deadline_s: float) -> bytes:
    left_s = max(deadline_s - time.monotonic(), 0.001)
    stream.send(request, timeout_s=left_s)
    kind, body = stream.read(left_s)
    if kind == pdu.A_ASSOCIATE_RJ:
        _, _, source, reason = bytes(body[:4]).ljust(4, b"\0")
        why = _REJECTIONS.get((source, reason), f"source {source}, reason {reason}")
        message = f"the association was rejected: {why}"
        raise OSError(message)
    if kind != wanted:
        message = f"answered by a PDU of type {kind:#04x}"
        raise OSError(message)
    return bytes(body)


def _echo_command() -> bytes:
    elements = (
        (_AFFECTED_CLASS, _VERIFICATION.encode() + b"\0"),
        (_COMMAND, _US.pack(_C_ECHO_RQ)),
        (_MESSAGE_ID, _US.pack(1)),
        (_DATASET_TYPE, _US.pack(_NO_DATASET)),
    )
    body = b"".join(
        _ELEMENT.pack(0, element, len(value)) + value for element, value in elements
    )
    return _ELEMENT.pack(0, _GROUP_LENGTH, 4) + struct.pack("<I", len(body)) + body


def _status_of(body: bytes) -> int | None:
    """Return the status of the response; None if there is none."""
    command = b"".join(
        bytes(data)
        for _, control, data in pdu.fragments(memoryview(body))
        if control & pdu.COMMAND_FLAG
    )
    start = 0
    while start + _ELEMENT.size <= len(command):
        _, element, length = _ELEMENT.unpack_from(command, start)
        start += _ELEMENT.size
        if element == _STATUS and start + _US.size <= len(command):
            return int(_US.unpack_from(command, start)[0])
        start += length
    return None
