"""C-GET and C-MOVE: one series of a peer comes here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicom_node.dimse.contexts import PROPOSED_SYNTAXES
from dicom_node.dimse.status import OUT_OF_RESOURCES, SUCCESS
from dicom_node.errors import PeerUnreachableError, QueryFailedError
from dicom_node.peers.associate import Proposal, Terms, association

if TYPE_CHECKING:
    from dicom_node.dimse.deadline import Deadline
    from dicom_node.settings.sections import Peer

_PENDING = frozenset({0xFF00})
_SOME_FAILED = 0xB000
"""PS3.4 tables C.4-2, C.4-3: sub-operations complete, one or more failures. What came
is used: a class that we did not ask for fails so."""

IMAGE_SYNTAXES = (
    *PROPOSED_SYNTAXES,
    "1.2.840.10008.1.2.4.70",  # JPEG lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE
)
"""In which an archive may hold images; each is a context of its own, for an archive
sends an instance only in what it holds it in."""


def get_series(
    peer: Peer,
    calling_ae: str,
    series: tuple[str, str],
    folder: Path,
    *,
    classes: Sequence[str],
    deadline: Deadline,
) -> list[Path]:
    """Fetch one series by C-GET into a folder.

    Parameters
    ----------
    series
        Study and Series Instance UID.
    classes
        SOP classes that are wanted; others stay where they are.

    Returns
    -------
    list of Path
        Part 10 files, in the order in which they came.

    Raises
    ------
    PeerUnreachableError, AssociationRejectedError
        If no association could be opened, or it was lost or cut off.
    QueryFailedError
        If the peer does not answer C-GET, or with a failure.

    References
    ----------
    PS3.4 C.4.3; PS3.7 D.3.3.4 (role selection).
    """
    model = StudyRootQueryRetrieveInformationModelGet
    files: list[Path] = []

    def stored(event: evt.Event) -> int:
        path = folder / f"{len(files):05d}.dcm"
        try:
            path.write_bytes(event.encoded_dataset())
        except OSError:
            return OUT_OF_RESOURCES
        files.append(path)
        return SUCCESS

    kept = [(kind, (syntax,)) for kind in classes for syntax in IMAGE_SYNTAXES]
    proposals: list[Proposal] = [(model, PROPOSED_SYNTAXES), *kept]
    with association(
        peer.ae_title,
        peer,
        calling_ae=calling_ae,
        proposals=proposals,
        terms=Terms(deadline=deadline, stored=stored),
    ) as opened:
        accepted = {context.abstract_syntax for context in opened.accepted_contexts}
        if not opened.is_established or model not in accepted:
            raise QueryFailedError(peer.ae_title, what="C-GET", why="not supported")
        _finish(opened.send_c_get(_query(series), model), peer, "C-GET")
    return files


def move_series(
    peer: Peer, calling_ae: str, series: tuple[str, str], *, deadline: Deadline
) -> None:
    """Have the peer send one series to our own AE title; return when it has.

    Raises
    ------
    PeerUnreachableError, AssociationRejectedError, QueryFailedError
        As `get_series`.

    References
    ----------
    PS3.4 C.4.2.
    """
    model = StudyRootQueryRetrieveInformationModelMove
    with association(
        peer.ae_title,
        peer,
        calling_ae=calling_ae,
        proposals=((model, PROPOSED_SYNTAXES),),
        terms=Terms(deadline=deadline),
    ) as opened:
        if not opened.is_established:
            raise QueryFailedError(peer.ae_title, what="C-MOVE", why="not supported")
        answers = opened.send_c_move(_query(series), calling_ae, model)
        _finish(answers, peer, "C-MOVE")


def _query(series: tuple[str, str]) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID, query.SeriesInstanceUID = series
    return query


def _finish(
    answers: Iterable[tuple[Dataset, Dataset | None]], peer: Peer, what: str
) -> None:
    """Follow the answers to their end."""
    for status, _ in answers:
        code = status.get("Status")
        if code is None:
            why = f"the association was lost before the end of a {what}"
            raise PeerUnreachableError(
                peer.ae_title, host=peer.host, port=peer.port, why=why
            )
        if code not in _PENDING and code not in (SUCCESS, _SOME_FAILED):
            raise QueryFailedError(peer.ae_title, what=what, why=f"status {code:#06x}")
