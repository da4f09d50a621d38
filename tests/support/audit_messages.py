"""Audit messages as a repository reads them, held against the standard."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from lxml import etree

SCHEMA = Path(__file__).with_name("audit_message.rng")
_SYSLOG = re.compile(
    rb"<(?P<priority>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<application>\S+) "
    rb"(?P<process>\S+) (?P<kind>\S+) - \xef\xbb\xbf(?P<xml><.*)",
    re.DOTALL,
)
"""RFC 5424 6, without structured data."""
_SOURCE, _DESTINATION, _APPLICATION = "110153", "110152", "110150"
_STUDY, _PATIENT = ("2", "3", "110180"), ("1", "1", "2")
_ALERTED, _ASKED = ("2", "13", "110182"), ("2", "3", "110181")


class Table(NamedTuple):
    """What a table of PS3.15 A.5.3 demands of one event.

    Parameters
    ----------
    actions
        EventActionCode.
    types
        One of which has to be there; none where none has to.
    roles
        RoleIDCode of participants that have to be there.
    objects
        Type, role and kind of identifier of objects that have to be there.
    """

    actions: str
    types: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    objects: frozenset[tuple[str, str, str]] = frozenset()


TABLES = {
    "110100": Table("E", frozenset({"110120", "110121"}), frozenset({_APPLICATION})),
    "110102": Table(
        "E",
        roles=frozenset({_SOURCE, _DESTINATION}),
        objects=frozenset({_STUDY, _PATIENT}),
    ),
    "110103": Table("CRUD", objects=frozenset({_STUDY, _PATIENT})),
    "110104": Table(
        "CRU",
        roles=frozenset({_SOURCE, _DESTINATION}),
        objects=frozenset({_STUDY, _PATIENT}),
    ),
    "110112": Table(
        "E", roles=frozenset({_SOURCE, _DESTINATION}), objects=frozenset({_ASKED})
    ),
    "110113": Table(
        "E",
        types=frozenset(map(str, range(110126, 110143))),
        objects=frozenset({_ALERTED}),
    ),
    "110114": Table("E", types=frozenset({"110122", "110123"})),
}
"""By the code of the event: tables A.5.3.1-1, -3, -6, -7, -10, -11 and -12."""


class Read(NamedTuple):
    """One message that is valid."""

    event: str
    types: tuple[str, ...]
    root: etree._Element

    def values(self, path: str) -> list[str]:
        """Return what an XPath finds."""
        return [str(found) for found in self.root.xpath(path)]


def read_audit_message(syslog: bytes) -> Read:
    """Return a message that is one of syslog, valid by schema and by its table."""
    framed = _SYSLOG.fullmatch(syslog)
    assert framed is not None, syslog[:200]
    assert framed["priority"] == b"85"  # facility 10, severity 5
    assert framed["kind"] == b"DICOM+RFC3881"
    return read_xml(framed["xml"])


def read_xml(xml: bytes) -> Read:
    """Return a message that is valid by schema and by the table of its event."""
    root = etree.fromstring(xml)
    _schema().assertValid(root)
    event = str(root.find("EventIdentification/EventID").get("csd-code"))
    types = tuple(root.xpath("EventIdentification/EventTypeCode/@csd-code"))
    table = TABLES[event]
    assert root.find("EventIdentification").get("EventActionCode") in set(table.actions)
    assert not table.types or table.types & set(types)
    assert set(root.xpath("ActiveParticipant/RoleIDCode/@csd-code")) >= table.roles
    assert {
        (
            one.get("ParticipantObjectTypeCode"),
            one.get("ParticipantObjectTypeCodeRole"),
            one.find("ParticipantObjectIDTypeCode").get("csd-code"),
        )
        for one in root.findall("ParticipantObjectIdentification")
    } == table.objects
    assert len(root.xpath("ActiveParticipant[@UserIsRequestor='true']")) <= 1
    return Read(event, types, root)


@cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(SCHEMA))
