"""A report as HL7 v2.5.1 message ORU^R01.

References
----------
HL7 v2.5.1: 2.5.5 (segments), 2.7 (escape sequences), 2.14.9 (MSH), 7.3.1 (ORU), 7.4
(OBR, OBX); tables 0085 (result status), 0211 (character sets), 0396 (coding systems).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from dicom_node.encode.report_content import Coded, Item, Quantity, ReportContent

CONTROL_ID_LENGTH = 20
"""MSH-10 has no more."""
_DELIMITERS = "|^~\\&"
_ESCAPES = str.maketrans(
    {"|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "\\": "\\E\\", "&": "\\T\\"}
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNVERIFIED, _ABSENT, _CORRECTION = "R", "X", "C"
"""Of table 0085: stored, not verified; cannot be obtained; replaces an earlier one."""
_NAMELESS = "^^^^^^U"
"""XPN of table 0200: an unspecified name, for PID-5 is required."""
_SITE = Coded("363698007", "SCT", "Finding Site")
_TEXT = Coded("121071", "DCM", "Finding")
_REMARK = Coded("121106", "DCM", "Comment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Between whom a message goes (MSH-3 to 6, 11); empty where it is not said."""

    sending_application: str
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    processing: str = "P"


def control_id(uid: str) -> str:
    """Return the ID of the message about a report: the same whenever it is sent."""
    return hashlib.sha256(uid.encode()).hexdigest()[:CONTROL_ID_LENGTH]


def oru_message(content: ReportContent, parties: Parties) -> bytes:
    """Return the message, without the frame of MLLP, in UTF-8."""
    segments = [
        _msh(content, parties),
        _pid(content),
        _obr(content),
        *(
            ("OBX", str(number), *fields)
            for number, fields in enumerate(_observations(content), start=1)
        ),
    ]
    text = "".join("|".join(one).rstrip("|") + "\r" for one in segments)
    # A name that no UTF-8 holds must not end the delivery.
    return text.encode("utf-8", "replace")


def _msh(content: ReportContent, parties: Parties) -> Sequence[str]:
    return [
        "MSH",
        _DELIMITERS[1:],
        _text(parties.sending_application),
        _text(parties.sending_facility),
        _text(parties.receiving_application),
        _text(parties.receiving_facility),
        _moment(content, "ContentDate", "ContentTime"),
        "",
        "ORU^R01^ORU_R01",
        control_id(content.uid),
        parties.processing,
        "2.5.1",
        *[""] * 5,
        "UNICODE UTF-8",
    ]


def _pid(content: ReportContent) -> Sequence[str]:
    issuer = _text(content.said("IssuerOfPatientID"))
    patient_id = _text(content.said("PatientID")) + (f"^^^{issuer}" if issuer else "")
    name = "~".join(_names(content.header.get("PatientName"))) or _NAMELESS
    birth, sex = map(content.said, ("PatientBirthDate", "PatientSex"))
    return ["PID", "1", "", patient_id, "", name, "", _text(birth), _text(sex)]


def _names(name: object) -> Iterator[str]:
    """Yield a name in each of its writings (XPN): alphabetic, ideographic, phonetic."""
    for letter, group in (
        ("A", "alphabetic"), ("I", "ideographic"), ("P", "phonetic"),
    ):  # fmt: skip
        words = [_text(one) for one in str(getattr(name, group, "")).split("^")]
        if any(words):
            family, given, middle, prefix, suffix, *_ = (*words, *[""] * 5)
            yield "^".join((family, given, middle, suffix, prefix, "", "L", letter))


def _obr(content: ReportContent) -> Sequence[str]:
    fields = {
        1: "1",
        2: _text(content.said("AccessionNumber")),
        3: _text(content.source_uid),
        4: _coded(content.procedure),
        7: _moment(content, "StudyDate", "StudyTime"),
        18: _text(content.said("AccessionNumber")),
        20: _text(content.said("StudyInstanceUID")),
        21: _text(content.uid),
        22: _moment(content, "ContentDate", "ContentTime"),
        24: "RAD",
        25: _CORRECTION if content.replaces else _UNVERIFIED,
    }
    return ["OBR", *(fields.get(place, "") for place in range(1, max(fields) + 1))]


def _observations(content: ReportContent) -> Iterator[Sequence[str]]:
    """Yield the fields of each OBX from OBX-2 on: the text, then group by group.

    What belongs together has one sub-ID (OBX-4): 3 is the third structure, 3.2 its
    second quantity, 3.2.1 what is said of that.
    """
    for line in content.paragraph.splitlines():
        yield _obx("TX", _coded(_TEXT), "", _text(line))
    for remark in content.remarks:
        yield _obx("TX", _coded(_REMARK), "", _text(remark))
    for number, group in enumerate(content.groups, start=1):
        yield _obx("CWE", _coded(_SITE), str(number), _coded(group.site))
        for place, item in enumerate(group.items, start=1):
            yield from _said(item, f"{number}.{place}")


def _said(item: Item, place: str) -> Iterator[Sequence[str]]:
    # Receivers show its text alone: without what narrows the concept, four heights of
    # a disc would all be called Height.
    named = _coded(replace(item.concept, meaning=item.name))
    if isinstance(item.value, Quantity):
        unit = _coded(item.value.unit)
        yield _obx("NM", named, place, _number(item.value.number), unit)
    elif isinstance(item.value, Coded):
        status = _ABSENT if item.is_absent else _UNVERIFIED
        yield _obx("CWE", named, place, _coded(item.value), status=status)
    else:
        yield _obx("TX", named, place, _text(item.value))
    below = (*item.modifiers, *item.properties)
    for number, one in enumerate(below, start=1):
        yield from _said(one, f"{place}.{number}")
    for number, text in enumerate(item.remark.splitlines(), start=len(below) + 1):
        yield _obx("TX", _coded(_REMARK), f"{place}.{number}", _text(text))


def _obx(
    kind: str,
    concept: str,
    place: str,
    value: str,
    unit: str = "",
    *,
    status: str = _UNVERIFIED,
) -> Sequence[str]:
    return (kind, concept, place, value, unit, "", "", "", "", status)


def _coded(code: Coded) -> str:
    return "^".join(map(_text, (code.value, code.meaning, code.scheme)))


def _number(text: str) -> str:
    """Return a DS as NM, which has no exponent (HL7 v2.5.1 2.A.46)."""
    return f"{Decimal(text):f}"


def _text(value: str) -> str:
    """Return a text such that no character of it is a delimiter or ends a segment."""
    text = _CONTROL.sub(" ", value).strip()
    return text.translate(_ESCAPES)


def _moment(content: ReportContent, date: str, time: str) -> str:
    """Return a moment (TS), as exact as the SR states it; empty if it is none."""
    day, clock = content.said(date), content.said(time).partition(".")[0]
    if not re.fullmatch(r"\d{8}", day):
        return ""
    if not re.fullmatch(r"\d{4}(\d\d)?", clock):
        return day
    return day + clock + _text(content.said("TimezoneOffsetFromUTC"))
