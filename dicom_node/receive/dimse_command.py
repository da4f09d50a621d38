"""The command set of a DIMSE message: implicit little endian, group 0000.

PS3.7 6.3 and annex E.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NoReturn

from dicom_node.dimse.pdu import ABORT_INVALID_PARAMETER, ProtocolError

C_STORE_RQ = 0x0001
C_ECHO_RQ = 0x0030
N_EVENT_REPORT_RQ = 0x0100
C_CANCEL_RQ = 0x0FFF
RESPONSE = 0x8000
NO_DATASET = 0x0101

_ELEMENT = struct.Struct("<HHI")
_US = struct.Struct("<H")
_AFFECTED_CLASS = 0x0002
_REQUESTED_CLASS = 0x0003
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_ANSWERED_MESSAGE_ID = 0x0120
_DATASET_TYPE = 0x0800
_STATUS = 0x0900
_ERROR_COMMENT = 0x0902
_AFFECTED_INSTANCE = 0x1000
_EVENT_TYPE = 0x1002
_MOVE_ORIGINATOR = 0x1030
_COMMENT_CHARACTERS = 64
"""Error Comment is of VR LO (PS3.7 C.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The request elements that concern storage, verification and reports.

    Parameters
    ----------
    move_originator
        (0000,1030) of a C-STORE that is part of a C-MOVE, without padding.
    event_type
        (0000,1002) of an N-EVENT-REPORT; 0 of anything else.
    """

    field: int
    message_id: int
    has_dataset: bool
    sop_class_uid: str
    sop_instance_uid: str
    move_originator: str = ""
    event_type: int = 0


def parse_command(data: bytes) -> Command:
    """Read a command set.

    Raises
    ------
    ProtocolError
        If an element does not fit, or Command Field is missing.
    """
    elements: dict[int, bytes] = {}
    start = 0
    while start < len(data):
        if start + _ELEMENT.size > len(data):
            _fail("a command element is cut off")
        group, element, length = _ELEMENT.unpack_from(data, start)
        start += _ELEMENT.size
        if group != 0 or start + length > len(data):
            _fail("a command element does not fit")
        elements[element] = data[start : start + length]
        start += length
    if _COMMAND_FIELD not in elements:
        _fail("a command set without Command Field (0000,0100)")
    return Command(
        field=_number(elements, _COMMAND_FIELD),
        message_id=_number(elements, _MESSAGE_ID),
        has_dataset=_number(elements, _DATASET_TYPE, NO_DATASET) != NO_DATASET,
        sop_class_uid=_uid(elements, _AFFECTED_CLASS)
        or _uid(elements, _REQUESTED_CLASS),
        sop_instance_uid=_uid(elements, _AFFECTED_INSTANCE),
        move_originator=_uid(elements, _MOVE_ORIGINATOR).strip(),
        event_type=_number(elements, _EVENT_TYPE),
    )


def response(request: Command, status: int, *, comment: str = "") -> bytes:
    """Return the command set that answers a request.

    Parameters
    ----------
    comment
        Goes into Error Comment, at most 64 characters, if the request failed.
    """
    elements = [
        (_COMMAND_FIELD, _US.pack(request.field | RESPONSE)),
        (_ANSWERED_MESSAGE_ID, _US.pack(request.message_id)),
        (_DATASET_TYPE, _US.pack(NO_DATASET)),
        (_STATUS, _US.pack(status)),
    ]
    if request.sop_class_uid:
        elements.insert(0, (_AFFECTED_CLASS, _padded(request.sop_class_uid, b"\0")))
    if comment:
        text = comment[:_COMMENT_CHARACTERS].replace("\\", "/")
        elements.append((_ERROR_COMMENT, _padded(text, b" ")))
    if request.sop_instance_uid:
        elements.append((_AFFECTED_INSTANCE, _padded(request.sop_instance_uid, b"\0")))
    if request.event_type:
        elements.append((_EVENT_TYPE, _US.pack(request.event_type)))
    body = b"".join(
        _ELEMENT.pack(0, element, len(value)) + value for element, value in elements
    )
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def _fail(text: str) -> NoReturn:
    raise ProtocolError(text, abort_reason=ABORT_INVALID_PARAMETER)


def _number(elements: dict[int, bytes], element: int, default: int = 0) -> int:
    value = elements.get(element, b"")
    return int(_US.unpack(value)[0]) if len(value) == _US.size else default


def _uid(elements: dict[int, bytes], element: int) -> str:
    return elements.get(element, b"").decode("latin-1").rstrip("\0 ")


def _padded(text: str, filler: bytes) -> bytes:
    value = text.encode("latin-1", "replace")
    return value + filler if len(value) % 2 else value
