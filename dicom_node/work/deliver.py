"""Outbox to peer: one outcome per instance or report, and one verdict."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from dicom_node.errors import NodeError
from dicom_node.jobs.step_outcome import DeliveryOutcome, Verdict
from dicom_node.records import InstanceOutcome
from dicom_node.settings.sections import Receiver, ReportPeer
from dicom_node.settings.web_peer import FhirPeer, WebPeer
from dicom_node.spool_layout import REPORT_OBJECT, deliverable


def deliver(
    folder: Path,
    name: str,
    peer: Receiver,
    *,
    calling_ae: str,
    stored: Collection[str],
) -> DeliveryOutcome:
    """Send the results of a job to a peer, but for those that it holds already.

    Parameters
    ----------
    folder
        The job's outbox.
    name
        The peer's name in the settings.
    stored
        SOP instance UIDs that an earlier attempt has stored. Sending them again would
        make no twin, but some archives treat a repeated instance badly.
    """
    results = owed_to(peer, folder)
    owed = [path for path in results if _sop_uid(path) not in stored]
    if not results:
        text = "the results are not in the outbox; retry the job to make them anew"
        return DeliveryOutcome(
            verdict=Verdict.FAILED, code="results-missing", text=text
        )
    if not owed:
        return DeliveryOutcome(
            verdict=Verdict.DONE, stored=tuple(stored), proof=peer.proof
        )
    try:
        outcomes = _sent(name, peer, owed, calling_ae=calling_ae)
    except NodeError as error:
        verdict = Verdict.AGAIN if error.retryable else Verdict.FAILED
        return DeliveryOutcome(
            verdict=verdict, code=error.code, text=str(error), stored=tuple(stored)
        )
    return replace(judge(outcomes, stored=stored), proof=peer.proof)


def owed_to(peer: Receiver, folder: Path) -> tuple[Path, ...]:
    """Return those results of a job that a peer gets, in order."""
    results = deliverable(folder)
    if isinstance(peer, ReportPeer):
        return tuple(path for path in results if path.name == REPORT_OBJECT)
    return results


def _sent(
    name: str, peer: Receiver, owed: Sequence[Path], *, calling_ae: str
) -> tuple[InstanceOutcome, ...]:
    if isinstance(peer, ReportPeer):
        return (_told(name, peer, owed[0], calling_ae=calling_ae),)
    if isinstance(peer, WebPeer):
        from dicom_node.peers.stow import store_instances

        return store_instances(name, peer, owed)
    from dicom_node.peers.send import send_instances

    return send_instances(name, peer, owed, calling_ae=calling_ae)


def _told(
    name: str, peer: ReportPeer, path: Path, *, calling_ae: str
) -> InstanceOutcome:
    """Send a report as a message, which is the same each time.

    It is made once there is a connection: reading the report takes half a second.
    """
    from dicom_node.encode.report_content import report_content

    uid = _sop_uid(path)
    if isinstance(peer, FhirPeer):
        from dicom_node.encode.fhir_bundle import fhir_bundle
        from dicom_node.peers.fhir import post_report

        system = peer.patient_system
        return post_report(
            name,
            peer,
            lambda: fhir_bundle(report_content(path), patient_system=system),
            path=path,
            uid=uid,
        )
    from dicom_node.encode.oru_message import Parties, control_id, oru_message
    from dicom_node.peers.mllp import send_message

    parties = Parties(
        sending_application=peer.sending_application or calling_ae,
        sending_facility=peer.sending_facility or "",
        receiving_application=peer.receiving_application or "",
        receiving_facility=peer.receiving_facility or "",
        processing=peer.processing,
    )
    return send_message(
        name,
        peer,
        lambda: oru_message(report_content(path), parties),
        control_id=control_id(uid),
        path=path,
        uid=uid,
    )


def judge(
    outcomes: Sequence[InstanceOutcome], *, stored: Collection[str]
) -> DeliveryOutcome:
    """Make one verdict of what the peer answered for each instance.

    A delivery is tried again if that may help for any instance; what the peer refused
    for good is refused again, at the cost of one request.
    """
    held = (*stored, *(one.sop_instance_uid for one in outcomes if one.stored))
    failed = [one for one in outcomes if not one.stored]
    if not failed:
        return DeliveryOutcome(verdict=Verdict.DONE, stored=held)
    text = "; ".join(f"{one.path.name}: {one.text}" for one in failed)
    if any(one.retryable for one in failed):
        return DeliveryOutcome(
            verdict=Verdict.AGAIN, code="not-stored", text=text, stored=held
        )
    return DeliveryOutcome(
        verdict=Verdict.FAILED, code="delivery-refused", text=text, stored=held
    )


def _sop_uid(path: Path) -> str:
    from pydicom.filereader import read_file_meta_info

    return str(read_file_meta_info(path).MediaStorageSOPInstanceUID)
