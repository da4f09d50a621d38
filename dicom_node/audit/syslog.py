"""Syslog: the frame of a message, and the two ways by which it is carried.

References
----------
RFC 5424 (message), 5425 (TLS), 5426 (UDP); PS3.15 A.6, A.7.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from dicom_node.audit.plan import AuditPlan, Transport
from dicom_node.tls import TlsFiles, requestor_context

_FACILITY_SECURITY, _SEVERITY_NOTICE = 10, 5
_PRIORITY = _FACILITY_SECURITY * 8 + _SEVERITY_NOTICE
_APPLICATION = "lumbar-node"
_MESSAGE_ID = "DICOM+RFC3881"
_BOM = b"\xef\xbb\xbf"
_MOST_HOST_CHARACTERS = 255
_TIMEOUT_S = 10.0
_MOST_UDP_BYTES = 65_000
_EMPTY_BYTES = 4096
_TCP_CLOSE = 7
"""State of a connection of which both ends are known (tcp(7), TCP_INFO)."""
_LOOK_S = 0.01

_NO_FILES = TlsFiles(certificate=None, key=None, authorities=None)


class NotSentError(Exception):
    """The repository did not take messages; they are sent again."""


def syslog_message(xml: bytes, *, at_s: float) -> bytes:
    """Return a message of RFC 5424, without the frame of its transport."""
    moment = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    host = "".join(
        character if "!" <= character <= "~" else "-"
        for character in socket.gethostname()[:_MOST_HOST_CHARACTERS]
    )
    header = (
        f"<{_PRIORITY}>1 {moment.replace('+00:00', 'Z')} {host or '-'} {_APPLICATION} "
        f"{os.getpid()} {_MESSAGE_ID} - "
    )
    return header.encode("ascii") + _BOM + xml


def send(messages: Sequence[bytes], plan: AuditPlan) -> None:
    """Send messages, and return when they are with the repository.

    By UDP they have left, and no more is known.

    Raises
    ------
    NotSentError
        If they, or some of them, may not have arrived.
    """
    carry = _by_tls if plan.transport is Transport.TLS else _by_udp
    try:
        carry(messages, plan)
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", None) or error.reason or "not understood"
        message = f"TLS: {why}"
        raise NotSentError(message) from error
    except OSError as error:
        raise NotSentError(error.strerror or type(error).__name__) from error


def fits(message: bytes, plan: AuditPlan) -> bool:
    """Tell whether a message can be carried at all."""
    return plan.transport is Transport.TLS or len(message) <= _MOST_UDP_BYTES


def _by_udp(messages: Sequence[bytes], plan: AuditPlan) -> None:
    found = socket.getaddrinfo(plan.host, plan.port, type=socket.SOCK_DGRAM)
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as connection:
        # Connected, so that a machine without such a port is heard of.
        connection.connect(address)
        connection.settimeout(_TIMEOUT_S)
        for message in messages:
            connection.send(message)


def _by_tls(messages: Sequence[bytes], plan: AuditPlan) -> None:
    """Send by a connection of their own, and wait until the other side has ended it.

    Syslog knows no answer. What a repository has not read when it dies, or when it
    finds our certificate wrong, would be lost without a word; so we end the connection,
    and take the messages for read when the repository has ended it, too, and not reset
    it: a machine resets a connection of which anything was left unread.
    """
    context = requestor_context(plan.tls or _NO_FILES)
    with (
        socket.create_connection((plan.host, plan.port), _TIMEOUT_S) as plain,
        plain.dup() as below,
        context.wrap_socket(plain, server_hostname=plan.host) as connection,
    ):
        for message in messages:
            connection.sendall(f"{len(message)} ".encode() + message)
        _end_tls(connection)
        _end(below)


def _end_tls(connection: ssl.SSLSocket) -> None:
    """Say that nothing follows; the other side may say so, or just end the connection.

    Raises
    ------
    OSError
        If it refuses us, breaks the connection, or does nothing in time.
    """
    try:
        connection.unwrap()
    except ssl.SSLEOFError:
        return
    except OSError as error:
        # OpenSSL tells of the end of a connection by an error without a number.
        if error.errno or isinstance(error, ssl.SSLError | TimeoutError):
            raise


def _end(below: socket.socket) -> None:
    """Return when both sides have ended a connection, and all of it was read.

    Raises
    ------
    OSError
        If the other side has reset it, or does not end it in time.
    """
    end_s = time.monotonic() + _TIMEOUT_S
    with suppress(OSError):  # it is told below
        below.shutdown(socket.SHUT_WR)
    below.settimeout(_TIMEOUT_S)
    while below.recv(_EMPTY_BYTES):
        pass
    while True:
        number = below.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        if below.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE:
            return
        if time.monotonic() > end_s:
            raise TimeoutError
        time.sleep(_LOOK_S)
