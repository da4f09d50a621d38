"""What the supervisor tells the process of `ops`: its plan once, and then numbers.

Plain data of bounded size, so that a report always fits into the pipe, and the
supervisor never waits for a process that does not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from dicom_node.audit.plan import AuditPlan
from dicom_node.tls import TlsFiles

Labels = tuple[str, ...]


class Counted(StrEnum):
    """What the supervisor counts, from its start on."""

    INSTANCES = "instances"
    """By calling AE title."""
    BYTES = "bytes"
    """By calling AE title."""
    REJECTED_ASSOCIATIONS = "rejected_associations"
    """By reason."""
    SERIES = "series"
    """By evidence that they are complete."""
    STEPS = "steps"
    """By kind and verdict."""
    DELIVERIES = "deliveries"
    """Attempts, by peer and verdict."""
    RELOADS = "reloads"
    """Of the settings, by outcome."""


class Timed(StrEnum):
    """What the supervisor measures the time of, in seconds."""

    STEP = "step"
    """By kind."""
    TURN = "turn"
    """Of the supervisor, without its waiting for events."""
    HOUSEKEEPING = "housekeeping"
    """Of a turn's time, where there was something to clean up."""


BOUNDS_S: Mapping[Timed, tuple[float, ...]] = {
    Timed.STEP: (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
    Timed.TURN: (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
    Timed.HOUSEKEEPING: (
        0.001,
        0.0025,
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.25,
        0.5,
        1.0,
        5.0,
    ),
}
"""Upper bounds of the buckets of each histogram."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often what took how long.

    Parameters
    ----------
    counts
        One a bucket, not cumulated, and one for what is beyond the last bound.
    sum_s
        Of all.
    """

    counts: tuple[int, ...]
    sum_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildReport:
    """How one process of the node stands.

    Parameters
    ----------
    pid
        None while there is none.
    deaths
        How often it ended with another exit code than 0.
    heard_at_s
        When a worker last gave a sign of life, on the monotonic clock; None of others.
    """

    name: str
    pid: int | None
    starts: int
    deaths: int
    heard_at_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """The supervisor's numbers at one moment.

    Parameters
    ----------
    turned_at_s
        On the monotonic clock, which all processes of a machine share.
    analyses
        Names and versions of the analyses that workers have loaded.
    """

    turned_at_s: float
    children: tuple[ChildReport, ...]
    counts: Mapping[Counted, Mapping[Labels, int]]
    times: Mapping[Timed, Mapping[Labels, Histogram]]
    analyses: tuple[tuple[str, str], ...] = ()


MOST_ADDRESSES = 16
"""To which notifications go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingTime:
    """When senders are expected to send.

    Parameters
    ----------
    weekdays
        0 is Monday.
    from_hour, to_hour
        Of the day; 24 is its end.
    zone
        None is that of the machine.
    """

    weekdays: frozenset[int]
    from_hour: int
    to_hour: int
    zone: ZoneInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentPlan:
    """Which senders must not be silent for how long.

    Parameters
    ----------
    senders
        Names of peers by their AE titles.
    after_s
        Of working time.
    """

    senders: Mapping[str, str]
    after_s: float
    working_time: WorkingTime


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyPlan:
    """Of what a person is told, and how often.

    Parameters
    ----------
    urls_file
        Holds the addresses, one a line; None where the environment does.
    every_s
        At least, between two messages to one address.
    zone
        Of the times in messages; None is that of the machine.
    """

    urls_file: Path | None
    every_s: float
    failed_jobs: bool
    disk_below_bytes: int
    unreachable_s: float
    silent: SilentPlan | None = None
    zone: ZoneInfo | None = None


class PeerKind(StrEnum):
    """By what a peer is reached; the value is for people, of every language."""

    DICOM = "DICOM"
    WEB = "DICOMweb"
    FHIR = "FHIR"
    HL7 = "HL7 v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAccess:
    """How a web service is asked.

    Parameters
    ----------
    greeting
        What follows `url` in a search that finds nothing, and its media type.
    """

    url: str
    greeting: str
    media_type: str
    timeout_s: float
    token_file: Path | None
    user: str | None
    password_file: Path | None
    tls: TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPlan:
    """A peer as the page shows it, and how it is asked whether it is there.

    Parameters
    ----------
    ae_title
        Empty if it has none.
    timeout_s
        As in the settings.
    web
        None for what is no web service.
    """

    name: str
    kind: PeerKind = PeerKind.DICOM
    ae_title: str
    host: str
    port: int
    tls: TlsFiles | None
    timeout_s: float
    web: WebAccess | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePlan:
    """What the page for operators may show and do, and to whom.

    Parameters
    ----------
    password_file
        Whoever has a password in it may look; None if nobody logs in.
    proxy_address, proxy_header
        A request from this address names its user in this header; empty if none does.
    actions
        Whether those who are known by name may retry, resend, re-run and cancel.
    patient_data
        Whether they are shown the patient of a series.
    """

    peers: tuple[PeerPlan, ...]
    password_file: Path | None = None
    proxy_address: str = ""
    proxy_header: str = ""
    actions: bool = False
    patient_data: bool = False

    @property
    def asks_who(self) -> bool:
        """Whether nobody may look who is not known by name."""
        return self.password_file is not None or bool(self.proxy_address)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsPlan:
    """What `ops` needs to know of the settings.

    Parameters
    ----------
    bind, port
        Where it answers.
    hosts
        Host names that a request may name.
    ae_title, node_host, node_port, node_tls
        How the node itself is reached for a C-ECHO.
    certificates
        Our own ones, by the setting that names them.
    oldest_job_s
        A job that is older and not settled makes the node not ready.
    serves
        Whether it answers at all, or only notifies.
    notify
        None where nobody is notified.
    page
        None where there is none.
    audit
        Where audit messages go; None where nobody wants any.
    receives
        Whether this machine has a port for associations.
    """

    bind: str
    port: int
    hosts: frozenset[str]
    ae_title: str
    node_host: str
    node_port: int
    node_tls: TlsFiles | None
    certificates: Mapping[str, TlsFiles]
    spool_folder: Path
    min_free_bytes: int
    database_url: str
    oldest_job_s: float
    serves: bool = True
    notify: NotifyPlan | None = None
    log_level: str = "info"
    log_uids: Literal["plain", "hashed"] = "plain"
    page: PagePlan | None = None
    audit: AuditPlan | None = None
    receives: bool = True
