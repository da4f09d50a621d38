"""STOW-RS: results to a web service, one request and one outcome an instance.

By the HTTP of the standard library: an answer must not be longer than we let it, a
request not last longer, an object not be held in memory, and its bytes not change.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from pydicom.filereader import read_file_meta_info

from dicom_node.dimse.deadline import Deadline
from dicom_node.dimse.status import StoreAnswer, answer_of
from dicom_node.errors import PeerUnreachableError
from dicom_node.records import InstanceOutcome
from dicom_node.tls import requestor_context

if TYPE_CHECKING:
    from dicom_node.settings.web_peer import WebPeer

_LEAST_BYTES_PER_S = 2**16
"""As for C-STORE: a service that takes an instance more slowly is cut off."""
_MOST_ANSWER_BYTES = 2**20
"""The answer for one instance has some 500."""
_PIECE_BYTES = 2**16
_MOST_SECRET_BYTES = 2**16
_HTTPS = "https"
_HTTPS_PORT, _HTTP_PORT = 443, 80

_REFERENCED, _FAILED = "00081199", "00081198"
_INSTANCE, _FAILURE_REASON = "00081155", "00081197"
"""PS3.18 table 10.5.3-2."""

STORED_SOMEHOW = frozenset({200, 202, 409})
"""Statuses with which an answer says of each instance what became of it."""
NEVER = frozenset({400, 405, 411, 413, 414, 415})
"""What is wrong with a request that is made like this. All else, such as what is said
to credentials or a path that are wrong, is mended by whoever runs the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    name: str
    peer: WebPeer
    host: str
    port: int
    path: str
    is_tls: bool
    headers: Mapping[str, str]


def store_instances(
    name: str, peer: WebPeer, paths: Sequence[Path]
) -> tuple[InstanceOutcome, ...]:
    """Send Part 10 files to a web service, in the given order.

    A service that is lost half-way is no error: what was answered until then is told,
    and the rest is retryable.

    Parameters
    ----------
    name
        The peer's name in the settings.

    Returns
    -------
    tuple of InstanceOutcome
        In the order of `paths`.

    Raises
    ------
    PeerUnreachableError
        If the service cannot be reached; nothing was sent.
    OSError
        If a file of ours, such as that of the token, cannot be read.

    References
    ----------
    PS3.18 10.5.
    """
    service = _service(name, peer)
    return tuple(_outcomes(service, paths))


def _service(name: str, peer: WebPeer) -> _Service:
    parts = urlsplit(peer.url)
    return _Service(
        name=name,
        peer=peer,
        host=str(parts.hostname),
        port=parts.port or (_HTTPS_PORT if parts.scheme == _HTTPS else _HTTP_PORT),
        path=f"{parts.path}/studies",
        is_tls=parts.scheme == _HTTPS,
        headers=dict(_credentials(peer)),
    )


def _credentials(peer: WebPeer) -> Iterator[tuple[str, str]]:
    if peer.token_file is not None:
        yield "Authorization", f"Bearer {_secret(peer.token_file)}"
    elif peer.user is not None and peer.password_file is not None:
        pair = f"{peer.user}:{_secret(peer.password_file)}".encode()
        yield "Authorization", f"Basic {base64.b64encode(pair).decode()}"


def _secret(path: Path) -> str:
    """Return the first line of a file; empty if it has none."""
    with path.open("rb") as file:
        text = file.read(_MOST_SECRET_BYTES).decode("utf-8", "replace")
    # A header ends with its line, whatever stands in the file.
    return text.strip().splitlines()[0] if text.strip() else ""


def _outcomes(service: _Service, paths: Sequence[Path]) -> Iterator[InstanceOutcome]:
    is_lost = False
    for number, path in enumerate(paths):
        uid = str(read_file_meta_info(path).MediaStorageSOPInstanceUID)
        if is_lost:
            yield _not_stored(path, uid, "the service was lost before", is_final=False)
            continue
        try:
            answer = _post(service, path)
        except _NotConnectedError as error:
            if number == 0:
                raise _unreachable(service, error.why) from error
            is_lost = True
            text = f"no connection: {error.why}"
            yield _not_stored(path, uid, text, is_final=False)
        except (OSError, http.client.HTTPException) as error:
            is_lost = True
            text = f"no whole answer: {_what(error)}"
            yield _not_stored(path, uid, text, is_final=False)
        else:
            yield _judged(path, uid, answer)


