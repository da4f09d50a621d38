"""C-FIND: how many instances a peer has in a series, and how old it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
)

from dicom_node.dimse.contexts import PROPOSED_SYNTAXES
from dicom_node.dimse.deadline import Deadline
from dicom_node.peers.associate import Terms, association
from dicom_node.peers.tell_query import tell_query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dicom_node.audit.auditor import Auditor
    from dicom_node.settings.sections import Peer

_PENDING = frozenset({0xFF00, 0xFF01})
"""PS3.4 table C.4-1: a match follows."""

_VALID_UID = re.compile(r"[0-9.]{1,64}")
"""What may be asked for: `*`, `?` and `\\` would make the UID a search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedSeries:
    """What a peer says of a series.

    Parameters
    ----------
    instances
        Number of Series Related Instances (0020,1209).
    began_at
        Study Date (0008,0020) and Time (0008,0030), of a peer that tells neither at
        series level Series Date (0008,0021) and Time (0008,0031), in the zone of this
        machine; None if the peer tells no date.
    """

    instances: int
    began_at: datetime | None = None


def count_series(
    peer: Peer, calling_ae: str, study_uid: str, series_uid: str, auditor: Auditor
) -> CountedSeries | None:
    """Ask a peer for the number of instances in one series.

    Returns
    -------
    CountedSeries or None
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
    query.StudyDate = query.StudyTime = query.SeriesDate = query.SeriesTime = ""
    model = StudyRootQueryRetrieveInformationModelFind
    with (
        # A peer that answers without an end would hold whoever asks for ever.
        Deadline(2 * peer.timeout_s) as deadline,
        association(
            peer.ae_title,
            peer,
            calling_ae=calling_ae,
            proposals=((model, PROPOSED_SYNTAXES),),
            terms=Terms(deadline=deadline),
        ) as opened,
    ):
        if not opened.is_established:
            return None
        tell_query(auditor, peer, query)
        return _only_series(opened.send_c_find(query, model), series_uid)


def _only_series(
    answers: Iterable[tuple[Dataset, Dataset | None]], series_uid: str
) -> CountedSeries | None:
    """Return what was answered for the one series that was asked for."""
    matches = [
        match
        for status, match in answers
        if match is not None
        and status.get("Status") in _PENDING
        and match.get("SeriesInstanceUID") == series_uid
    ]
    if len(matches) != 1 or matches[0].get("NumberOfSeriesRelatedInstances") is None:
        return None
    (match,) = matches
    return CountedSeries(
        instances=int(match.NumberOfSeriesRelatedInstances),
        began_at=_moment(match, "Study") or _moment(match, "Series"),
    )


def _moment(match: Dataset, level: str) -> datetime | None:
    """Return a DA and a TM as one moment; the end of the day if the TM is of no use."""
    date = str(match.get(f"{level}Date") or "")
    time = str(match.get(f"{level}Time") or "")
    for text in (date + time[:6], date + "235959"):
        try:
            return datetime.strptime(text, "%Y%m%d%H%M%S").astimezone()
        except ValueError:
            continue
    return None
