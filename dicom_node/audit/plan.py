"""What every process that tells of an event needs to know of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dicom_node.tls import TlsFiles


class Transport(StrEnum):
    """By what syslog messages are carried."""

    TLS = "tls"
    """RFC 5425; PS3.15 A.6."""
    UDP = "udp"
    """RFC 5426; PS3.15 A.7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlan:
    """Where messages go, and who they say is telling.

    Parameters
    ----------
    folder
        Where messages wait.
    most
        That wait; beyond, messages are lost, and that is told.
    source_id, site_id
        AuditSourceID and AuditEnterpriseSiteID; the latter may be empty.
    ae_title
        Of the node.
    """

    host: str
    port: int
    transport: Transport
    folder: Path
    most: int
    source_id: str
    ae_title: str
    site_id: str = ""
    tls: TlsFiles | None = None