class _NotConnectedError(Exception):
    """Nothing was sent, for there is no connection."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.why = _what(error)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


def _post(service: _Service, path: Path) -> _Answer:
    """Send one file, and return the answer, as far as it is read.

    Raises
    ------
    _NotConnectedError
        If nothing was sent.
    OSError, http.client.HTTPException
        If there is no whole answer.
    """
    boundary = uuid4().hex
    begin = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    end = f"\r\n--{boundary}--\r\n".encode()
    size = path.stat().st_size
    within_s = service.peer.timeout_s + size / _LEAST_BYTES_PER_S
    with Deadline(within_s) as deadline, _Connection(service, deadline) as connection:
        try:
            connection.connect()
        except OSError as error:
            raise _NotConnectedError(error) from error
        connection.putrequest("POST", service.path, skip_accept_encoding=True)
        headers = {
            "Content-Type": 'multipart/related; type="application/dicom"; '
            f"boundary={boundary}",
            "Content-Length": str(len(begin) + size + len(end)),
            "Accept": "application/dicom+json",
            "Connection": "close",
            **service.headers,
        }
        for key, value in headers.items():
            connection.putheader(key, value)
        connection.endheaders()
        # A service that refuses may answer and close before it has read all.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.send(begin)
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    connection.send(piece)
            connection.send(end)
        response = connection.getresponse()
        body = response.read(_MOST_ANSWER_BYTES)
        if response.length and len(body) < _MOST_ANSWER_BYTES:
            raise http.client.IncompleteRead(body)
        return _Answer(response.status, body)


class _Connection(http.client.HTTPConnection):
    """One request to a service, which is cut off at a deadline."""

    def __init__(self, service: _Service, deadline: Deadline) -> None:
        super().__init__(service.host, service.port, timeout=service.peer.timeout_s)
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
            context = requestor_context(self._service.peer.tls.files)
            self.sock = context.wrap_socket(
                self.sock, server_hostname=self._service.host
            )

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
        if self._below is not None:
            self._below.close()


def _judged(path: Path, uid: str, answer: _Answer) -> InstanceOutcome:
    """Return what an answer says of the one instance that was sent.

    Nothing of its texts is repeated: some services name the patient in them.
    """
    status = answer.status
    if status not in STORED_SOMEHOW:
        return _not_stored(path, uid, f"HTTP {status}", is_final=status in NEVER)
    is_conflict = status == http.client.CONFLICT
    why = "an answer that does not name the instance"
    try:
        told = json.loads(answer.body)
        failed = dict(_named(told, _FAILED))
        referenced = dict(_named(told, _REFERENCED))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        failed = referenced = {}
        why = "an answer that is no DICOM JSON"
    if uid in failed:
        return _failed(path, uid, status, failed[uid])
    if uid in referenced and not is_conflict:
        return InstanceOutcome(
            path=path, sop_instance_uid=uid, stored=True, status=status, text="stored"
        )
    return _not_stored(path, uid, f"HTTP {status}, and {why}", is_final=is_conflict)


def _failed(path: Path, uid: str, status: int, reason: int) -> InstanceOutcome:
    meaning = answer_of(reason) if reason else StoreAnswer.REFUSED
    if meaning is StoreAnswer.STORED:
        text = f"stored, failure reason {reason:#06x}"
        return InstanceOutcome(
            path=path, sop_instance_uid=uid, stored=True, status=reason, text=text
        )
    text = f"HTTP {status}, failure reason {reason:#06x}"
    return _not_stored(path, uid, text, is_final=meaning is StoreAnswer.REFUSED)


def _named(told: Any, sequence: str) -> Iterator[tuple[str, int]]:
    """Yield the instances of a sequence in DICOM JSON, with a failure reason or 0."""
    for item in (told.get(sequence) or {}).get("Value") or ():
        reasons = (item.get(_FAILURE_REASON) or {}).get("Value") or (0,)
        yield str(item[_INSTANCE]["Value"][0]), int(reasons[0])


def _not_stored(path: Path, uid: str, text: str, *, is_final: bool) -> InstanceOutcome:
    return InstanceOutcome(
        path=path,
        sop_instance_uid=uid,
        stored=False,
        status=None,
        text=text,
        retryable=not is_final,
    )


def _unreachable(service: _Service, why: str) -> PeerUnreachableError:
    return PeerUnreachableError(
        service.name, host=service.host, port=service.port, why=why
    )


def _what(error: Exception) -> str:
    verified = getattr(error, "verify_message", "")
    if verified:
        return f"TLS: {verified}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
