"""One association that a peer opened: its messages served, until it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from dicom_node import log
from dicom_node.dimse import contexts, pdu, status
from dicom_node.dimse.storage_commitment import PUSH_MODEL
from dicom_node.errors import InstanceRefusedError, NodeError
from dicom_node.receive import dimse_command
from dicom_node.receive.event_report import ReportRequest
from dicom_node.receive.events import AssociationEnding
from dicom_node.receive.negotiation import AcceptedContexts
from dicom_node.receive.pdu_stream import PduStream
from dicom_node.records import StoreRequest

_MAX_COMMAND_BYTES = 16 * 1024
"""A command set of C-STORE or C-ECHO has some 300 bytes."""

_PROGRESS_BYTES = 64 * 1024
"""So much of a dataset shows that a sender is at work; a modem of 1990 sends it within
the idle time of a minute."""

_MAX_EMPTY_FRAGMENTS = 64
"""In a row; a few toolkits end a dataset by one."""

_ABORT_TIMEOUT_S = 1.0
"""A peer that is aborted has often stopped reading."""


class IncomingDataset(Protocol):
    """A dataset on its way to where it is kept."""

    def write(self, fragment: memoryview) -> None:
        """Take the next bytes; the view is valid during the call only."""

    def finish(self) -> None:
        """Return when the instance is durable, raise NodeError if it cannot be."""

    def discard(self) -> None:
        """Forget what was written; also after a failure, and more than once."""


class Sink(Protocol):
    """Where datasets go; the network knows no disk."""

    def begin(self, request: StoreRequest) -> IncomingDataset:
        """Open a place for one dataset, raise NodeError if there is none."""

    def begin_report(self, request: ReportRequest) -> IncomingDataset:
        """Open a place for what is reported of a storage commitment."""


@dataclass(slots=True)
class _ArrivingDataset:
    """A C-STORE request whose dataset is arriving."""

    request: dimse_command.Command
    context_id: int
    incoming: IncomingDataset | None = None
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


class _IdleTime:
    """How long a peer has kept us waiting since it last got on.

    Only the waiting counts: the time of our disk is not the sender's.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._waited_s = 0.0
        self._unrewarded_bytes = 0

    def renew(self) -> None:
        """Begin anew, for the peer has got on."""
        self._waited_s = 0.0
        self._unrewarded_bytes = 0

    def received(self, count: int) -> None:
        """Begin anew once so many bytes have come as show progress."""
        self._unrewarded_bytes += count
        if self._unrewarded_bytes >= _PROGRESS_BYTES:
            self.renew()

    def read(self, stream: PduStream) -> tuple[int, memoryview]:
        """Read the next PDU, as `PduStream.read`, within the time that is left."""
        started_s = time.monotonic()
        read = stream.read(self._limit_s - self._waited_s)
        self._waited_s += time.monotonic() - started_s
        return read


