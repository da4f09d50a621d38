"""A report to a receiver of HL7 v2 over MLLP: one message, one acknowledgement.

References
----------
HL7 v2.5.1 2.9.2 (original mode), 2.14.8 (MSA), 2.14.5 (ERR), tables 0008 and 0357;
Transport Specification: MLLP, release 1.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.dimse.deadline import Deadline
from dicom_node.errors import PeerUnreachableError
from dicom_node.records import InstanceOutcome
from dicom_node.tls import requestor_context
from dicom_node.web_service import what_failed

if TYPE_CHECKING:
    from dicom_node.settings.hl7_peer import Hl7Peer

BEGIN, END = b"\x0b", b"\x1c\r"
_LAST = END[:1]
"""Ends an answer, for no message holds it: some receivers leave out what follows."""
_MOST_ANSWER_BYTES = 2**16
_PIECE_BYTES = 2**12
_MAKING_S = 10.0
"""For reading the report, on a machine that is busy."""
ACCEPTED = frozenset({"AA", "CA"})
REFUSED = frozenset({"AE", "CE"})
"""The message is wrong, unless the error is one of `PASSING`."""
REJECTED = frozenset({"AR", "CR"})
"""The receiver is not ready, unless the error is one of `NEVER`."""
NEVER = frozenset({"100", "101", "102", "103", "200", "201", "202", "203"})
"""Of table 0357: structure and content of the message, its type and version."""
PASSING = frozenset({"204", "206", "207"})
"""Of table 0357: unknown key, as of a patient who is registered later; record locked;
internal error of the application."""
_CODE = re.compile(r"\d{3}")


def send_message(
    name: str,
    peer: Hl7Peer,
    make: Callable[[], bytes],
    *,
    control_id: str,
    path: Path,
    uid: str,
) -> InstanceOutcome:
    """Send a message, and say what the receiver acknowledges.

    Nothing of its texts is repeated: some receivers name the patient in them.

    Parameters
    ----------
    make
        Makes the message; called once there is a connection.
    path, uid
        The report of which it is made.

    Raises
    ------
    PeerUnreachableError
        If the receiver cannot be reached, or a file of ours, such as that of a
        certificate, not be read; nothing was sent.
    """
    is_stored, is_final = False, False
    with Deadline(peer.timeout_s + _MAKING_S) as deadline, ExitStack() as opened:
        try:
            connection = _connected(peer, deadline, opened)
        except OSError as error:
            raise PeerUnreachableError(
                name, host=peer.host, port=peer.port, why=what_failed(error)
            ) from error
        try:
            connection.sendall(BEGIN + make() + END)
            answer = _frame(connection)
        except _NoFrameError as error:
            text = str(error)
        except TimeoutError:
            text = "no whole answer in time"
        except OSError as error:
            text = f"no whole answer: {what_failed(error)}"
        else:
            is_stored, is_final, text = judge(answer, control_id)
        if deadline.is_over and not is_stored:
            text = "no whole answer in time"
    return InstanceOutcome(
        path=path,
        sop_instance_uid=uid,
        stored=is_stored,
        status=None,
        text=text,
        retryable=not (is_stored or is_final),
    )


class _NoFrameError(Exception):
    """What comes is no message in its frame."""


def _connected(peer: Hl7Peer, deadline: Deadline, opened: ExitStack) -> socket.socket:
    """Connect; what is opened is closed by the stack."""
    context = None if peer.tls is None else requestor_context(peer.tls.files)
    address = peer.host, peer.port
    plain = opened.enter_context(socket.create_connection(address, peer.timeout_s))
    if context is None:
        deadline.watch(plain)
        return plain
    # Of a socket of TLS only the one below may be shut by another thread.
    deadline.watch(opened.enter_context(plain.dup()))
    return opened.enter_context(context.wrap_socket(plain, server_hostname=peer.host))


def _frame(connection: socket.socket) -> bytes:
    """Read one message, without its frame."""
    found = b""
    while _LAST not in found:
        piece = connection.recv(_PIECE_BYTES)
        found += piece
        if not piece:
            message = "no answer before the connection was closed"
            if found:
                message = "half an answer before the connection was closed"
            raise _NoFrameError(message)
        if len(found) > _MOST_ANSWER_BYTES:
            message = "an answer that does not end"
            raise _NoFrameError(message)
    before, begin, answer = found[: found.index(_LAST)].partition(BEGIN)
    if before or not begin:
        message = "an answer that is no MLLP"
        raise _NoFrameError(message)
    return answer


def judge(answer: bytes, control_id: str) -> tuple[bool, bool, str]:
    """Return whether a message is stored, whether it never will be, and why.

    Parameters
    ----------
    answer
        An acknowledgement, without its frame.
    control_id
        Of the message that was sent.
    """
    # A segment ends with a carriage return; some receivers write the ends of lines.
    text = answer.decode("utf-8", "replace").replace("\n", "\r")
    segments = [one.split("|") for one in text.split("\r")]
    acknowledged = [one for one in segments if one[0] == "MSA"]
    if segments[0][0] != "MSH" or not acknowledged:
        return False, False, "an answer that is no acknowledgement"
    code, told, *_ = (*acknowledged[0][1:], "", "")
    errors = sorted(_errors(segments))
    said = (
        f"MSA-1 {code}" if code in ACCEPTED | REFUSED | REJECTED else "no known MSA-1"
    )
    said += f", error {', '.join(errors)}" if errors else ""
    if told != control_id:
        return False, False, f"{said}, for another message"
    if code in ACCEPTED:
        return True, False, "stored"
    if code in REFUSED:
        return False, not PASSING.intersection(errors), said
    if code in REJECTED:
        return False, bool(NEVER.intersection(errors)), said
    return False, False, said


def _errors(segments: list[list[str]]) -> set[str]:
    """Return the error codes: of ERR-3, and of MSA-6 and ERR-1 before version 2.5."""
    fields = [
        one[place]
        for one in segments
        for kind, place in (("ERR", 3), ("MSA", 6))
        if one[0] == kind and len(one) > place
    ]
    older = [
        part
        for one in segments
        if one[0] == "ERR" and len(one) > 1
        for part in one[1].split("^")[3:4]
    ]
    codes = (re.split(r"[\^&]", one)[0] for one in (*fields, *older))
    return {one for one in codes if _CODE.fullmatch(one)}
