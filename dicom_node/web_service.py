"""Requests to web services by the HTTP of the standard library.

An answer must not be longer than we let it, a request not last longer, and nothing that
is sent be held in memory as a whole.
"""

from __future__ import annotations

import base64
import errno
import http.client
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dicom_node.dimse.deadline import Deadline
from dicom_node.errors import PeerUnreachableError
from dicom_node.node_report import WebAccess
from dicom_node.tls import requestor_context

_MOST_ANSWER_BYTES = 2**23
"""For one instance some 500; what a FHIR server says of itself has 2 to 3 MiB."""
_MOST_SECRET_BYTES = 2**16
_HTTPS = "https"
_HTTPS_PORT, _HTTP_PORT = 443, 80
_REFUSED_US = frozenset({http.client.UNAUTHORIZED, http.client.FORBIDDEN})
_SEARCHES_NOT = frozenset({400, 404, 405, 406, 501})
"""What a service may say to a search that takes results all the same."""
_CENTURY = 100


class NotConnectedError(Exception):
    """Nothing was sent, for there is no connection."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.why = what_failed(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where a web service is, and who we are there.

    Parameters
    ----------
    path
        Of the service; what is asked follows it.
    headers
        Our credentials.
    """

    access: WebAccess
    host: str
    port: int
    path: str
    is_tls: bool
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body, as far as it is read."""

    status: int
    body: bytes


def service_at(access: WebAccess) -> Service:
    """Return a service, with the credentials as their files hold them now.

    Raises
    ------
    OSError
        If such a file cannot be read, or holds no token.
    """
    parts = urlsplit(access.url)
    host, port = _place(access)
    return Service(
        access=access,
        host=host,
        port=port,
        path=parts.path,
        is_tls=parts.scheme == _HTTPS,
        headers=dict(_credentials(access)),
    )


def service_of(name: str, access: WebAccess) -> Service:
    """Return the service of a peer of the settings, as `service_at`.

    Raises
    ------
    PeerUnreachableError
        If its credentials cannot be read: whoever renews them may be about to.
    """
    try:
        return service_at(access)
    except OSError as error:
        host, port = _place(access)
        raise PeerUnreachableError(
            name, host=host, port=port, why=what_failed(error)
        ) from error


def _place(access: WebAccess) -> tuple[str, int]:
    parts = urlsplit(access.url)
    port = parts.port or (_HTTPS_PORT if parts.scheme == _HTTPS else _HTTP_PORT)
    return str(parts.hostname), port


def _credentials(access: WebAccess) -> Iterator[tuple[str, str]]:
    if access.token_file is not None:
        token = _secret(access.token_file)
        if not (token.isascii() and token.isprintable()):
            what = "holds what no HTTP header may"
            raise OSError(errno.EINVAL, what, str(access.token_file))
        yield "Authorization", f"Bearer {token}"
    elif access.user and access.password_file is not None:
        pair = f"{access.user}:{_secret(access.password_file)}".encode()
        yield "Authorization", f"Basic {base64.b64encode(pair).decode()}"


def _secret(path: Path) -> str:
    """Return the first line of a file; empty if it has none."""
    with path.open("rb") as file:
        text = file.read(_MOST_SECRET_BYTES).decode("utf-8", "replace")
    # A header ends with its line, whatever stands in the file.
    return text.strip().splitlines()[0] if text.strip() else ""


def ask(
    service: Service,
    request: str,
    *,
    headers: Mapping[str, str],
    pieces: Iterable[bytes] = (),
    content: Callable[[], bytes] | None = None,
    within_s: float,
) -> Answer:
    """Send one request, and return its answer; no redirect is followed.

    Parameters
    ----------
    request
        The method, and what follows the path of the service.
    headers
        Besides the credentials; Content-Length too where there are pieces.
    content
        Makes what is sent, in place of pieces, once there is a connection.

    Raises
    ------
    NotConnectedError
        If nothing was sent.
    OSError, http.client.HTTPException
        If there is no whole answer.
    """
    with Deadline(within_s) as deadline, _Connection(service, deadline) as connection:
        try:
            connection.connect()
        except OSError as error:
            raise NotConnectedError(error) from error
        method, _, path = request.partition(" ")
        connection.putrequest(method, service.path + path, skip_accept_encoding=True)
        sent = {**headers, "Connection": "close", **service.headers}
        if content is not None:
            pieces = [content()]
            sent["Content-Length"] = str(len(pieces[0]))
        for key, value in sent.items():
            connection.putheader(key, value)
        connection.endheaders()
        # A service that refuses may answer and close before it has read all.
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.send(piece)
        response = connection.getresponse()
        body = response.read(_MOST_ANSWER_BYTES)
        if response.length and len(body) < _MOST_ANSWER_BYTES:
            raise http.client.IncompleteRead(body)
        return Answer(response.status, body)


def greet(access: WebAccess, within_s: float) -> tuple[float, int]:
    """Ask a service for what nobody has, and return seconds and status of its answer.

    A service that answers so is reached and takes our credentials; whether it takes
    results is not known before it is sent one.

    Raises
    ------
    OSError
        If there is no such answer; the message says why.
    """
    started_s = time.monotonic()
    try:
        service = service_at(access)
        headers = {"Accept": access.media_type}
        answer = ask(
            service, f"GET {access.greeting}", headers=headers, within_s=within_s
        )
    except NotConnectedError as error:
        raise OSError(error.why) from error
    except http.client.HTTPException as error:
        message = f"no whole answer: {what_failed(error)}"
        raise OSError(message) from error
    status = answer.status
    if status in _REFUSED_US:
        message = f"it does not take our credentials (HTTP {status})"
        raise OSError(message)
    if status // _CENTURY != http.client.OK // _CENTURY and status not in _SEARCHES_NOT:
        message = f"HTTP {status}"
        raise OSError(message)
    return time.monotonic() - started_s, status


class _Connection(http.client.HTTPConnection):
    """One request to a service, which is cut off at a deadline."""

    def __init__(self, service: Service, deadline: Deadline) -> None:
        super().__init__(service.host, service.port, timeout=service.access.timeout_s)
        self._service = service
        self._deadline = deadline
        self._below: socket.socket | None = None

    def connect(self) -> None:
        """Connect, with TLS where the address asks for it."""
        super().connect()
        # Of a socket of TLS only the one below may be shut by another thread.
        self._below = self.sock.dup()
        self._deadline.watch(self._below)
        if self._service.is_tls:
            context = requestor_context(self._service.access.tls)
            self.sock = context.wrap_socket(
                self.sock, server_hostname=self._service.host
            )

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
        if self._below is not None:
            self._below.close()


def what_failed(error: Exception) -> str:
    """Return what an operator should know of an error of the network."""
    verified = getattr(error, "verify_message", "")
    if verified:
        return f"TLS: {verified}"
    if isinstance(error, OSError) and error.strerror:
        is_of_file = isinstance(error.filename, str)
        return f"{error.filename}: {error.strerror}" if is_of_file else error.strerror
    return type(error).__name__
