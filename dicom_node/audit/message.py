"""An audit message as the schema of the standard has it, and as XML.

References
----------
PS3.15 A.5.1 (schema), A.5.2 (formats).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from xml.etree.ElementTree import Element, SubElement, tostring

_DCM = "DCM"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold, not even escaped."""
_MOST_CHARACTERS = 1024
"""Of one value: whatever a stranger calls himself, a message stays small."""
_APPLICATION_SERVER = "4"


class Action(StrEnum):
    """EventActionCode."""

    CREATE = "C"
    READ = "R"
    EXECUTE = "E"


class Result(StrEnum):
    """EventOutcomeIndicator."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"
    SERIOUS_FAILURE = "8"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value."""

    value: str
    meaning: str
    scheme: str = _DCM


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Who took part: an application or a person.

    Parameters
    ----------
    alternative_id
        Of an application: the id of its process, or `AETITLES=...`.
    address
        IP address or name of the machine; empty if it is not known.
    """

    user_id: str
    is_requestor: bool
    role: Code | None = None
    alternative_id: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the event was about.

    Parameters
    ----------
    kind, role
        ParticipantObjectTypeCode and -Role.
    query
        A DICOM query as it was sent; None for anything else.
    details
        Name and value of each.
    sop_classes
        UID and number of instances, of a study.
    """

    identifier: str
    identifier_type: Code
    kind: str
    role: str
    query: bytes | None = None
    details: tuple[tuple[str, bytes], ...] = ()
    sop_classes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event."""

    event: Code
    action: Action
    participants: tuple[Participant, ...]
    result: Result = Result.SUCCESS
    result_text: str = ""
    types: tuple[Code, ...] = ()
    subjects: tuple[Subject, ...] = ()


def to_xml(message: Message, *, source_id: str, site_id: str, at_s: float) -> bytes:
    """Return a message as UTF-8, without an XML declaration.

    Parameters
    ----------
    at_s
        POSIX time of the event.
    """
    root = Element("AuditMessage")
    event = SubElement(
        root,
        "EventIdentification",
        {
            "EventActionCode": message.action.value,
            "EventDateTime": datetime.fromtimestamp(at_s, UTC).isoformat(
                timespec="milliseconds"
            ),
            "EventOutcomeIndicator": message.result.value,
        },
    )
    _code(event, "EventID", message.event)
    for kind in message.types:
        _code(event, "EventTypeCode", kind)
    if message.result_text:
        text = SubElement(event, "EventOutcomeDescription")
        text.text = clean(message.result_text)
    for participant in message.participants:
        _participant(root, participant)
    site = {"AuditEnterpriseSiteID": clean(site_id)} if site_id else {}
    source = SubElement(
        root, "AuditSourceIdentification", {**site, "AuditSourceID": clean(source_id)}
    )
    SubElement(source, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    for subject in message.subjects:
        _subject(root, subject)
    made: bytes = tostring(root, encoding="utf-8", xml_declaration=False)
    return made


def _code(parent: Element, name: str, code: Code) -> None:
    SubElement(
        parent,
        name,
        {
            "csd-code": code.value,
            "codeSystemName": code.scheme,
            "originalText": code.meaning,
        },
    )


def _participant(root: Element, one: Participant) -> None:
    values = {
        "UserID": clean(one.user_id),
        "UserIsRequestor": "true" if one.is_requestor else "false",
    }
    if one.alternative_id:
        values["AlternativeUserID"] = clean(one.alternative_id)
    if one.address:
        values["NetworkAccessPointID"] = clean(one.address)
        values["NetworkAccessPointTypeCode"] = "2" if _is_ip(one.address) else "1"
    element = SubElement(root, "ActiveParticipant", values)
    if one.role is not None:
        _code(element, "RoleIDCode", one.role)


def _subject(root: Element, one: Subject) -> None:
    element = SubElement(
        root,
        "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": clean(one.identifier),
            "ParticipantObjectTypeCode": one.kind,
            "ParticipantObjectTypeCodeRole": one.role,
        },
    )
    _code(element, "ParticipantObjectIDTypeCode", one.identifier_type)
    if one.query is None:
        # The schema wants a name or a query; no name of a patient leaves the node.
        SubElement(element, "ParticipantObjectName")
    else:
        SubElement(element, "ParticipantObjectQuery").text = _base64(one.query)
    for name, value in one.details:
        pair = {"type": name, "value": _base64(value)}
        SubElement(element, "ParticipantObjectDetail", pair)
    if one.sop_classes:
        described = SubElement(element, "ParticipantObjectDescription")
        for uid, count in one.sop_classes:
            values = {"UID": clean(uid), "NumberOfInstances": str(count)}
            SubElement(described, "SOPClass", values)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def clean(text: str) -> str:
    """Return a text without what XML cannot hold, and not too long of it."""
    return "".join(_shown(_NO_XML.sub("?", text)[:_MOST_CHARACTERS]))


def _shown(text: str) -> Iterator[str]:
    """Yield characters, each space as one: line breaks would end a line of a log."""
    return (" " if character in "\t\n\r" else character for character in text)


def _is_ip(address: str) -> bool:
    return ":" in address or address.replace(".", "").isdecimal()
