"""Peers that are web services."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from dicom_node.node_report import WebAccess
from dicom_node.records import Proof
from dicom_node.settings.section import Section
from dicom_node.settings.tls_sections import RequestorTls
from dicom_node.settings.value_types import Seconds

_SCHEMES = ("http", "https")


def _service(url: str) -> str:
    parts = urlsplit(url)
    try:
        is_whole = parts.scheme in _SCHEMES and bool(parts.hostname)
        is_plain = not (parts.username or parts.query or parts.fragment)
        is_plain = is_plain and all("!" <= letter <= "~" for letter in url)
        _ = parts.port  # raises if it is none
    except ValueError:
        is_whole = is_plain = False
    if not (is_whole and is_plain):
        message = "expected http:// or https://, host, port and path, and nothing else"
        raise ValueError(message)
    return url.rstrip("/")


ServiceUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=1024),
    AfterValidator(_service),
    Field(json_schema_extra={"x-expected": "the address of a web service"}),
]


class WebService(Section):
    """A web service, and who we are there."""

    greeting: ClassVar[str]
    """What follows the address in a search for what nobody has."""
    media_type: ClassVar[str]

    url: ServiceUrl
    timeout_s: Seconds = 30.0
    token_file: Path | None = Field(
        default=None,
        description="Holds a bearer token (RFC 6750); it is read for each delivery, so "
        "another program may renew it.",
    )
    user: (
        Annotated[str, StringConstraints(pattern=r"^[^:\x00-\x1f]{1,128}$")] | None
    ) = Field(default=None, description="For HTTP Basic, with password_file.")
    password_file: Path | None = Field(
        default=None, description="Holds the password of user, in its first line."
    )
    tls: RequestorTls = Field(
        default=RequestorTls(), description="Files with which an https URL is asked."
    )

    @property
    def proof(self) -> Proof:
        """What has to show that it holds our results."""
        return Proof.STORED

    @property
    def has_credentials(self) -> bool:
        """Whether a request says who we are."""
        return self.token_file is not None or self.user is not None

    @property
    def access(self) -> WebAccess:
        """What the network needs of it."""
        return WebAccess(
            url=self.url,
            greeting=self.greeting,
            media_type=self.media_type,
            timeout_s=self.timeout_s,
            token_file=self.token_file,
            user=self.user,
            password_file=self.password_file,
            tls=self.tls.files,
        )


class WebPeer(WebService):
    """A DICOMweb service to which results are delivered by STOW-RS."""

    # Of a SOP class, which no study has.
    greeting = "/studies?limit=1&StudyInstanceUID=1.2.840.10008.1.1"
    media_type = "application/dicom+json"

    url: ServiceUrl = Field(
        description="Of the service, such as https://archive.example/dicom-web; "
        "`/studies` follows it."
    )


class FhirPeer(WebService):
    """A FHIR server to which the report goes as DiagnosticReport and Observations."""

    greeting = (
        "/DiagnosticReport?identifier=urn%3Adicom%3Auid%7Curn%3Aoid%3A1.2.840.10008.1.1"
        "&_summary=count"
    )
    media_type = "application/fhir+json"

    url: ServiceUrl = Field(
        description="Of the server (FHIR R4), such as https://his.example/fhir; a "
        "transaction is posted to it."
    )
    patient_system: (
        Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*:\S{1,256}$")]
        | None
    ) = Field(
        default=None,
        description="URI of the system to which Patient ID belongs, by which the "
        "server knows its patients; left out, an ID is named without one.",
    )
