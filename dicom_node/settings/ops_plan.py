"""What `ops` needs of the settings, without the library that reads them."""

from __future__ import annotations

from urllib.parse import urlsplit

from dicom_node.node_report import OpsPlan, PagePlan, PeerKind, PeerPlan
from dicom_node.settings.audit_plan import audit_plan
from dicom_node.settings.notify_plan import notify_plan
from dicom_node.settings.page_sections import Page
from dicom_node.settings.sections import Peer, Receiver, Settings
from dicom_node.settings.watch_sections import Ops
from dicom_node.settings.web_peer import FhirPeer, WebPeer
from dicom_node.tls import TlsFiles

_GIB = 2**30
_HOUR_S = 3600.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


def own_certificates(settings: Settings) -> dict[str, TlsFiles]:
    """Return our certificates, by the setting that names them."""
    named = {
        f"{section}.{name}": peer.tls
        for section in ("peers", "web_peers", "fhir_peers", "hl7_peers")
        for name, peer in getattr(settings, section).items()
    }
    audit = None if settings.audit is None else settings.audit.tls
    sections = {"node": settings.node.tls, **named, "audit": audit}
    return {
        f"{name}.tls": tls.files
        for name, tls in sections.items()
        if tls is not None and tls.certificate_file is not None
    }


def ops_plan(settings: Settings) -> OpsPlan:
    """Return the plan; of settings without `ops`, for whoever watches without it."""
    ops, node = settings.ops or Ops(), settings.node
    bind = f"[{ops.bind}]" if ":" in ops.bind else ops.bind
    return OpsPlan(
        bind=ops.bind,
        port=ops.port,
        hosts=_LOOPBACK | {bind.lower()} | {host.lower() for host in ops.hosts},
        ae_title=node.ae_title,
        node_host=_ANY_ADDRESS.get(node.bind, node.bind),
        node_port=node.port,
        node_tls=None
        if node.tls is None
        else TlsFiles(
            certificate=node.tls.certificate_file,
            key=node.tls.key_file,
            authorities=node.tls.ca_file,
            checks_name=False,
        ),
        certificates=own_certificates(settings),
        spool_folder=settings.spool.folder,
        min_free_bytes=round(settings.spool.min_free_gb * _GIB),
        database_url=settings.database_url,
        oldest_job_s=ops.oldest_job_h * _HOUR_S,
        serves=settings.ops is not None,
        notify=notify_plan(settings),
        log_level=settings.log.level,
        log_uids=settings.log.uids,
        audit=audit_plan(settings),
        page=None if ops.page is None else _page_plan(ops.page, settings),
    )


def _page_plan(page: Page, settings: Settings) -> PagePlan:
    peers = tuple(
        peer_plan(name, peer) for name, peer in sorted(settings.receivers.items())
    )
    return PagePlan(
        peers=peers,
        password_file=page.password_file,
        proxy_address="" if page.proxy is None else str(page.proxy.address),
        proxy_header="" if page.proxy is None else page.proxy.user_header,
        actions=page.actions,
        patient_data=page.patient_data,
    )


def peer_plan(name: str, peer: Receiver) -> PeerPlan:
    """Return how a peer of any kind is asked whether it is there."""
    if isinstance(peer, WebPeer | FhirPeer):
        parts = urlsplit(peer.url)
        is_tls = parts.scheme == "https"
        return PeerPlan(
            name=name,
            kind=PeerKind.WEB if isinstance(peer, WebPeer) else PeerKind.FHIR,
            ae_title="",
            host=str(parts.hostname),
            port=parts.port or (443 if is_tls else 80),
            tls=peer.tls.files if is_tls else None,
            timeout_s=peer.timeout_s,
            web=peer.access,
        )
    return PeerPlan(
        name=name,
        kind=PeerKind.DICOM if isinstance(peer, Peer) else PeerKind.HL7,
        ae_title=peer.ae_title if isinstance(peer, Peer) else "",
        host=peer.host,
        port=peer.port,
        tls=None if peer.tls is None else peer.tls.files,
        timeout_s=peer.timeout_s,
    )
