"""What a peer accepts, asked by an association on which nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicom_node.dimse.contexts import PROPOSED_SYNTAXES, VERIFICATION
from dicom_node.dimse.result_classes import RESULT_CLASSES
from dicom_node.dimse.storage_commitment import PUSH_MODEL
from dicom_node.peers.associate import association

if TYPE_CHECKING:
    from dicom_node.settings.sections import Peer

_SERVICES = {
    "C-ECHO": VERIFICATION,
    "C-FIND": StudyRootQueryRetrieveInformationModelFind,
    "C-GET": StudyRootQueryRetrieveInformationModelGet,
    "C-MOVE": StudyRootQueryRetrieveInformationModelMove,
    "commitment": PUSH_MODEL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One kind of object or service, and in what a peer accepts it.

    Parameters
    ----------
    name
        The role of a result, with its variant, or the name of a service.
    accepted
        Transfer syntaxes of those that we would use; empty if it takes none.
    """

    name: str
    sop_class_uid: str
    accepted: tuple[str, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether we could send or ask it."""
        return bool(self.accepted)


def probe(name: str, peer: Peer, *, calling_ae: str) -> tuple[Offer, ...]:
    """Return what a peer accepts of all that a node may send to it or ask of it.

    Each SOP class is proposed with each transfer syntax in a context of its own
    (PS3.8 9.3.2), so that all that is accepted is told.

    Raises
    ------
    PeerUnreachableError
        If it does not answer.
    AssociationRejectedError
        If it rejects our associations.
    """
    wanted = tuple(_wanted())
    contexts = dict.fromkeys(
        (uid, (one,)) for _, uid, syntaxes in wanted for one in syntaxes
    )
    with association(
        name, peer, calling_ae=calling_ae, proposals=tuple(contexts)
    ) as opened:
        accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0]))
            for context in opened.accepted_contexts
        }
    return tuple(
        Offer(
            name=what,
            sop_class_uid=uid,
            accepted=tuple(one for one in syntaxes if (uid, one) in accepted),
        )
        for what, uid, syntaxes in wanted
    )


def _wanted() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for one in RESULT_CLASSES:
        yield one.name, one.sop_class_uid, one.syntaxes
    for what, uid in _SERVICES.items():
        yield what, str(uid), PROPOSED_SYNTAXES
