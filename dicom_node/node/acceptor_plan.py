"""What an acceptor process needs of the settings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

from dicom_node.receive.acceptor_process import AcceptorPlan
from dicom_node.receive.access import Binding, Bindings, plain_name
from dicom_node.receive.admission import ReceiverOptions
from dicom_node.records import Proof
from dicom_node.settings.audit_plan import audit_plan
from dicom_node.settings.self_test import TEST_TITLE

if TYPE_CHECKING:
    from dicom_node.settings.sections import Settings

_GIB = 2**30


def acceptor_name(index: int) -> str:
    """Return how an acceptor is called in the log."""
    return f"acceptor-{index}"


def acceptor_plan(settings: Settings, index: int, start: int) -> AcceptorPlan:
    """Return the plan of an acceptor that was started so many times."""
    node = settings.node
    peers = settings.peers.values()
    calling = {peer.ae_title for peer in peers if peer.may_send}
    tls = None if node.tls is None else node.tls.files
    if tls is not None and any(peer.certificate_names for peer in peers):
        tls = replace(tls, asks_certificate=True)
    # By these `lumbar-node echo` and `lumbar-node test` ask.
    calling |= {node.ae_title, TEST_TITLE}
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
            tls=tls,
            bindings=bindings(settings),
            audit=audit_plan(settings),
            reporting_aes=frozenset(
                peer.ae_title for peer in peers if peer.proof is Proof.COMMITTED
            ),
        ),
        spool_folder=settings.spool.folder,
        min_free_bytes=round(settings.spool.min_free_gb * _GIB),
        own_ae=node.ae_title,
        log_level=settings.log.level,
        log_uids=settings.log.uids,
    )


def bindings(settings: Settings) -> Bindings:
    """Return where the AE titles of peers are bound to.

    Our own title, by which `echo` and `status` ask, is that of no machine but this one
    as soon as any title is bound: it would else be a way in for everyone. That of
    `lumbar-node test` always is.
    """
    ways: dict[str, list[Binding]] = defaultdict(list)
    for peer in settings.peers.values():
        if peer.calling_hosts is None and peer.certificate_names is None:
            continue
        hosts, names = peer.calling_hosts, peer.certificate_names
        ways[peer.ae_title].append(
            Binding(
                networks=None if hosts is None else tuple(map(ip_network, hosts)),
                names=None if names is None else frozenset(map(plain_name, names)),
            )
        )
    if ways:
        ways[settings.node.ae_title].append(Binding(is_here=True))
    ways[TEST_TITLE] = [Binding(is_here=True)]
    return {title: tuple(found) for title, found in ways.items()}
