"""What an acceptor process needs of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.receive.acceptor_process import AcceptorPlan
from dicom_node.receive.receiver import ReceiverOptions

if TYPE_CHECKING:
    from dicom_node.settings.sections import Settings

_GIB = 2**30


def acceptor_name(index: int) -> str:
    """Return how an acceptor is called in the log."""
    return f"acceptor-{index}"


def acceptor_plan(settings: Settings, index: int, start: int) -> AcceptorPlan:
    """Return the plan of an acceptor that was started so many times."""
    node = settings.node
    calling = {peer.ae_title for peer in settings.peers.values() if peer.may_send}
    calling.add(node.ae_title)  # `lumbar-node echo` asks whether this node answers
    return AcceptorPlan(
        name=f"{acceptor_name(index)}-{start}",
        index=index,
        options=ReceiverOptions(
            called_ae=node.ae_title if node.check_called_ae else None,
            calling_aes=None if node.accept_unknown_peers else frozenset(calling),
            max_associations=node.max_associations,
            title_limit=node.title_limit,
            association_timeout_s=node.association_timeout_s,
            idle_timeout_s=node.idle_timeout_s,
            tls=None if node.tls is None else node.tls.files,
        ),
        spool_folder=settings.spool.folder,
        min_free_bytes=round(settings.spool.min_free_gb * _GIB),
        own_ae=node.ae_title,
        log_level=settings.log.level,
        log_uids=settings.log.uids,
    )
