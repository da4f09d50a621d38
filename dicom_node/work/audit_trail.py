"""What a worker does, as audit messages."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dicom_node.audit import events
from dicom_node.audit.auditor import Auditor
from dicom_node.errors import NodeError
from dicom_node.settings.hl7_peer import Hl7Peer
from dicom_node.settings.web_peer import WebService
from dicom_node.work.deliver import owed_to

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicom_node.jobs.step_outcome import DeliveryOutcome
    from dicom_node.records import ReceivedSeries
    from dicom_node.settings.sections import Receiver

_UNSENT = frozenset({"peer-unreachable", "association-rejected", "peer-unknown"})
"""Nothing was transferred, nor begun to be."""
_TAGS = ["SOPClassUID", "SOPInstanceUID", "PatientID", "StudyInstanceUID"]


class AuditTrail:
    """Tells of series that came, were read, and of results that went out.

    A message names the patient by the ID in the headers, which are read for that alone;
    what cannot be read fails no step.
    """

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor

    def received(self, series: ReceivedSeries) -> None:
        """Tell that a series has come; once it is complete, and not by instance."""
        if self._auditor.is_wanted:
            content = _content_of(series)
            peer = events.Peer(ae_title=series.calling_ae)
            title = self._auditor.ae_title
            self._auditor.tell(events.instances_received(title, peer, content))

    def accessed(self, series: ReceivedSeries) -> None:
        """Tell that a series is read to be analysed."""
        if self._auditor.is_wanted:
            title = self._auditor.ae_title
            self._auditor.tell(events.instances_accessed(title, _content_of(series)))

    def sent(
        self,
        folder: Path,
        peer: Receiver,
        outcome: DeliveryOutcome,
        *,
        before: Collection[str],
    ) -> None:
        """Tell of an attempt to deliver: of what was stored, and of what was not.

        Parameters
        ----------
        folder
            The outbox of the job.
        before
            SOP instance UIDs that the peer held before.
        """
        if not self._auditor.is_wanted or outcome.code in _UNSENT:
            return
        title, to = self._auditor.ae_title, _audited(peer)
        owed = _results(owed_to(peer, folder), before)
        held = {uid: content for uid, content in owed.items() if uid in outcome.stored}
        refused = {uid: content for uid, content in owed.items() if uid not in held}
        for contents, failure in ((held, ""), (refused, outcome.code or "not stored")):
            for content in _merged(contents.values()):
                self._auditor.tell(events.begin_transferring(title, to, content))
                self._auditor.tell(
                    events.instances_sent(title, to, content, failure=failure)
                )


def _content_of(series: ReceivedSeries) -> events.Content:
    paths = [instance.path for instance in series.instances]
    return events.Content(
        patient_id=_patient_id(paths[0]) if paths else "",
        study_uid=series.study_uid,
        sop_classes=tuple(one.sop_class_uid for one in series.instances),
    )


def _audited(peer: Receiver) -> events.Peer:
    if isinstance(peer, WebService):
        host = urlsplit(peer.url).hostname or ""
        return events.Peer(ae_title=peer.url, address=host)
    if isinstance(peer, Hl7Peer):
        name = peer.receiving_application or f"{peer.host}:{peer.port}"
        return events.Peer(ae_title=name, address=peer.host)
    return events.Peer(ae_title=peer.ae_title, address=peer.host)


def _results(
    paths: Collection[Path], before: Collection[str]
) -> dict[str, events.Content]:
    """Return the results that a peer did not hold before, by SOP instance UID."""
    found = {}
    for path in paths:
        header = _header(path)
        uid = str(header.get("SOPInstanceUID", ""))
        if uid not in before:
            found[uid] = events.Content(
                patient_id=str(header.get("PatientID") or ""),
                study_uid=str(header.get("StudyInstanceUID", "")),
                sop_classes=(str(header.get("SOPClassUID", "")),),
            )
    return found


def _merged(contents: Collection[events.Content]) -> list[events.Content]:
    """Return one content for each study: a message is of one patient."""
    merged: dict[tuple[str, str], list[str]] = {}
    for one in contents:
        merged.setdefault((one.patient_id, one.study_uid), []).extend(one.sop_classes)
    return [
        events.Content(patient_id=patient, study_uid=study, sop_classes=tuple(classes))
        for (patient, study), classes in merged.items()
    ]


def _patient_id(path: Path) -> str:
    """Return the patient ID of an instance that somebody has sent; empty without."""
    from dicom_node.decode.read_file import NotDicomError, read_file

    try:
        dataset = read_file(path, tags=["PatientID"]).dataset
        return str(dataset.get("PatientID") or "")
    except (NotDicomError, NodeError):
        return ""


def _header(path: Path) -> Dataset:
    """Return what is told of a result of ours."""
    from pydicom import dcmread

    return dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
