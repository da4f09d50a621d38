"""Files of TLS, for the node's port and for associations to a peer."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dicom_node.settings.section import Section
from dicom_node.tls import TlsFiles


class AcceptorTls(Section):
    """Files with which the node's port speaks TLS, and nothing else (PEM)."""

    certificate_file: Path = Field(description="Our certificate, with its chain.")
    key_file: Path = Field(description="Its key, without a password.")
    ca_file: Path | None = Field(
        default=None,
        description="Certificates of the authorities that peers' certificates must "
        "come from; left out, those of the system.",
    )
    require_peer_certificate: bool = Field(
        default=True, description="Turn away peers that show no certificate."
    )

    @property
    def files(self) -> TlsFiles:
        """What the network needs of it."""
        return TlsFiles(
            certificate=self.certificate_file,
            key=self.key_file,
            authorities=self.ca_file,
            demands_certificate=self.require_peer_certificate,
        )


class RequestorTls(Section):
    """Files with which associations to a peer are opened over TLS (PEM)."""

    ca_file: Path | None = Field(
        default=None,
        description="Certificates of the authorities that the peer's certificate must "
        "come from; left out, those of the system.",
    )
    certificate_file: Path | None = Field(
        default=None, description="Our certificate, where the peer demands one."
    )
    key_file: Path | None = Field(
        default=None, description="Its key, without a password."
    )
    check_host_name: bool = Field(
        default=True, description="The peer's certificate must name its host."
    )

    @property
    def files(self) -> TlsFiles:
        """What the network needs of it."""
        return TlsFiles(
            certificate=self.certificate_file,
            key=self.key_file,
            authorities=self.ca_file,
            checks_name=self.check_host_name,
        )
