"""A report to a FHIR server: one transaction, one outcome."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicom_node.errors import PeerUnreachableError
from dicom_node.records import InstanceOutcome
from dicom_node.web_service import (
    Answer,
    NotConnectedError,
    ask,
    service_of,
    what_failed,
)

if TYPE_CHECKING:
    from dicom_node.settings.web_peer import FhirPeer

MEDIA_TYPE = "application/fhir+json"
NEVER = frozenset({400, 405, 411, 412, 413, 414, 415, 422})
"""What is wrong with a transaction that is made like this. All else, such as what is
said to credentials or a path that are wrong, is mended by whoever runs the server."""
_CREATED = frozenset({"200", "201"})
"""Of an entry: it was there before; it is there now."""
_MAKING_S = 10.0
"""For reading the report and sending it, on a machine that is busy."""


def post_report(
    name: str, peer: FhirPeer, make: Callable[[], bytes], *, path: Path, uid: str
) -> InstanceOutcome:
    """Post a transaction, and say whether the server holds the report now.

    Nothing of the answer's texts is repeated: some servers name the patient in them.

    Parameters
    ----------
    make
        Makes the transaction; called once there is a connection.
    path, uid
        The report of which it is made.

    Raises
    ------
    PeerUnreachableError
        If the server cannot be reached, or a file of ours, such as that of the token,
        not be read; nothing was sent.

    References
    ----------
    FHIR R4 `http.html#transaction`.
    """
    service = service_of(name, peer.access)
    headers = {
        "Content-Type": f"{MEDIA_TYPE}; charset=utf-8",
        "Accept": MEDIA_TYPE,
        "Prefer": "return=minimal",
    }
    made: list[bytes] = []

    def content() -> bytes:
        made.append(make())
        return made[0]

    within_s = peer.timeout_s + _MAKING_S
    is_stored, is_final = False, False
    try:
        answer = ask(
            service, "POST ", headers=headers, content=content, within_s=within_s
        )
    except NotConnectedError as error:
        raise PeerUnreachableError(
            name, host=service.host, port=service.port, why=error.why
        ) from error
    except (OSError, http.client.HTTPException) as error:
        text = f"no whole answer: {what_failed(error)}"
    else:
        count = len(json.loads(made[0])["entry"])
        text = _missing(answer, count)
        is_stored, is_final = not text, answer.status in NEVER
    return InstanceOutcome(
        path=path,
        sop_instance_uid=uid,
        stored=is_stored,
        status=None,
        text=text or "stored",
        retryable=not (is_stored or is_final),
    )


def capabilities(name: str, peer: FhirPeer) -> dict[str, bool]:
    """Return whether a server says that it offers each of what a report needs.

    Raises
    ------
    PeerUnreachableError
        If it gives no such statement.

    References
    ----------
    FHIR R4 CapabilityStatement.
    """
    service, headers = service_of(name, peer.access), {"Accept": MEDIA_TYPE}
    why = "its /metadata is no CapabilityStatement"
    try:
        answer = ask(service, "GET /metadata", headers=headers, within_s=peer.timeout_s)
        told = json.loads(answer.body)
        if told["resourceType"] == "CapabilityStatement":
            return _offers(told)
    except NotConnectedError as error:
        why = error.why
    except (OSError, http.client.HTTPException) as error:
        why = what_failed(error)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        why += f" (HTTP {answer.status})"
    raise PeerUnreachableError(name, host=service.host, port=service.port, why=why)


def _offers(told: Any) -> dict[str, bool]:
    rest = [one for one in told.get("rest") or () if one.get("mode") == "server"]
    services = {each["code"] for one in rest for each in one.get("interaction") or ()}
    resources = {
        each["type"]: {way["code"] for way in each.get("interaction") or ()}
        for one in rest
        for each in one.get("resource") or ()
    }
    conditional = {
        each["type"]
        for one in rest
        for each in one.get("resource") or ()
        if each.get("conditionalCreate")
    }
    offers = {
        "FHIR R4": str(told.get("fhirVersion", "")).startswith(("4.0", "4.3")),
        "transaction": bool(services & {"transaction"}),
    }
    for kind in ("DiagnosticReport", "Observation"):
        offers[f"{kind}: create"] = "create" in resources.get(kind, ())
        offers[f"{kind}: conditional create"] = kind in conditional
    return offers


def _missing(answer: Answer, count: int) -> str:
    """Say why an answer does not show that all was created; empty if it does."""
    if answer.status != http.client.OK:
        return f"HTTP {answer.status}"
    try:
        found = list(_statuses(json.loads(answer.body)))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return f"HTTP {answer.status}, and an answer that is no transaction's"
    made = sum(one in _CREATED for one in found)
    if (len(found), made) != (count, count):
        return f"HTTP {answer.status}, and {made} of {count} resources were created"
    return ""


def _statuses(told: Any) -> Iterator[str]:
    if (told["resourceType"], told["type"]) != ("Bundle", "transaction-response"):
        raise ValueError(told["type"])
    for entry in told["entry"]:
        yield str(entry["response"]["status"])[:3]
