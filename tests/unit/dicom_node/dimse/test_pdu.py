"""Our PDUs against pynetdicom's, and against bytes that are none."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom import build_context, pdu
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)

from dicom_node.dimse.pdu import (
    ACCEPTED,
    COMMAND_FLAG,
    LAST_FLAG,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    AssociateRequest,
    ContextReply,
    ProposedContext,
    ProtocolError,
    abort_pdu,
    accept_pdu,
    command_pdu,
    fragments,
    parse_associate_request,
    reject_pdu,
)

MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
HEADER_BYTES = 6


def _request_bytes() -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title = "PACS"
    primitive.called_ae_title = "LUMBAR_AI"
    context = build_context(MR, [EXPLICIT, "1.2.840.10008.1.2"])
    context.context_id = 3
    primitive.presentation_context_definition_list = [context]
    length = MaximumLengthNotification()
    length.maximum_length_received = 16382
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID("1.2.3")
    primitive.user_information = [length, implementation]
    request = pdu.A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return request.encode()[HEADER_BYTES:]


REQUEST = _request_bytes()


def test_a_request_is_read_as_it_was_written() -> None:
    request = parse_associate_request(REQUEST)
    assert (request.calling_ae, request.called_ae) == ("PACS", "LUMBAR_AI")
    assert request.max_length == 16382
    assert request.contexts == (
        ProposedContext(
            id=3,
            abstract_syntax=MR,
            transfer_syntaxes=(EXPLICIT, "1.2.840.10008.1.2"),
        ),
    )


@pytest.mark.parametrize(
    "field",
    [b"PACS".ljust(16, b"\0"), b" PACS".ljust(16), b"PACS\0" + b"garbage".ljust(11)],
)
def test_a_title_is_read_however_it_is_padded(field: bytes) -> None:
    odd = REQUEST[:20] + field + REQUEST[36:]
    assert parse_associate_request(odd).calling_ae == "PACS"


@given(st.integers(0, len(REQUEST) - 1))
def test_a_request_that_is_cut_off_is_refused_or_lacks_its_last_item(
    length: int,
) -> None:
    try:
        request = parse_associate_request(REQUEST[:length])
    except ProtocolError:
        return
    assert request.contexts[0].abstract_syntax == MR


@given(st.binary(max_size=400))
def test_any_bytes_give_a_request_or_a_protocol_error(body: bytes) -> None:
    with suppress(ProtocolError):
        assert parse_associate_request(body).contexts


@given(st.data())
def test_a_request_with_any_byte_changed_harms_nobody(data: st.DataObject) -> None:
    changed = bytearray(REQUEST)
    changed[data.draw(st.integers(0, len(REQUEST) - 1))] = data.draw(
        st.integers(0, 255)
    )
    try:
        request = parse_associate_request(bytes(changed))
    except ProtocolError:
        return
    assert len(request.called_ae) <= 16


def _example() -> AssociateRequest:
    return parse_associate_request(REQUEST)


def test_more_contexts_than_there_are_ids_are_refused() -> None:
    context = REQUEST.index(b"\x20\x00", 68 + 4 + len("1.2.840.10008.3.1.1.1"))
    size = 4 + int.from_bytes(REQUEST[context + 2 : context + 4], "big")
    many = REQUEST[context : context + size] * 300
    with pytest.raises(ProtocolError, match="more than 256 contexts"):
        parse_associate_request(REQUEST[:context] + many + REQUEST[context:])


def test_pynetdicom_reads_our_acceptance() -> None:
    replies = (
        ContextReply(id=3, result=ACCEPTED, transfer_syntax=EXPLICIT),
        ContextReply(
            id=5, result=TRANSFER_SYNTAXES_NOT_SUPPORTED, transfer_syntax="1.2.3"
        ),
    )
    answer = pdu.A_ASSOCIATE_AC()
    answer.decode(accept_pdu(_example(), replies, max_length=131072))
    primitive = answer.to_primitive()
    results = primitive.presentation_context_definition_results_list
    assert [(context.context_id, context.result) for context in results] == [
        (3, 0),
        (5, 4),
    ]
    assert results[0].transfer_syntax == [EXPLICIT]
    assert primitive.maximum_length_received == 131072


def test_pynetdicom_reads_our_rejection_and_our_abort() -> None:
    rejection = pdu.A_ASSOCIATE_RJ()
    rejection.decode(reject_pdu(result=2, source=3, reason=2))
    assert rejection.reason_str == "Local limit exceeded"
    abort = pdu.A_ABORT_RQ()
    abort.decode(abort_pdu(6))
    assert (abort.source, abort.reason_diagnostic) == (2, 6)


def test_pynetdicom_reads_our_command() -> None:
    data = pdu.P_DATA_TF()
    data.decode(command_pdu(7, b"command"))
    item = data.presentation_data_value_items[0]
    assert item.context_id == 7
    assert item.presentation_data_value == bytes([3]) + b"command"


def test_fragments_are_told_apart() -> None:
    one = command_pdu(1, b"ab")[HEADER_BYTES:]
    two = command_pdu(3, b"")[HEADER_BYTES:]
    found = [
        (context, control, bytes(data))
        for context, control, data in fragments(memoryview(one + two))
    ]
    both = COMMAND_FLAG | LAST_FLAG
    assert found == [(1, both, b"ab"), (3, both, b"")]


@pytest.mark.parametrize(
    "body",
    [
        b"\0\0\0",
        b"\0\0\0\1\1\3",  # shorter than its own two bytes
        b"\0\0\0\7\1\3ab",  # longer than the PDU
        b"\xff\xff\xff\xff\1\3ab",
    ],
)
def test_a_fragment_that_does_not_fit_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(fragments(memoryview(body)))
