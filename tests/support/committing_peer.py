"""An archive that is asked for storage commitment, and answers as a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pynetdicom import AE, build_role, evt
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.dimse.storage_commitment import (
    EVENT_TYPES,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
)
from tests.support.peers import (
    HOST,
    RESULT_CLASSES,
    VERIFICATION,
    WITHIN_S,
    free_port,
    wait_until,
)

COMPLETE, SOME_FAILED = sorted(EVENT_TYPES)
NO_SUCH_OBJECT = 0x0112
Reference = tuple[str, str]
"""SOP class and instance."""


@dataclass(frozen=True)
class Request:
    """One N-ACTION that came."""

    transaction_uid: str
    instances: tuple[Reference, ...]


@dataclass
class CommittingPeer:
    """A Storage and Storage Commitment SCP.

    Parameters
    ----------
    offers
        Whether it accepts the SOP class of commitment.
    status
        Its answer to an N-ACTION.
    same_association
        Report at once by the association that asks.
    reports_early
        Report before it has answered the request, which nobody expects.
    aborts
        Abort the association in place of an answer to an N-ACTION.
    loses
        How many of the instances it reports as lost, then.
    names_others
        Report of instances of which it was not asked, then.
    names_transaction
        Report of this transaction, whatever it was asked by.
    """

    ae_title: str = "PACS"
    port: int = 0
    offers: bool = True
    status: int = 0x0000
    same_association: bool = False
    reports_early: bool = False
    aborts: bool = False
    loses: int = 0
    names_others: bool = False
    names_transaction: str = ""
    requests: list[Request] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)
    _server: ThreadedAssociationServer | None = None
    _reporters: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        ae = AE(ae_title=self.ae_title)
        ae.add_supported_context(VERIFICATION)
        for sop_class in RESULT_CLASSES:
            ae.add_supported_context(sop_class)
        if self.offers:
            ae.add_supported_context(PUSH_MODEL)
        self.port = self.port or free_port()
        self._server = ae.start_server(
            (HOST, self.port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_N_ACTION, self._asked),
            ],
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for thread in self._reporters:
            thread.join(WITHIN_S)
        if self._server is not None:
            self._server.shutdown()

    def wait_asked(self, times: int = 1) -> Request:
        """Return the latest request once there were so many."""
        wait_until(lambda: len(self.requests) >= times, what="it is asked")
        return self.requests[-1]

    def report(self, request: Request, port: int, *, called: str = "LUMBAR_AI") -> int:
        """Report of a request by an association of its own, and return the status."""
        event_type, information = self._report_of(request)
        answer = report(
            port, event_type, information, calling=self.ae_title, called=called
        )
        assert answer is not None
        return answer

    def _report_of(self, request: Request) -> tuple[int, Dataset]:
        instances = request.instances
        if self.names_others:
            instances = (("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4.5"),)
        lost, kept = instances[: self.loses], instances[self.loses :]
        uid = self.names_transaction or request.transaction_uid
        information = event_information(uid, committed=kept, failed=lost)
        return SOME_FAILED if lost else COMPLETE, information

    def _store(self, event: evt.Event) -> int:
        self.stored.append(str(event.dataset.SOPInstanceUID))
        return 0x0000

    def _asked(self, event: evt.Event) -> tuple[int, None]:
        action = event.action_information
        request = Request(
            transaction_uid=str(action.TransactionUID),
            instances=tuple(
                (str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID))
                for one in action.ReferencedSOPSequence
            ),
        )
        self.requests.append(request)
        if self.aborts:
            event.assoc.abort()
        if self.reports_early:
            event_type, information = self._report_of(request)
            event.assoc.send_n_event_report(
                information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE
            )
        if self.same_association:
            # Its answer to the N-ACTION has to go first.
            thread = threading.Thread(target=self._report_by, args=(event, request))
            self._reporters.append(thread)
            thread.start()
        return self.status, None

    def _report_by(self, event: evt.Event, request: Request) -> None:
        answered = threading.Event()
        event.assoc.bind(evt.EVT_DIMSE_SENT, lambda _event: answered.set())
        answered.wait(WITHIN_S)
        event_type, information = self._report_of(request)
        answer, _ = event.assoc.send_n_event_report(
            information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE
        )
        self.answers.append(answer.get("Status"))


def event_information(
    transaction_uid: str,
    *,
    committed: Sequence[Reference] = (),
    failed: Sequence[Reference] = (),
) -> Dataset:
    """Return what an N-EVENT-REPORT says (PS3.4 table J.3-2)."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    if committed:
        information.ReferencedSOPSequence = DicomSequence(map(_item, committed))
    if failed:
        information.FailedSOPSequence = DicomSequence(map(_item, failed))
        for item in information.FailedSOPSequence:
            item.FailureReason = NO_SUCH_OBJECT
    return information


def report(
    port: int,
    event_type: int,
    information: Dataset | None,
    *,
    calling: str = "PACS",
    called: str = "LUMBAR_AI",
    more: Iterable[str] = (),
) -> int | None:
    """Report by an association of its own; None if that gets no such context.

    Parameters
    ----------
    more
        SOP classes that are proposed, too.
    """
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = WITHIN_S
    for sop_class in (PUSH_MODEL, *more):
        ae.add_requested_context(sop_class)
    association = ae.associate(
        HOST,
        port,
        ae_title=called,
        ext_neg=[build_role(PUSH_MODEL, scp_role=True)],
    )
    if not association.is_established:
        return None
    try:
        taken = {str(one.abstract_syntax) for one in association.accepted_contexts}
        if PUSH_MODEL not in taken:
            return None
        (context,) = (
            one
            for one in association.accepted_contexts
            if one.abstract_syntax == PUSH_MODEL
        )
        assert (context.as_scp, context.as_scu) == (True, False)
        answer, _ = association.send_n_event_report(
            information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE
        )
        return int(answer.Status)
    finally:
        association.release()


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference
    return item
