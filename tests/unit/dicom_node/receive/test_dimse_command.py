"""Command sets against pynetdicom's encoder, and against bytes that are none."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom import dimse_messages
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode, encode

from dicom_node.dimse.pdu import ProtocolError
from dicom_node.receive.dimse_command import (
    C_STORE_RQ,
    Command,
    parse_command,
    response,
)

MR = "1.2.840.10008.5.1.4.1.1.4"


def _store_request(*, move_originator: str | None = None) -> bytes:
    primitive = C_STORE()
    if move_originator is not None:
        primitive.MoveOriginatorApplicationEntityTitle = move_originator
        primitive.MoveOriginatorMessageID = 1
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID = MR
    primitive.AffectedSOPInstanceUID = "1.2.3"
    primitive.Priority = 2
    primitive.DataSet = BytesIO(b"x")
    message = dimse_messages.C_STORE_RQ()
    message.primitive_to_message(primitive)
    content = encode(message.command_set, True, True)
    assert content is not None
    return content


REQUEST = _store_request()


def test_a_request_is_read_as_pynetdicom_wrote_it() -> None:
    assert parse_command(REQUEST) == Command(
        field=C_STORE_RQ,
        message_id=7,
        has_dataset=True,
        sop_class_uid=MR,
        sop_instance_uid="1.2.3",
    )


@pytest.mark.parametrize("title", ["LUMBAR_AI", "LUMBAR AI", "A"])
def test_who_asked_for_an_instance_is_read_without_padding(title: str) -> None:
    request = parse_command(_store_request(move_originator=title))
    assert request.move_originator == title
    assert parse_command(REQUEST).move_originator == ""


def _decoded(content: bytes) -> Dataset:
    return decode(BytesIO(content), True, True)


def test_pynetdicom_reads_our_response() -> None:
    content = response(parse_command(REQUEST), 0xC210, comment="no\\UID" + "x" * 80)
    answer = _decoded(content)
    assert answer.CommandField == 0x8001
    assert answer.MessageIDBeingRespondedTo == 7
    assert answer.AffectedSOPClassUID == MR
    assert answer.AffectedSOPInstanceUID == "1.2.3"
    assert answer.CommandDataSetType == 0x0101
    assert answer.Status == 0xC210
    # VR LO: 64 characters, and a backslash would separate two values.
    assert answer.ErrorComment == "no/UID" + "x" * 58


def test_the_group_length_counts_what_follows_it() -> None:
    content = response(parse_command(REQUEST), 0)
    assert _decoded(content).CommandGroupLength == len(content) - 12


@pytest.mark.parametrize("content", [b"", REQUEST[:20], REQUEST[:-1], b"\x08" * 40])
def test_a_command_set_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_command(content)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_command_or_a_protocol_error(content: bytes) -> None:
    with suppress(ProtocolError):
        assert parse_command(content).message_id in range(0x10000)
