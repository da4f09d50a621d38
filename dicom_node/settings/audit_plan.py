"""What telling of events needs of the settings."""

from __future__ import annotations

from dicom_node.audit.auditor import Auditor
from dicom_node.audit.plan import AuditPlan, Transport
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout


def audit_plan(settings: Settings) -> AuditPlan | None:
    """Return the plan; None if nobody wants audit messages."""
    audit = settings.audit
    if audit is None:
        return None
    transport = Transport(audit.transport)
    return AuditPlan(
        host=audit.host,
        port=audit.port_used,
        transport=transport,
        folder=SpoolLayout(settings.spool.folder).audit,
        most=audit.max_waiting,
        source_id=audit.source_id or settings.node.ae_title,
        ae_title=settings.node.ae_title,
        site_id=audit.site_id or "",
        tls=audit.tls.files if transport is Transport.TLS else None,
    )


def auditor_for(settings: Settings) -> Auditor:
    """Return who tells of events, or does nothing if nobody wants to know."""
    return Auditor(audit_plan(settings))
