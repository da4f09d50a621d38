"""Protocol data units of the upper layer as bytes (PS3.8 9.3), the acceptor's side.

Of the requestor's side there is what a C-ECHO to this node itself needs.

Our own and not pynetdicom's, because acceptors must be small (55 MB less each), must
not trust a byte, and must be as fast as the disk: `docs/adr` has the figures.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

A_ASSOCIATE_RQ = 0x01
A_ASSOCIATE_AC = 0x02
A_ASSOCIATE_RJ = 0x03
P_DATA_TF = 0x04
A_RELEASE_RQ = 0x05
A_RELEASE_RP = 0x06
A_ABORT = 0x07

HEADER = struct.Struct(">BxI")
"""Type, reserved, length of what follows."""

_ITEM = struct.Struct(">BxH")
_PDV = struct.Struct(">IBB")
_PDV_OWN_BYTES = 2
"""Context id and control header, which the length of a PDV counts."""

_MAX_CONTEXTS = 256
"""Their ids are odd bytes (PS3.8 9.3.2.2), so 128 are possible; some senders use even
ones as well."""

_CONTEXT_FIXED_BYTES = 4
_LENGTH_BYTES = 4
_TITLE_BYTES = 16
_OWN_MAX_LENGTH = 16384
_UID_LENGTH_BYTES, _ROLE_FLAGS_BYTES = 2, 2
"""Before and behind the SOP class of a role selection (PS3.7 table D.3-9)."""
_FIXED_BYTES = 68
"""Protocol version, reserved, two AE titles, 32 reserved (PS3.8 table 9-11)."""

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_APPLICATION_ITEM = 0x10
_CONTEXT_RQ_ITEM = 0x20
_CONTEXT_AC_ITEM = 0x21
_ABSTRACT_ITEM = 0x30
_TRANSFER_ITEM = 0x40
_USER_ITEM = 0x50
_MAXIMUM_LENGTH_ITEM = 0x51
_IMPLEMENTATION_UID_ITEM = 0x52
_ROLE_ITEM = 0x54
_IMPLEMENTATION_NAME_ITEM = 0x55

IMPLEMENTATION_UID = "2.25.220364158393726418047421632570181853729"
IMPLEMENTATION_NAME = "LUMBAR_NODE_1"

ACCEPTED = 0
ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED = 4
"""Results of a presentation context (PS3.8 table 9-18)."""

COMMAND_FLAG = 0x01
LAST_FLAG = 0x02
"""Bits of the message control header (PS3.8 E.2)."""

ABORT_NO_REASON = 0
ABORT_UNRECOGNISED_PDU = 1
ABORT_UNEXPECTED_PDU = 2
ABORT_INVALID_PARAMETER = 6
"""Reasons of an abort by the service provider (PS3.8 table 9-26)."""


class ProtocolError(Exception):
    """The bytes are no PDU that may come here; the association is aborted.

    Parameters
    ----------
    abort_reason
        Of PS3.8 table 9-26.
    """

    def __init__(self, text: str, *, abort_reason: int) -> None:
        super().__init__(text)
        self.abort_reason = abort_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedContext:
    """One presentation context as it was proposed."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The roles that a requestor proposes for itself, or is granted, for a SOP class.

    PS3.7 D.3.3.4.
    """

    sop_class_uid: str
    is_scu: bool
    is_scp: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """What a requestor says of itself.

    Parameters
    ----------
    called_field, calling_field
        The two titles as 16 raw bytes, to be given back (PS3.8 table 9-17).
    max_length
        Largest P-DATA PDU that the requestor takes (bytes); 0 is without limit.
    roles
        As it proposes them; a class for which it proposes none has it as SCU.
    """

    called_field: bytes
    calling_field: bytes
    contexts: tuple[ProposedContext, ...]
    max_length: int
    roles: tuple[Roles, ...] = ()

    @property
    def called_ae(self) -> str:
        """The called AE title without padding."""
        return _title(self.called_field)

    @property
    def calling_ae(self) -> str:
        """The calling AE title without padding."""
        return _title(self.calling_field)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextReply:
    """What is answered for one proposed context."""

    id: int
    result: int
    transfer_syntax: str


def parse_associate_request(body: bytes) -> AssociateRequest:
    """Read the part of an A-ASSOCIATE-RQ PDU that follows its length.

    Raises
    ------
    ProtocolError
        If an item does not fit into what holds it, or no context is proposed.
    """
    if len(body) < _FIXED_BYTES:
        _fail("A-ASSOCIATE-RQ is shorter than its fixed part")
    contexts: list[ProposedContext] = []
    max_length = 0
    roles: tuple[Roles, ...] = ()
    for kind, value in _items(body[_FIXED_BYTES:]):
        if len(contexts) > _MAX_CONTEXTS:
            _fail(f"A-ASSOCIATE-RQ proposes more than {_MAX_CONTEXTS} contexts")
        if kind == _CONTEXT_RQ_ITEM:
            contexts.append(_proposed_context(value))
        elif kind == _USER_ITEM:
            max_length = _requested_length(value)
            roles = tuple(_roles(value))
    if not contexts:
        _fail("A-ASSOCIATE-RQ proposes no presentation context")
    return AssociateRequest(
        called_field=body[4:20],
        calling_field=body[20:36],
        contexts=tuple(contexts),
        max_length=max_length,
        roles=roles,
    )


def accept_pdu(
    request: AssociateRequest,
    replies: Iterable[ContextReply],
    *,
    max_length: int,
    roles: Iterable[Roles] = (),
) -> bytes:
    """Return an A-ASSOCIATE-AC PDU (PS3.8 table 9-17).

    Parameters
    ----------
    roles
        Those that are granted of the ones that were proposed.
    """
    user = b"".join(
        (
            _item(_MAXIMUM_LENGTH_ITEM, struct.pack(">I", max_length)),
            _item(_IMPLEMENTATION_UID_ITEM, IMPLEMENTATION_UID.encode()),
            *(_item(_ROLE_ITEM, _role_value(one)) for one in roles),
            _item(_IMPLEMENTATION_NAME_ITEM, IMPLEMENTATION_NAME.encode()),
        )
    )
    body = b"".join(
        (
            struct.pack(">Hxx", 1),
            request.called_field,
            request.calling_field,
            bytes(32),
            _item(_APPLICATION_ITEM, _APPLICATION_CONTEXT.encode()),
            *(_context_reply(reply) for reply in replies),
            _item(_USER_ITEM, user),
        )
    )
    return HEADER.pack(A_ASSOCIATE_AC, len(body)) + body


def associate_request_pdu(
    *, called_ae: str, calling_ae: str, abstract_syntax: str, transfer_syntax: str
) -> bytes:
    """Return an A-ASSOCIATE-RQ PDU with one presentation context, 1 (PS3.8 9.3.2)."""
    context = struct.pack("BBBB", 1, 0, 0, 0) + b"".join(
        (
            _item(_ABSTRACT_ITEM, abstract_syntax.encode()),
            _item(_TRANSFER_ITEM, transfer_syntax.encode()),
        )
    )
    user = b"".join(
        (
            _item(_MAXIMUM_LENGTH_ITEM, struct.pack(">I", _OWN_MAX_LENGTH)),
            _item(_IMPLEMENTATION_UID_ITEM, IMPLEMENTATION_UID.encode()),
            _item(_IMPLEMENTATION_NAME_ITEM, IMPLEMENTATION_NAME.encode()),
        )
    )
    body = b"".join(
        (
            struct.pack(">Hxx", 1),
            called_ae.encode("latin-1").ljust(_TITLE_BYTES),
            calling_ae.encode("latin-1").ljust(_TITLE_BYTES),
            bytes(32),
            _item(_APPLICATION_ITEM, _APPLICATION_CONTEXT.encode()),
            _item(_CONTEXT_RQ_ITEM, context),
            _item(_USER_ITEM, user),
        )
    )
    return HEADER.pack(A_ASSOCIATE_RQ, len(body)) + body


def release_request_pdu() -> bytes:
    """Return an A-RELEASE-RQ PDU."""
    return HEADER.pack(A_RELEASE_RQ, 4) + bytes(4)


def reject_pdu(*, result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ PDU (PS3.8 table 9-21)."""
    return HEADER.pack(A_ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))


