"""Who may open an association, and what is answered to those who may not."""

from __future__ import annotations

from dataclasses import dataclass, field

from dicom_node import log
from dicom_node.audit.events import Peer
from dicom_node.audit.plan import AuditPlan
from dicom_node.receive.access import (
    AccessRefusal,
    Bindings,
    Caller,
    access_refusal,
    certificate_names,
)
from dicom_node.receive.clients import Client
from dicom_node.receive.negotiation import (
    CALLED_UNKNOWN,
    CALLING_UNKNOWN,
    NO_CONTEXT,
    REJECTIONS,
    Agreement,
    Rejection,
)
from dicom_node.receive.refusal_alerts import RefusalAlerts
from dicom_node.tls import TlsFiles

_NAMES_CHARACTERS = 300

Refusal = tuple[Rejection, str]
"""What is answered, and why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """Who may open an association, and for how long it may be silent.

    Parameters
    ----------
    called_ae
        Our AE title; None accepts any called title.
    calling_aes
        Titles that may send; None accepts any.
    bindings
        Where some of them must call from, and with which certificates.
    max_associations, title_limit
        Open at a time, in all acceptors together: of all titles, and of one.
    association_timeout_s
        From the connection to the association request, the handshake of TLS included.
    idle_timeout_s
        As in `Association`.
    tls
        None speaks plain TCP; else nothing but TLS is understood.
    reporting_aes
        Titles that are asked for storage commitment; they may report of it, also if
        they may send nothing else.
    audit
        Where it is told who was refused; None where nobody wants to know.
    """

    called_ae: str | None
    calling_aes: frozenset[str] | None
    max_associations: int
    title_limit: int
    association_timeout_s: float
    idle_timeout_s: float
    tls: TlsFiles | None = None
    reporting_aes: frozenset[str] = frozenset()
    audit: AuditPlan | None = None
    bindings: Bindings = field(default_factory=dict)


def refusal_of(
    client: Client, agreement: Agreement, options: ReceiverOptions
) -> Refusal | None:
    """Return why an association is rejected; None if nothing speaks against it."""
    return _rejection(agreement, options) or _unbelieved(client, agreement, options)


def tell_rejected(
    client: Client, agreement: Agreement, why: str, alerts: RefusalAlerts
) -> None:
    """Write down who was rejected, and why."""
    request = agreement.request
    log.warning(
        "association_rejected",
        calling_ae=request.calling_ae,
        called_ae=request.called_ae,
        address=client.address,
        reason=why,
    )
    caller = Peer(ae_title=request.calling_ae, address=client.address)
    alerts.tell(caller, called_ae=request.called_ae, why=why)


def _rejection(agreement: Agreement, options: ReceiverOptions) -> Refusal | None:
    request, rejection = agreement.request, None
    if options.called_ae is not None and request.called_ae != options.called_ae:
        rejection = CALLED_UNKNOWN
    elif (
        options.calling_aes is not None
        and request.calling_ae not in options.calling_aes | options.reporting_aes
    ):
        rejection = CALLING_UNKNOWN
    elif not agreement.contexts:
        rejection = NO_CONTEXT
    return None if rejection is None else (rejection, REJECTIONS[rejection])


def _unbelieved(
    client: Client, agreement: Agreement, options: ReceiverOptions
) -> Refusal | None:
    """Return the rejection of a caller that may not use its title."""
    title, connection = agreement.request.calling_ae, client.connection
    if title not in options.bindings:
        return None
    names = certificate_names(connection)
    caller = Caller(
        address=client.address,
        own_address=str(connection.getsockname()[0]),
        names=names,
    )
    refusal = access_refusal(title, caller, options.bindings)
    if refusal is None:
        return None
    if refusal is AccessRefusal.CERTIFICATE:
        shown = ", ".join(sorted(names))[:_NAMES_CHARACTERS] or "none"
        log.warning("certificate_refused", calling_ae=title, reason=f"names: {shown}")
    return CALLING_UNKNOWN, refusal.value
