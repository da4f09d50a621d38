"""STOW-RS: results to a web service, one request and one outcome an instance.

An object is not held in memory, and its bytes do not change.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydicom.filereader import read_file_meta_info

from dicom_node.dimse.status import StoreAnswer, answer_of
from dicom_node.errors import PeerUnreachableError
from dicom_node.records import InstanceOutcome
from dicom_node.web_service import (
    Answer,
    NotConnectedError,
    Service,
    ask,
    service_of,
    what_failed,
)

if TYPE_CHECKING:
    from dicom_node.settings.web_peer import WebPeer

_LEAST_BYTES_PER_S = 2**16
"""As for C-STORE: a service that takes an instance more slowly is cut off."""
_PIECE_BYTES = 2**16

_REFERENCED, _FAILED = "00081199", "00081198"
_INSTANCE, _FAILURE_REASON = "00081155", "00081197"
"""PS3.18 table 10.5.3-2."""

STORED_SOMEHOW = frozenset({200, 202, 409})
"""Statuses with which an answer says of each instance what became of it."""
NEVER = frozenset({400, 405, 411, 413, 414, 415})
"""What is wrong with a request that is made like this. All else, such as what is said
to credentials or a path that are wrong, is mended by whoever runs the service."""


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
        If the service cannot be reached, or a file of ours, such as that of the token,
        not be read; nothing was sent.

    References
    ----------
    PS3.18 10.5.
    """
    return tuple(_outcomes(name, service_of(name, peer.access), paths))


def _outcomes(
    name: str, service: Service, paths: Sequence[Path]
) -> Iterator[InstanceOutcome]:
    is_lost = False
    for number, path in enumerate(paths):
        uid = str(read_file_meta_info(path).MediaStorageSOPInstanceUID)
        if is_lost:
            yield _not_stored(path, uid, "the service was lost before", is_final=False)
            continue
        try:
            answer = _post(service, path)
        except NotConnectedError as error:
            if number == 0:
                raise PeerUnreachableError(
                    name, host=service.host, port=service.port, why=error.why
                ) from error
            is_lost = True
            text = f"no connection: {error.why}"
            yield _not_stored(path, uid, text, is_final=False)
        except (OSError, http.client.HTTPException) as error:
            is_lost = True
            text = f"no whole answer: {what_failed(error)}"
            yield _not_stored(path, uid, text, is_final=False)
        else:
            yield _judged(path, uid, answer)


def _post(service: Service, path: Path) -> Answer:
    """Send one file, and return the answer; raises as `ask`."""
    boundary = uuid4().hex
    begin = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    end = f"\r\n--{boundary}--\r\n".encode()
    size = path.stat().st_size

    def pieces() -> Iterator[bytes]:
        yield begin
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
        yield end

    return ask(
        service,
        "POST /studies",
        headers={
            "Content-Type": 'multipart/related; type="application/dicom"; '
            f"boundary={boundary}",
            "Content-Length": str(len(begin) + size + len(end)),
            "Accept": "application/dicom+json",
        },
        pieces=pieces(),
        within_s=service.access.timeout_s + size / _LEAST_BYTES_PER_S,
    )


def _judged(path: Path, uid: str, answer: Answer) -> InstanceOutcome:
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
