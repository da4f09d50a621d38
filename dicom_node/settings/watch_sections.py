"""The sections of `node.yaml` by which others watch the node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from dicom_node.settings.page_sections import Page
from dicom_node.settings.section import Section
from dicom_node.settings.value_types import Gibibytes, HostName, Name, Port

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
"""In the order of `datetime.weekday`."""


class Ops(Section):
    """Where health and metrics are told over HTTP."""

    bind: Annotated[str, StringConstraints(min_length=1)] = Field(
        default="127.0.0.1",
        description="Health and metrics have no password: on another address than "
        "loopback, whoever reaches the port reads AE titles and figures, and no "
        "patient data.",
    )
    port: Port = 11180
    hosts: list[HostName] = Field(
        default_factory=list,
        description="Names by which others call this machine; a request for another "
        "host is refused. Loopback and bind need not be listed.",
    )
    oldest_job_h: Annotated[float, Field(gt=0, le=8_760_000)] = Field(
        default=4.0,
        description="The node is not ready while a job is older and not settled, even "
        "if it is a peer that does not take its results.",
    )
    page: Page | None = Field(default=None, description="Left out, there is none.")


class SilentSender(Section):
    """For how long in working time a sender may send nothing."""

    after_h: Annotated[float, Field(gt=0, le=240)] = Field(
        default=4.0, description="Hours of working time without an instance."
    )
    peers: Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="Which senders; left out, all peers with may_send."
    )
    days: Annotated[list[Weekday], Field(min_length=1)] = Field(
        default=["mon", "tue", "wed", "thu", "fri"], description="Working days."
    )
    from_hour: Annotated[int, Field(ge=0, le=23)] = Field(
        default=8, description="Working time begins, in node.time_zone."
    )
    to_hour: Annotated[int, Field(ge=1, le=24)] = Field(
        default=18, description="Working time ends."
    )


class Notify(Section):
    """Of what a person is told by e-mail or webhook, without patient data."""

    urls_file: Path | None = Field(
        default=None,
        description="Addresses as apprise knows them, such as mailtos:// and json://, "
        "one a line; left out, those in LUMBAR_NODE_NOTIFY_URLS of the environment. "
        "They hold passwords, so none stands here.",
    )
    every_s: Annotated[float, Field(ge=1, le=86400)] = Field(
        default=900.0,
        description="No address gets a message sooner after the last; each lists what "
        "is new and what is over.",
    )
    failed_jobs: bool = Field(default=True, description="Tell of jobs that failed.")
    disk_below_gb: Gibibytes | None = Field(
        default=None,
        description="Tell when less of the spool's disk is free; left out, one and a "
        "half times spool.min_free_gb.",
    )
    unreachable_h: Annotated[float, Field(gt=0, le=240)] = Field(
        default=1.0,
        description="Tell when a peer takes no results for so many hours although some "
        "are sent to it.",
    )
    silent_sender: SilentSender | None = Field(
        default=None, description="Left out, a sender may be silent."
    )
