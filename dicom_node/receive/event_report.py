"""A report of storage commitment on its way to the worker that asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from dicom_node import log
from dicom_node.asked_commitments import AskedCommitments, Report
from dicom_node.dimse.storage_commitment import EVENT_TYPES, TRANSACTION_UID
from dicom_node.errors import InstanceRefusedError, ReportRefusedError
from dicom_node.receive.dataset_uids import read_uid

_MAX_BYTES = 256 * 1024
"""A report names the instances of one delivery, some 150 bytes each; a result has less
than ten, and a peer may report of more than it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """Who reports, by what."""

    association_id: str
    calling_ae: str
    event_type: int
    transfer_syntax_uid: str


class IncomingReport:
    """Event Information that is arriving; an `association.IncomingDataset`."""

    def __init__(self, request: ReportRequest, asked: AskedCommitments) -> None:
        self._request = request
        self._asked = asked
        self._data = bytearray()

    def write(self, fragment: memoryview) -> None:
        """Take the next bytes.

        Raises
        ------
        ReportRefusedError
            If they become too many.
        """
        if len(self._data) + len(fragment) > _MAX_BYTES:
            message = f"a report of more than {_MAX_BYTES} bytes"
            raise ReportRefusedError(message)
        self._data += fragment

    def finish(self) -> None:
        """Lay the report beside what was asked.

        Raises
        ------
        ReportRefusedError
            If nobody has asked the peer for it, or it cannot be read.
        SpoolFailedError
            If the disk fails.
        """
        request, data = self._request, bytes(self._data)
        if request.event_type not in EVENT_TYPES:
            message = f"event type {request.event_type}"
            raise ReportRefusedError(message)
        try:
            uid = read_uid(data, request.transfer_syntax_uid, TRANSACTION_UID)
        except InstanceRefusedError as error:
            raise ReportRefusedError(str(error)) from error
        report = Report(
            event_type=request.event_type,
            transfer_syntax_uid=request.transfer_syntax_uid,
            dataset=data,
        )
        asked = self._asked.take(uid, report, ae_title=request.calling_ae)
        log.event(
            "commitment_reported",
            association_id=request.association_id,
            calling_ae=request.calling_ae,
            peer=asked.peer,
            job_id=asked.job_id,
            status=request.event_type,
        )

    def discard(self) -> None:
        """Forget what has come."""
        self._data.clear()
