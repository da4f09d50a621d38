"""C-FIND: how many instances a peer has in a series."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
)

from dicom_node.dimse.contexts import PROPOSED_SYNTAXES
from dicom_node.peers.associate import association

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dicom_node.settings.sections import Peer

_PENDING = frozenset({0xFF00, 0xFF01})
"""PS3.4 table C.4-1: a match follows."""

_VALID_UID = re.compile(r"[0-9.]{1,64}")
"""What may be asked for: `*`, `?` and `\\` would make the UID a search."""


def series_instances(
    peer: Peer, calling_ae: str, study_uid: str, series_uid: str
) -> int | None:
    """Return Number of Series Related Instances (0020,1209) in the eyes of a peer.

    Returns
    -------
    int or None
        None if the peer knows no such series or does not count.

    Raises
    ------
    PeerUnreachableError, AssociationRejectedError
        If no association could be opened.

    References
    ----------
    PS3.4 C.6.2 (Study Root), C.3.4 (additional query attributes).
    """
    if not (_VALID_UID.fullmatch(study_uid) and _VALID_UID.fullmatch(series_uid)):
        return None
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study_uid
    query.SeriesInstanceUID = series_uid
    query.NumberOfSeriesRelatedInstances = None
    model = StudyRootQueryRetrieveInformationModelFind
    with association(
        peer.ae_title,
        peer,
        calling_ae=calling_ae,
        proposals=((model, PROPOSED_SYNTAXES),),
    ) as opened:
        if not opened.is_established:
            return None
        return _only_count(opened.send_c_find(query, model), series_uid)


def _only_count(
    answers: Iterable[tuple[Dataset, Dataset | None]], series_uid: str
) -> int | None:
    """Return the count of the one series that was asked for."""
    counts = [
        match.get("NumberOfSeriesRelatedInstances")
        for status, match in answers
        if match is not None
        and status.get("Status") in _PENDING
        and match.get("SeriesInstanceUID") == series_uid
    ]
    if len(counts) != 1 or counts[0] is None:
        return None
    return int(counts[0])
