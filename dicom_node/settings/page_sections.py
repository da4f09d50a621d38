"""The section `ops.page` of `node.yaml`: the page for operators."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dicom_node.settings.section import Section
from dicom_node.settings.value_types import HeaderName, IpAddress


class PageProxy(Section):
    """A reverse proxy that has asked who somebody is."""

    address: IpAddress = Field(
        description="From which it connects. Whoever else connects from there, as any "
        "user of this machine where it is loopback, may call himself as he likes."
    )
    user_header: HeaderName = Field(
        default="X-Remote-User",
        description="The header in which it names the user; it has to remove what a "
        "client sends under that name.",
    )


class Page(Section):
    """A page for operators, at `/` of `ops`."""

    password_file: Path | None = Field(
        default=None,
        description="Users and their passwords, a line each, as `lumbar-node password` "
        "prints it; relative to this file. It is read again when it changes.",
    )
    proxy: PageProxy | None = None
    actions: bool = Field(
        default=False,
        description="Users may retry, resend, re-run and cancel jobs; else the page "
        "only shows.",
    )
    patient_data: bool = Field(
        default=False,
        description="Users see name, ID and birth date of the patient of a series.",
    )
