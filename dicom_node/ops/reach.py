"""Whether a peer of any kind is there; nothing is stored by the question."""

from __future__ import annotations

import time

from dicom_node.node_report import PeerKind, PeerPlan
from dicom_node.ops.verification import callee_of, connected, echo
from dicom_node.web_service import greet


def reach(peer: PeerPlan, calling_ae: str, within_s: float) -> float:
    """Ask a peer for an answer, and return how long it took, in seconds.

    A DICOM peer is sent a C-ECHO, a web service a search that finds nothing. HL7 v2 has
    no message that asks for nothing: its receiver is connected to.

    Raises
    ------
    OSError
        If there is no answer, or not the right one, such as to our credentials.
    """
    if peer.web is not None:
        took_s, _ = greet(peer.web, within_s)
        return took_s
    if peer.kind is PeerKind.DICOM:
        return echo(callee_of(peer, calling_ae), within_s)
    started_s = time.monotonic()
    connected(peer.host, peer.port, peer.tls, within_s).close()
    return time.monotonic() - started_s