class Association:
    """Serves the messages of one accepted association, until it ends.

    Parameters
    ----------
    accepted
        The accepted contexts by their id.
    idle_timeout_s
        A peer may keep us waiting for so long until a message ends or `_PROGRESS_BYTES`
        of a dataset have come. Bytes alone are not enough: a peer that sends one now
        and then would hold its place for ever.
    """

    def __init__(
        self,
        stream: PduStream,
        *,
        id: str,  # noqa: A002 - the field's word
        calling_ae: str,
        accepted: AcceptedContexts,
        sink: Sink,
        idle_timeout_s: float,
    ) -> None:
        self._stream = stream
        self._id = id
        self._calling_ae = calling_ae
        self._accepted = accepted
        self._sink = sink
        self._command = bytearray()
        self._arriving: _ArrivingDataset | None = None
        self._idle = _IdleTime(idle_timeout_s)
        self._empty_fragments = 0
        self.stored = 0
        self.refused = 0
        self.size_bytes = 0

    def serve(self) -> AssociationEnding:
        """Answer requests until the peer releases, aborts, vanishes or falls silent."""
        try:
            return self._serve()
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
            if self._arriving is not None:
                self._arriving.drop()

    def _serve(self) -> AssociationEnding:
        while True:
            kind, body = self._idle.read(self._stream)
            if kind == pdu.P_DATA_TF:
                self._message_data(body)
            elif kind == pdu.A_RELEASE_RQ:
                self._check_no_message_is_open()
                self._stream.send(pdu.release_reply_pdu())
                return AssociationEnding.RELEASED
            elif kind == pdu.A_ABORT:
                return AssociationEnding.ABORTED
            else:
                text = f"PDU type {kind:#04x} inside an association"
                raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)

    def _check_no_message_is_open(self) -> None:
        """Refuse a release in mid-message: an instance is missing, so it is none."""
        if self._arriving is not None or self._command:
            text = "a release before the end of a message"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)

    def _message_data(self, body: memoryview) -> None:
        if not body:
            text = "a P-DATA-TF PDU without a presentation data value"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_INVALID_PARAMETER)
        for context_id, control, data in pdu.fragments(body):
            self._empty_fragments = 0 if data else self._empty_fragments + 1
            if self._empty_fragments > _MAX_EMPTY_FRAGMENTS:
                text = f"more than {_MAX_EMPTY_FRAGMENTS} empty fragments in a row"
                raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_INVALID_PARAMETER)
            self._fragment(context_id, control, data)

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
        if self._arriving is not None:
            text = "a command set before the end of the dataset"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)
        self._command += data
        if len(self._command) > _MAX_COMMAND_BYTES:
            text = f"a command set of more than {_MAX_COMMAND_BYTES} bytes"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_INVALID_PARAMETER)
        if not last:
            return
        request = dimse_command.parse_command(bytes(self._command))
        self._command.clear()
        self._request(request, context_id)

    def _request(self, request: dimse_command.Command, context_id: int) -> None:
        if request.field == dimse_command.C_CANCEL_RQ:
            return
        if request.has_dataset:
            self._arriving = self._begin(request, context_id)
            return
        if request.field == dimse_command.C_ECHO_RQ:
            self._respond(request, context_id, status.SUCCESS)
        elif request.field == dimse_command.C_STORE_RQ:
            self.refused += 1
            self._respond(
                request, context_id, status.CANNOT_UNDERSTAND, "no dataset follows"
            )
        elif self._is_report(request, context_id):
            code = status.INVALID_ARGUMENT
            self._respond(request, context_id, code, "no dataset follows")
        else:
            self._respond(request, context_id, status.UNRECOGNISED_OPERATION)

    def _begin(
        self, request: dimse_command.Command, context_id: int
    ) -> _ArrivingDataset:
        arriving = _ArrivingDataset(request, context_id)
        context = self._accepted[context_id]
        if self._is_report(request, context_id):
            report = ReportRequest(
                association_id=self._id,
                calling_ae=self._calling_ae,
                event_type=request.event_type,
                transfer_syntax_uid=context.transfer_syntax_uid,
            )
            arriving.incoming = self._sink.begin_report(report)
            return arriving
        if request.field != dimse_command.C_STORE_RQ or context.sop_class_uid in {
            contexts.VERIFICATION,
            PUSH_MODEL,
        }:
            return arriving
        store = StoreRequest(
            association_id=self._id,
            calling_ae=self._calling_ae,
            sop_class_uid=request.sop_class_uid or context.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=context.transfer_syntax_uid,
            move_originator=request.move_originator,
        )
        try:
            arriving.incoming = self._sink.begin(store)
        except NodeError as error:
            arriving.refusal = error
        return arriving

    def _dataset_fragment(
        self, context_id: int, data: memoryview, *, last: bool
    ) -> None:
        arriving = self._arriving
        if arriving is None or arriving.context_id != context_id:
            text = "a dataset without its command set"
            raise pdu.ProtocolError(text, abort_reason=pdu.ABORT_UNEXPECTED_PDU)
        arriving.write(data)
        self._idle.received(len(data))
        if not last:
            return
        self._arriving = None
        if self._is_report(arriving.request, context_id):
            code, comment = self._take_report(arriving)
        elif arriving.request.field != dimse_command.C_STORE_RQ:
            code, comment = status.UNRECOGNISED_OPERATION, ""
        else:
            code, comment = self._store(arriving)
        self._respond(arriving.request, arriving.context_id, code, comment)

    def _store(self, arriving: _ArrivingDataset) -> tuple[int, str]:
        """Make the instance durable and return status and comment."""
        code, comment = status.SUCCESS, ""
        try:
            if not arriving.finish():
                code = status.SOP_CLASS_NOT_SUPPORTED
        except NodeError as error:
            code, comment = status.status_of(error), str(error)
            arriving.drop()
            self._log_refusal(arriving.request, error, code)
        except Exception as error:  # noqa: BLE001 - house.md 2.6: the C-STORE handler
            # One dataset that trips us must not cost the sender its association.
            code, comment = status.PROCESSING_FAILURE, "the node failed"
            arriving.drop()
            self._log_refusal(arriving.request, error, code)
        if code == status.SUCCESS:
            self.stored += 1
            self.size_bytes += arriving.size_bytes
        else:
            self.refused += 1
        return code, comment

    def _is_report(self, request: dimse_command.Command, context_id: int) -> bool:
        return (
            request.field == dimse_command.N_EVENT_REPORT_RQ
            and self._accepted[context_id].sop_class_uid == PUSH_MODEL
        )

    def _take_report(self, arriving: _ArrivingDataset) -> tuple[int, str]:
        """Keep a report of storage commitment and return status and comment."""
        try:
            arriving.finish()
        except NodeError as error:
            code = status.report_status_of(error)
            log.warning(
                "report_refused",
                association_id=self._id,
                calling_ae=self._calling_ae,
                error_code=error.code,
                reason=str(error),
                status=f"{code:#06x}",
            )
            return code, str(error)
        return status.SUCCESS, ""

    def _log_refusal(
        self, request: dimse_command.Command, error: Exception, code: int
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
        self,
        request: dimse_command.Command,
        context_id: int,
        code: int,
        comment: str = "",
    ) -> None:
        answer = dimse_command.response(request, code, comment=comment)
        self._stream.send(pdu.command_pdu(context_id, answer))
        self._idle.renew()

    def _abort(self, reason: int) -> None:
        try:
            self._stream.send(pdu.abort_pdu(reason), timeout_s=_ABORT_TIMEOUT_S)
        except OSError:
            return