def release_reply_pdu() -> bytes:
    """Return an A-RELEASE-RP PDU."""
    return HEADER.pack(A_RELEASE_RP, 4) + bytes(4)


def abort_pdu(reason: int) -> bytes:
    """Return an A-ABORT PDU of the service provider (PS3.8 table 9-26)."""
    return HEADER.pack(A_ABORT, 4) + bytes((0, 0, 2, reason))


def command_pdu(context_id: int, command: bytes) -> bytes:
    """Return a P-DATA-TF PDU with one whole command set."""
    pdv = (
        _PDV.pack(len(command) + _PDV_OWN_BYTES, context_id, COMMAND_FLAG | LAST_FLAG)
        + command
    )
    return HEADER.pack(P_DATA_TF, len(pdv)) + pdv


def fragments(body: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield context id, message control header and data of each PDV.

    Raises
    ------
    ProtocolError
        If a PDV does not fit into its PDU.
    """
    start = 0
    while start < len(body):
        if start + _PDV.size > len(body):
            _fail("a PDV header is cut off")
        length, context_id, control = _PDV.unpack_from(body, start)
        stop = start + 4 + length
        if length < _PDV_OWN_BYTES or stop > len(body):
            _fail("a PDV does not fit into its PDU")
        yield context_id, control, body[start + _PDV.size : stop]
        start = stop


def _fail(text: str) -> NoReturn:
    raise ProtocolError(text, abort_reason=ABORT_INVALID_PARAMETER)


def _title(field: bytes) -> str:
    # Some workstations pad with NUL instead of space, or put bytes after the NUL.
    return field.partition(b"\0")[0].decode("latin-1").strip()


def _uid(value: bytes) -> str:
    return value.decode("latin-1").rstrip("\0 ")


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(data):
        if start + _ITEM.size > len(data):
            _fail("an item header is cut off")
        kind, length = _ITEM.unpack_from(data, start)
        start += _ITEM.size
        if start + length > len(data):
            _fail("an item does not fit into its PDU")
        yield kind, data[start : start + length]
        start += length


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _proposed_context(value: bytes) -> ProposedContext:
    if len(value) < _CONTEXT_FIXED_BYTES:
        _fail("a presentation context is cut off")
    abstract = ""
    transfers: list[str] = []
    for kind, item in _items(value[_CONTEXT_FIXED_BYTES:]):
        if kind == _ABSTRACT_ITEM:
            abstract = _uid(item)
        elif kind == _TRANSFER_ITEM:
            transfers.append(_uid(item))
    return ProposedContext(
        id=value[0], abstract_syntax=abstract, transfer_syntaxes=tuple(transfers)
    )


def _requested_length(value: bytes) -> int:
    for kind, item in _items(value):
        if kind == _MAXIMUM_LENGTH_ITEM and len(item) == _LENGTH_BYTES:
            return int.from_bytes(item, "big")
    return 0


def _roles(value: bytes) -> Iterator[Roles]:
    """Yield the proposed roles; none behind an item that is cut off.

    Only who wants to report of a commitment needs them, so they forbid nobody else.
    """
    with suppress(ProtocolError):
        for kind, item in _items(value):
            least = _UID_LENGTH_BYTES + _ROLE_FLAGS_BYTES
            if kind == _ROLE_ITEM and len(item) > least:
                *uid, is_scu, is_scp = item[_UID_LENGTH_BYTES:]
                yield Roles(
                    sop_class_uid=_uid(bytes(uid)),
                    is_scu=is_scu == 1,
                    is_scp=is_scp == 1,
                )


def _role_value(roles: Roles) -> bytes:
    uid = roles.sop_class_uid.encode("latin-1")
    return struct.pack(">H", len(uid)) + uid + bytes((roles.is_scu, roles.is_scp))


def _context_reply(reply: ContextReply) -> bytes:
    syntax = _item(_TRANSFER_ITEM, reply.transfer_syntax.encode("latin-1"))
    return _item(_CONTEXT_AC_ITEM, bytes((reply.id, 0, reply.result, 0)) + syntax)
