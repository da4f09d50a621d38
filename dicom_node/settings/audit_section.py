"""The section of `node.yaml` that says where audit messages go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dicom_node.settings.section import Section
from dicom_node.settings.tls_sections import RequestorTls
from dicom_node.settings.value_types import HostName, Port

_TLS_PORT, _UDP_PORT = 6514, 514
"""RFC 5425 4.1, RFC 5426 3.3."""
_Identifier = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)
]


class Audit(Section):
    """Where audit messages (PS3.15 A.5) go."""

    host: HostName
    transport: Literal["tls", "udp"] = Field(
        default="tls",
        description="Of syslog: tls (RFC 5425), or udp (RFC 5426), by which nobody "
        "knows whether a message has arrived, and patient IDs can be read.",
    )
    port: Port | None = Field(
        default=None, description="Left out, 6514 for tls and 514 for udp."
    )
    tls: RequestorTls = Field(
        default=RequestorTls(), description="Files with which it is asked over TLS."
    )
    source_id: _Identifier | None = Field(
        default=None, description="AuditSourceID; left out, node.ae_title."
    )
    site_id: _Identifier | None = Field(
        default=None, description="AuditEnterpriseSiteID; left out, messages have none."
    )
    max_waiting: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        default=50_000,
        description="Messages that wait while it is down, of some 4 KiB of the disk "
        "each. Beyond, messages are lost, which is logged and told later.",
    )

    @property
    def port_used(self) -> int:
        """The port, or that of the transport."""
        if self.port is not None:
            return self.port
        return _TLS_PORT if self.transport == "tls" else _UDP_PORT
