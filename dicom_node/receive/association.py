"""One association that a peer opened: negotiated, served, closed."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol

from dicom_node import log
from dicom_node.dimse import contexts, pdu, status
from dicom_node.errors import InstanceRefusedError, NodeError
from dicom_node.receive import command
from dicom_node.receive.events import AssociationEnding
from dicom_node.receive.stream import MAX_PDU_BYTES, PduStream
from dicom_node.records import StoreRequest

_MAX_COMMAND_BYTES = 16 * 1024
"""A command set of C-STORE or C-ECHO has some 300 bytes."""


_SEND_TIMEOUT_S = 30.0


class Incoming(Protocol):
    """A dataset on its way to where it is kept."""

    def write(self, fragment: memoryview) -> None:
        """Take the next bytes; the view is valid during the call only."""

    def finish(self) -> None:
        """Return when the instance is durable, raise NodeError if it cannot be."""

    def discard(self) -> None:
        """Forget what was written; also after a failure, and more than once."""


class Sink(Protocol):
    """Where datasets go; the network knows no disk."""

    def begin(self, request: StoreRequest) -> Incoming:
        """Open a place for one dataset, raise NodeError if there is none."""


@dataclass(slots=True)
class _Receipt:
    """A C-STORE request whose dataset is arriving."""

    request: command.Command
    context_id: int
    incoming: Incoming | None = None
    refusal: NodeError | None = None
    size_bytes: int = 0

    def write(self, fragment: memoryview) -> None:
        """Pass a fragment on; after a failure only count, so that we can answer."""
        self.size_bytes += len(fragment)
        if self.incoming is None:
            return
        try:
            self.incoming.write(fragment)
        except NodeError as error:
            self.refuse(error)

    def finish(self) -> bool:
        """Make the instance durable, or raise why not; False if none is stored."""
        if self.refusal is not None:
            raise self.refusal
        if self.incoming is None:
            return False
        self.incoming.finish()
        return True

    def refuse(self, error: NodeError) -> None:
        """Remember why, and drop what was written."""
        self.refusal = error
        self.drop()

    def drop(self) -> None:
        """Discard what was written."""
        if self.incoming is not None:
            self.incoming.discard()
            self.incoming = None


class Association:
    """Serves the messages of one accepted association, until it ends.

    Parameters
    ----------
    accepted
        Transfer syntax and SOP class of each accepted context, by its id.
    """

    def __init__(
        self,
        connection: socket.socket,
        stream: PduStream,
        *,
        id: str,  # noqa: A002 - the field's word
        calling_ae: str,
        accepted: dict[int, tuple[str, str]],
        sink: Sink,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._id = id
        self._calling_ae = calling_ae
        self._accepted = accepted
        self._sink = sink
        self._command = bytearray()
        self._receipt: _Receipt | None = None
        self.stored = 0
        self.refused = 0
        self.size_bytes = 0

    def serve(self, idle_timeout_s: float) -> AssociationEnding:
        """Answer requests until the peer releases, aborts, vanishes or falls silent."""
        try:
            return self._serve(idle_timeout_s)
        except TimeoutError:
            self._abort(pdu.ABORT_NO_REASON)
            return AssociationEnding.SILENT
        except (EOFError, OSError):
            return AssociationEnding.LOST
        except pdu.ProtocolError as error:
            log.warning(
                "protocol_violated",
                association_id=self._id,
                calling_ae=self._calling_ae,
                reason=str(error),
            )
            self._abort(error.abort_reason)
            return AssociationEnding.VIOLATED
        finally:
            if self._receipt is not None:
                self._receipt.drop()

    def _serve(self, idle_timeout_s: float) -> AssociationEnding:
        while True:
            kind, body = self._stream.read(idle_timeout_s)
            if kind == pdu.P_DATA_TF:
                for context_id, control, data in pdu.fragments(body):
                    self._fragment(context_id, control, data)
            elif kind == pdu.A_RELEASE_RQ:
                self._check_no_message_is_open()
                self._send(pdu.release_reply_pdu())
                return AssociationEnding.RELEASED
            elif kind == pdu.A_ABORT:
                return AssociationEnding.ABORTED
            else:
                text = f"PDU type {kind:#04x} inside an association"
                raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)

    def _check_no_message_is_open(self) -> None:
        """Refuse a release in mid-message: an instance is missing, so it is none."""
        if self._receipt is not None or self._command:
            text = "a release before the end of a message"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)

    def _fragment(self, context_id: int, control: int, data: memoryview) -> None:
        if context_id not in self._accepted:
            text = f"presentation context {context_id} was not accepted"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_INVALID_PARAMETER)
        last = bool(control & pdu.LAST_FLAG)
        if control & pdu.COMMAND_FLAG:
            self._command_fragment(context_id, data, last=last)
        else:
            self._dataset_fragment(context_id, data, last=last)

    def _command_fragment(
        self, context_id: int, data: memoryview, *, last: bool
    ) -> None:
        if self._receipt is not None:
            text = "a command set before the end of the dataset"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)
        self._command += data
        if len(self._command) > _MAX_COMMAND_BYTES:
            text = f"a command set of more than {_MAX_COMMAND_BYTES} bytes"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_INVALID_PARAMETER)
        if not last:
            return
        request = command.parse_command(bytes(self._command))
        self._command.clear()
        self._request(request, context_id)

    def _request(self, request: command.Command, context_id: int) -> None:
        if request.field == command.C_CANCEL_RQ:
            return
        if request.has_dataset:
            self._receipt = self._begin(request, context_id)
            return
        if request.field == command.C_ECHO_RQ:
            self._respond(request, context_id, status.SUCCESS)
        elif request.field == command.C_STORE_RQ:
            self.refused += 1
            self._respond(
                request, context_id, status.CANNOT_UNDERSTAND, "no dataset follows"
            )
        else:
            self._respond(request, context_id, status.UNRECOGNISED_OPERATION)

    def _begin(self, request: command.Command, context_id: int) -> _Receipt:
        receipt = _Receipt(request, context_id)
        sop_class_uid, transfer_syntax_uid = self._accepted[context_id]
        if (
            request.field != command.C_STORE_RQ
            or sop_class_uid == contexts.VERIFICATION
        ):
            return receipt
        store = StoreRequest(
            association_id=self._id,
            calling_ae=self._calling_ae,
            sop_class_uid=request.sop_class_uid or sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            move_originator=request.move_originator,
        )
        try:
            receipt.incoming = self._sink.begin(store)
        except NodeError as error:
            receipt.refusal = error
        return receipt

    def _dataset_fragment(
        self, context_id: int, data: memoryview, *, last: bool
    ) -> None:
        receipt = self._receipt
        if receipt is None or receipt.context_id != context_id:
            text = "a dataset without its command set"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)
        receipt.write(data)
        if not last:
            return
        self._receipt = None
        if receipt.request.field != command.C_STORE_RQ:
            code, comment = status.UNRECOGNISED_OPERATION, ""
        else:
            code, comment = self._settle(receipt)
        self._respond(receipt.request, receipt.context_id, code, comment)

    def _settle(self, receipt: _Receipt) -> tuple[int, str]:
        """Make the instance durable and return status and comment."""
        code, comment = status.SUCCESS, ""
        try:
            if not receipt.finish():
                code = status.SOP_CLASS_NOT_SUPPORTED
        except NodeError as error:
            code, comment = status.status_of(error), str(error)
            receipt.drop()
            self._tell_refusal(receipt.request, error, code)
        except Exception as error:  # noqa: BLE001 - house.md 2.6: the C-STORE handler
            # One dataset that trips us must not cost the sender its association.
            code, comment = status.PROCESSING_FAILURE, "the node failed"
            receipt.drop()
            self._tell_refusal(receipt.request, error, code)
        if code == status.SUCCESS:
            self.stored += 1
            self.size_bytes += receipt.size_bytes
        else:
            self.refused += 1
        return code, comment

    def _tell_refusal(
        self, request: command.Command, error: Exception, code: int
    ) -> None:
        refused = isinstance(error, InstanceRefusedError)
        log.warning(
            "instance_refused" if refused else "instance_not_stored",
            association_id=self._id,
            calling_ae=self._calling_ae,
            sop_uid=request.sop_instance_uid,
            error_code=error.code if isinstance(error, NodeError) else "internal",
            # A foreign exception's text might quote the dataset; its type cannot.
            reason=str(error) if isinstance(error, NodeError) else type(error).__name__,
            status=f"{code:#06x}",
        )

    def _respond(
        self, request: command.Command, context_id: int, code: int, comment: str = ""
    ) -> None:
        answer = command.response(request, code, comment=comment)
        self._send(pdu.command_pdu(context_id, answer))

    def _abort(self, reason: int) -> None:
        try:
            self._send(pdu.abort_pdu(reason))
        except OSError:
            return

    def _send(self, data: bytes) -> None:
        # The reader has left what was left of its own deadline.
        self._connection.settimeout(_SEND_TIMEOUT_S)
        self._connection.sendall(data)


def negotiate(
    request: pdu.AssociateRequest,
) -> tuple[dict[int, tuple[str, str]], tuple[pdu.ContextReply, ...]]:
    """Decide on each proposed presentation context.

    Returns
    -------
    dict, tuple of ContextReply
        SOP class and transfer syntax of the accepted contexts by id, and all answers.
    """
    accepted: dict[int, tuple[str, str]] = {}
    replies: list[pdu.ContextReply] = []
    for context in request.contexts:
        chosen = None
        result = pdu.ABSTRACT_SYNTAX_NOT_SUPPORTED
        if contexts.is_supported(context.abstract_syntax):
            chosen = contexts.choose_syntax(
                context.abstract_syntax, context.transfer_syntaxes
            )
            result = pdu.TRANSFER_SYNTAXES_NOT_SUPPORTED
        if chosen is not None:
            accepted[context.id] = (context.abstract_syntax, chosen)
            result = pdu.ACCEPTED
        # Not significant in a refusal (PS3.8 table 9-18), but it has to be there.
        syntax = chosen or next(
            iter(context.transfer_syntaxes), contexts.IMPLICIT_LITTLE
        )
        replies.append(
            pdu.ContextReply(id=context.id, result=result, transfer_syntax=syntax)
        )
    return accepted, tuple(replies)


def accept(
    connection: socket.socket,
    request: pdu.AssociateRequest,
    replies: tuple[pdu.ContextReply, ...],
) -> None:
    """Send the A-ASSOCIATE-AC."""
    connection.sendall(pdu.accept_pdu(request, replies, max_length=MAX_PDU_BYTES))
