"""C-ECHO to a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.dimse.contexts import PROPOSED_SYNTAXES, VERIFICATION
from dicom_node.dimse.status import SUCCESS
from dicom_node.errors import PeerUnreachableError
from dicom_node.peers.associate import association

if TYPE_CHECKING:
    from dicom_node.settings.sections import Peer


def echo(peer: Peer, calling_ae: str) -> None:
    """Return if the peer answers a C-ECHO with success.

    Raises
    ------
    PeerUnreachableError
        If it does not answer, or with another status.
    AssociationRejectedError
        If it rejects our associations.
    """
    proposals = ((VERIFICATION, PROPOSED_SYNTAXES),)
    with association(
        peer.ae_title, peer, calling_ae=calling_ae, proposals=proposals
    ) as opened:
        if not opened.is_established:
            why = "it does not support Verification"
        else:
            answer = opened.send_c_echo()
            if "Status" in answer and answer.Status == SUCCESS:
                return
            why = "C-ECHO was not answered with success"
    raise PeerUnreachableError(peer.ae_title, host=peer.host, port=peer.port, why=why)
