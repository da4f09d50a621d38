"""A peer that takes HL7 v2 messages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dicom_node.records import Proof
from dicom_node.settings.section import Section
from dicom_node.settings.tls_sections import RequestorTls
from dicom_node.settings.value_types import HostName, Port, Seconds

Hl7Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f|^~\\&]{1,180}$")]
"""Of an application or facility (HD.1), without the delimiters of a message."""


class Hl7Peer(Section):
    """A receiver of HL7 v2 messages to which the report goes as ORU^R01 over MLLP."""

    host: HostName
    port: Port = 2575
    timeout_s: Seconds = Field(
        default=30.0, description="For the connection, and for each part of the answer."
    )
    sending_application: Hl7Name | None = Field(
        default=None, description="MSH-3; left out, node.ae_title."
    )
    sending_facility: Hl7Name | None = Field(default=None, description="MSH-4.")
    receiving_application: Hl7Name | None = Field(default=None, description="MSH-5.")
    receiving_facility: Hl7Name | None = Field(default=None, description="MSH-6.")
    processing: Literal["P", "T", "D"] = Field(
        default="P",
        description="MSH-11, for what the receiver shall take a message: P production, "
        "T training, D debugging.",
    )
    tls: RequestorTls | None = Field(
        default=None, description="Left out, messages to it are not encrypted."
    )

    @property
    def proof(self) -> Proof:
        """What has to show that it holds our results."""
        return Proof.STORED
