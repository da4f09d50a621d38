"""C-FIND: what a peer knows of the studies of a patient, and of what is in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
)

from dicom_node.dimse.contexts import PROPOSED_SYNTAXES
from dicom_node.dimse.status import SUCCESS
from dicom_node.errors import PeerUnreachableError, QueryFailedError
from dicom_node.peers.associate import Terms, association
from dicom_node.peers.tell_query import tell_query

if TYPE_CHECKING:
    from dicom_node.audit.auditor import Auditor
    from dicom_node.dimse.deadline import Deadline
    from dicom_node.settings.sections import Peer

_PENDING = frozenset({0xFF00, 0xFF01})
"""PS3.4 table C.4-1: a match follows."""
_MAX_MATCHES = 500
"""No patient has as many studies, no study as many series that concern us, and no
series of ours as many instances."""

STUDY_KEYS = (
    "StudyDate", "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate",
    "PatientSex", "StudyInstanceUID",
)  # fmt: skip
SERIES_KEYS = (
    "Modality", "SeriesDescription", "SeriesNumber", "SeriesInstanceUID",
    "NumberOfSeriesRelatedInstances",
)  # fmt: skip
INSTANCE_KEYS = ("SOPClassUID", "SOPInstanceUID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How long an archive is asked, and who is told of it."""

    deadline: Deadline
    auditor: Auditor


def find_studies(
    peer: Peer, calling_ae: str, patient_id: str, *, until: str, asking: Asking
) -> list[Dataset]:
    """Return the studies of a patient ID up to a day.

    Parameters
    ----------
    patient_id
        Without wild cards: the caller has made sure.
    until
        Eight digits; the peer may answer with later studies all the same.

    Raises
    ------
    PeerUnreachableError, AssociationRejectedError
        If no association could be opened, or it was lost or cut off.
    QueryFailedError
        If the peer does not answer such queries, or with a failure.

    References
    ----------
    PS3.4 C.6.2 (Study Root), C.2.2.2.1 (single value), C.2.2.2.5 (range).
    """
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    for keyword in STUDY_KEYS:
        setattr(query, keyword, None)
    query.PatientID = patient_id
    query.StudyDate = f"-{until}"
    if not patient_id.isascii():
        query.SpecificCharacterSet = "ISO_IR 192"
    return _find(peer, calling_ae, query, asking)


def find_series(
    peer: Peer, calling_ae: str, study_uid: str, *, asking: Asking
) -> list[Dataset]:
    """Return the series of a study.

    Raises
    ------
    PeerUnreachableError, AssociationRejectedError, QueryFailedError
        As `find_studies`.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    for keyword in SERIES_KEYS:
        setattr(query, keyword, None)
    query.StudyInstanceUID = study_uid
    return _find(peer, calling_ae, query, asking)


def find_instances(
    peer: Peer, calling_ae: str, series: tuple[str, str], *, asking: Asking
) -> list[Dataset]:
    """Return the instances of a series, given by study and series UID.

    Raises
    ------
    PeerUnreachableError, AssociationRejectedError, QueryFailedError
        As `find_studies`.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID, query.SeriesInstanceUID = series
    for keyword in INSTANCE_KEYS:
        setattr(query, keyword, None)
    return _find(peer, calling_ae, query, asking)


def _find(peer: Peer, calling_ae: str, query: Dataset, asking: Asking) -> list[Dataset]:
    model = StudyRootQueryRetrieveInformationModelFind
    with association(
        peer.ae_title,
        peer,
        calling_ae=calling_ae,
        proposals=((model, PROPOSED_SYNTAXES),),
        terms=Terms(deadline=asking.deadline),
    ) as opened:
        if not opened.is_established:
            raise QueryFailedError(peer.ae_title, what="C-FIND", why="not supported")
        tell_query(asking.auditor, peer, query)
        return _matches(opened.send_c_find(query, model), peer)


def _matches(
    answers: Iterable[tuple[Dataset, Dataset | None]], peer: Peer
) -> list[Dataset]:
    found: list[Dataset] = []
    for status, match in answers:
        code = status.get("Status")
        if code is None:
            why = "the association was lost before the end of a C-FIND"
            raise PeerUnreachableError(
                peer.ae_title, host=peer.host, port=peer.port, why=why
            )
        if code == SUCCESS:
            return found
        if code not in _PENDING:
            why = f"status {code:#06x}"
            raise QueryFailedError(peer.ae_title, what="C-FIND", why=why)
        if match is not None:
            found.append(match)
        if len(found) > _MAX_MATCHES:
            why = f"more than {_MAX_MATCHES} answers"
            raise QueryFailedError(peer.ae_title, what="C-FIND", why=why)
    return found
