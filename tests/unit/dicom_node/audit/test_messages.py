"""Every event is told as the schema and the tables of PS3.15 A.5 have it."""

from __future__ import annotations

import base64

import pytest
from lxml import etree

from dicom_node.audit import events
from dicom_node.audit.message import Message, to_xml
from dicom_node.audit.syslog import syslog_message
from tests.support.audit_messages import TABLES, read_audit_message, read_xml

PEER = events.Peer(ae_title="PACS", address="10.1.2.3")
CONTENT = events.Content(
    patient_id="4711", study_uid="1.2.3", sop_classes=("1.2.840.1", "1.2.840.1", "1.3")
)
MESSAGES = {
    "start": events.application_activity("NODE", is_start=True),
    "stop": events.application_activity("NODE", is_start=False),
    "begin": events.begin_transferring("NODE", PEER, CONTENT),
    "sent": events.instances_sent("NODE", PEER, CONTENT),
    "not sent": events.instances_sent("NODE", PEER, CONTENT, failure="refused"),
    "received": events.instances_received("NODE", PEER, CONTENT),
    "analysed": events.instances_accessed("NODE", CONTENT),
    "looked at": events.instances_accessed("NODE", CONTENT, user="ann", address="::1"),
    "query": events.query(
        "NODE", PEER, model_uid="1.2.840", identifier=b"\0\1", syntax_uid="1.2"
    ),
    "refused": events.association_refused(
        "NODE", PEER, called_ae="NODE", why="unknown"
    ),
    "lost": events.messages_lost("NODE", 7),
    "action": events.user_action("NODE", "ann", address="10.1.2.4", what="retry of 1"),
    "login": events.user_authenticated("NODE", "ann", address="h", is_login=True),
    "logout": events.user_authenticated("NODE", "ann", address="h", is_login=False),
}


def xml_of(message: Message) -> bytes:
    return to_xml(message, source_id="NODE", site_id="", at_s=1.5)


@pytest.mark.parametrize("name", MESSAGES)
def test_an_event_is_valid_by_the_schema_and_by_its_table(name: str) -> None:
    read_audit_message(syslog_message(xml_of(MESSAGES[name]), at_s=1.5))


def test_every_table_has_an_event() -> None:
    assert {message.event.value for message in MESSAGES.values()} == set(TABLES)


def test_the_schema_refuses_what_is_wrong() -> None:
    root = etree.fromstring(xml_of(MESSAGES["sent"]))
    del root.find("AuditSourceIdentification").attrib["AuditSourceID"]
    with pytest.raises(etree.DocumentInvalid):
        read_xml(etree.tostring(root))
    root = etree.fromstring(xml_of(MESSAGES["sent"]))
    root.find("EventIdentification").set("EventOutcomeIndicator", "1")
    with pytest.raises(etree.DocumentInvalid):
        read_xml(etree.tostring(root))


def test_a_transfer_names_the_patient_by_id_alone_and_counts_by_class() -> None:
    read = read_xml(xml_of(MESSAGES["sent"]))
    patient = "ParticipantObjectIdentification[@ParticipantObjectTypeCode='1']"
    assert read.values(f"{patient}/@ParticipantObjectID") == ["4711"]
    assert read.values(f"{patient}/ParticipantObjectName/text()") == []
    assert read.values("//SOPClass/@UID") == ["1.2.840.1", "1.3"]
    assert read.values("//SOPClass/@NumberOfInstances") == ["2", "1"]


def test_whoever_sends_is_the_source_and_has_begun_it() -> None:
    source = "ActiveParticipant[RoleIDCode/@csd-code='110153']"
    for name, requestor in (("sent", "AETITLES=NODE"), ("received", "AETITLES=PACS")):
        read = read_xml(xml_of(MESSAGES[name]))
        assert read.values(f"{source}/@UserIsRequestor") == ["true"]
        assert read.values(f"{source}/@AlternativeUserID") == [requestor]


def test_a_query_is_told_as_it_was_sent() -> None:
    read = read_xml(xml_of(MESSAGES["query"]))
    (query,) = read.values("//ParticipantObjectQuery/text()")
    assert base64.b64decode(query) == b"\0\1"


def test_a_failure_is_told_with_its_reason() -> None:
    read = read_xml(xml_of(MESSAGES["not sent"]))
    assert read.values("//@EventOutcomeIndicator") == ["8"]
    assert read.values("//EventOutcomeDescription/text()") == ["refused"]


@pytest.mark.parametrize(
    "title",
    [
        "<AuditMessage>", '"/>&', "\0\x1b[2J", "a\r\n<85>1 forged", "\ud800",
        "x" * 9999, "\ufffe", "]]>",
    ],
)  # fmt: skip
def test_no_title_breaks_a_message_or_begins_another(title: str) -> None:
    peer = events.Peer(ae_title=title, address=title)
    message = events.association_refused("NODE", peer, called_ae=title, why=title)
    framed = syslog_message(xml_of(message), at_s=1.5)
    assert b"\n" not in framed
    assert len(framed) < 12_000
    read_audit_message(framed)
