"""Storage commitment as SCU: ask a peer to say that it keeps what it has stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, cast

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence as DicomSequence
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from dicom_node import log
from dicom_node.dimse.contexts import IMPLICIT_LITTLE, PROPOSED_SYNTAXES
from dicom_node.dimse.status import SUCCESS, is_temporary, report_status_of
from dicom_node.dimse.storage_commitment import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST_COMMITMENT,
)
from dicom_node.errors import (
    AnswerLostError,
    CommitmentDeferredError,
    CommitmentRefusedError,
    NodeError,
    ReportRefusedError,
)
from dicom_node.peers.associate import Terms, association

if TYPE_CHECKING:
    from dicom_node.settings.sections import Peer

_SAME_ASSOCIATION_S = 2.0
"""For so long a peer may report by the association on which it was asked; later ones
open an association of their own (PS3.4 J.3.3)."""
_LOOK_S = 0.02

SopReference = tuple[str, str]
"""SOP class and instance."""
TakeReport = Callable[[str, int, str, bytes], None]
"""Takes transaction UID, event type, transfer syntax and Event Information of a report
that comes by the same association; raises NodeError if nobody asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """What a peer reports of one transaction.

    Parameters
    ----------
    committed
        SOP instance UIDs that it keeps.
    failed
        Those that it does not, with Failure Reason (0008,1197).
    """

    committed: frozenset[str]
    failed: dict[str, int]


def request_commitment(
    name: str,
    peer: Peer,
    transaction: tuple[str, Sequence[SopReference]],
    *,
    calling_ae: str,
    take: TakeReport,
) -> None:
    """Ask a peer by N-ACTION to commit to instances, and wait a moment for its report.

    Parameters
    ----------
    name
        The peer's name in the settings.
    transaction
        A UID that was never used before, and the instances.

    Raises
    ------
    PeerUnreachableError, AssociationRejectedError
        If no association could be opened.
    AnswerLostError
        If it was lost before an answer: the peer may report all the same.
    CommitmentDeferredError
        If the peer cannot now.
    CommitmentRefusedError
        If it does not offer storage commitment, or refuses.

    References
    ----------
    PS3.4 J.3.2.
    """
    uid, instances = transaction
    reports: list[int] = []

    def reported(event: evt.Event) -> tuple[int, None]:
        status = _taken(name, event, take)
        reports.append(status)
        return status, None

    with association(
        name,
        peer,
        calling_ae=calling_ae,
        proposals=((PUSH_MODEL, PROPOSED_SYNTAXES),),
        terms=Terms(event_reported=reported),
    ) as opened:
        if not opened.is_established:
            raise CommitmentRefusedError(name, why="it does not offer it")
        try:
            answer, _ = opened.send_n_action(
                _action(uid, instances),
                REQUEST_COMMITMENT,
                PUSH_MODEL,
                PUSH_MODEL_INSTANCE,
            )
        except RuntimeError:  # the peer aborted between our look and our request
            answer = Dataset()
        _check(answer.get("Status"), name, peer)
        end_s = time.monotonic() + min(_SAME_ASSOCIATION_S, peer.timeout_s)
        while not (reports or opened.is_released or opened.is_aborted):
            if time.monotonic() > end_s:
                break
            time.sleep(_LOOK_S)


def read_commitment(dataset: bytes, transfer_syntax_uid: str) -> Commitment:
    """Read the Event Information of a report.

    Raises
    ------
    ValueError
        If it cannot be read.

    References
    ----------
    PS3.4 table J.3-2.
    """
    with _reading():
        event = _decoded(dataset, transfer_syntax_uid)
        return Commitment(
            committed=frozenset(
                str(item.ReferencedSOPInstanceUID)
                for item in event.get("ReferencedSOPSequence") or ()
            ),
            failed={
                str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or 0)
                for item in event.get("FailedSOPSequence") or ()
            },
        )


@contextmanager
def _reading() -> Iterator[None]:
    """Turn whatever pydicom raises into `ValueError`, whose text quotes nothing."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - of what a peer may send
        message = f"the report cannot be read: {type(error).__name__}"
        raise ValueError(message) from None


def _action(uid: str, instances: Sequence[SopReference]) -> Dataset:
    action = Dataset()
    action.TransactionUID = uid
    items = []
    for sop_class_uid, sop_instance_uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = sop_instance_uid
        items.append(item)
    action.ReferencedSOPSequence = DicomSequence(items)
    return action


def _check(status: int | None, name: str, peer: Peer) -> None:
    """Raise if an N-ACTION was not answered with success.

    Its Error Comment (0000,0902) is left alone: some archives name the patient in it.
    """
    if status is None:
        why = "the association was lost before the answer to an N-ACTION"
        raise AnswerLostError(name, host=peer.host, port=peer.port, why=why)
    if status == SUCCESS:
        return
    refusal = (
        CommitmentDeferredError if is_temporary(status) else CommitmentRefusedError
    )
    raise refusal(name, why=f"status {status:#06x}")


def _taken(name: str, event: evt.Event, take: TakeReport) -> int:
    """Take a report that comes by our own association, and return a status."""
    information = cast(N_EVENT_REPORT, event.request).EventInformation
    data = b"" if information is None else information.getvalue()
    syntax = str(event.context.transfer_syntax)
    try:
        take(_transaction_of(data, syntax), int(event.event_type or 0), syntax, data)
    except NodeError as error:
        code = report_status_of(error)
        log.warning(
            "report_refused",
            peer=name,
            error_code=error.code,
            reason=str(error),
            status=f"{code:#06x}",
        )
        return code
    return SUCCESS


def _transaction_of(dataset: bytes, transfer_syntax_uid: str) -> str:
    try:
        with _reading():
            event = _decoded(dataset, transfer_syntax_uid)
            return str(event.get("TransactionUID", ""))
    except ValueError as error:
        raise ReportRefusedError(str(error)) from None


def _decoded(dataset: bytes, transfer_syntax_uid: str) -> Dataset:
    return read_dataset(
        BytesIO(dataset),
        is_implicit_VR=transfer_syntax_uid == IMPLICIT_LITTLE,
        is_little_endian=True,
    )
