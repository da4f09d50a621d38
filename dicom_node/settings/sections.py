"""The sections of `node.yaml` and their limits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints

from dicom_node.records import Proof
from dicom_node.settings.audit_section import Audit
from dicom_node.settings.hl7_peer import Hl7Peer
from dicom_node.settings.section import Section
from dicom_node.settings.tls_sections import AcceptorTls, RequestorTls
from dicom_node.settings.value_types import (
    AeTitle,
    CertificateName,
    DatabaseUrl,
    Gibibytes,
    Name,
    Network,
    Port,
    Seconds,
    TimeZone,
)
from dicom_node.settings.watch_sections import Notify, Ops
from dicom_node.settings.web_peer import FhirPeer, WebPeer


class Node(Section):
    """How the node is reached."""

    ae_title: AeTitle = "LUMBAR_AI"
    bind: str = "0.0.0.0"  # noqa: S104 - a PACS must reach us; sites narrow it here
    port: Port = 11112
    check_called_ae: bool = True
    accept_unknown_peers: bool = Field(
        default=False,
        description="Accept associations from AE titles that no peer with may_send "
        "has.",
    )
    max_associations: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=32,
        description="Open at a time; those that propose Verification alone are not "
        "counted.",
    )
    max_associations_per_peer: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Of them from one calling AE title; left out, three quarters, so "
        "that no peer shuts out the others.",
    )
    acceptors: Annotated[int, Field(ge=1, le=16)] = Field(
        default=2, description="Processes that share the port."
    )
    test_port: Port = Field(
        default=11119,
        description="On loopback, where `lumbar-node test` takes the results of its "
        "test; opened by that command alone.",
    )
    association_timeout_s: Seconds = Field(
        default=30.0,
        description="A client that connects must open its association within "
        "this time.",
    )
    idle_timeout_s: Seconds = Field(
        default=60.0,
        description="An open association by which for so long no message ends and no "
        "64 KiB of a dataset come is aborted.",
    )
    tls: AcceptorTls | None = Field(
        default=None, description="Left out, associations are not encrypted."
    )
    time_zone: TimeZone | None = Field(
        default=None,
        description="In which results state their dates and times, such as "
        "Asia/Shanghai; left out, that of the machine.",
    )

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of the results' dates and times; None is that of the machine."""
        return None if self.time_zone is None else ZoneInfo(self.time_zone)

    @property
    def title_limit(self) -> int:
        """Most associations of one calling AE title."""
        if self.max_associations_per_peer is not None:
            return self.max_associations_per_peer
        return math.ceil(self.max_associations * 3 / 4)


class Peer(Section):
    """One DICOM application entity that we accept from or deliver to."""

    ae_title: AeTitle
    host: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    port: Port = 104
    timeout_s: Seconds = 30.0
    may_send: bool = True
    calling_hosts: (
        Annotated[list[Network], Field(min_length=1, max_length=64)] | None
    ) = Field(
        default=None,
        description="Addresses and networks from which this AE title may open "
        "associations; left out, it may from any.",
    )
    certificate_names: (
        Annotated[list[CertificateName], Field(min_length=1, max_length=64)] | None
    ) = Field(
        default=None,
        description="With node.tls: the certificate that this AE title shows must have "
        "one of these names (Subject Alternative Name; the common name if there is no "
        "DNS name); left out, any name.",
    )
    answers_c_find: bool = Field(
        default=False,
        description="Ask it for Number of Series Related Instances, so that a series "
        "can be called complete at once.",
    )
    proof: Proof = Field(
        default=Proof.STORED,
        description="What has to show that it holds our results. stored: its answer to "
        "C-STORE. committed: its report of storage commitment. found: its answer to a "
        "query (C-FIND) for the instances.",
    )
    proof_wait_s: Annotated[float, Field(ge=1, le=604800)] = Field(
        default=3600.0,
        description="With committed: a report that has not come by then is asked for "
        "anew. With found: what is not found by then counts as not stored.",
    )
    tls: RequestorTls | None = Field(
        default=None, description="Left out, associations to it are not encrypted."
    )


class Spool(Section):
    """Where everything lies that has been accepted."""

    folder: Path
    min_free_gb: Gibibytes = 5.0
    keep_days: Annotated[float, Field(gt=0, le=365_000)] = Field(
        default=3.0,
        description="What is settled is removed after this time. Results that a peer "
        "still lacks are never removed.",
    )
    keep_rejected_h: Annotated[float, Field(gt=0, le=8_760_000)] = Field(
        default=6.0,
        description="Series that no analysis takes are removed after this time, at the "
        "latest after keep_days.",
    )
    free_early_below_gb: Gibibytes | None = Field(
        default=None,
        description="While less is free, what was delivered or rejected is removed "
        "before its time, the oldest first; left out, twice min_free_gb.",
    )

    @property
    def free_early_gb(self) -> float:
        """Below how much free disk content is removed before its time."""
        if self.free_early_below_gb is None:
            return 2 * self.min_free_gb
        return self.free_early_below_gb


class Series(Section):
    """When a series is complete."""

    quiet_s: Annotated[float, Field(ge=0, le=1_000_000_000)] = 5.0
    max_wait_s: Seconds = 900.0
    confirm_by_c_find: bool = True
    believe_count_after_h: Annotated[float, Field(ge=0, le=8_760_000)] = Field(
        default=24.0,
        description="A study that began this long ago grows no more in the peer that "
        "sends it: its count is believed at once. That of a younger one is believed "
        "when it was the same twice, quiet_s apart.",
    )


class Accept(Section):
    """Which series a route takes; the analysis may still refuse."""

    modality: Literal["MR"] = "MR"
    body_part: list[str] = Field(
        default_factory=list,
        description="Body Part Examined values; empty takes any, and a series without "
        "one passes.",
    )
    plane: Literal["sagittal"] = "sagittal"
    weighting: Literal["T2"] = "T2"


class ResultSeries(Section):
    """How result series appear in the PACS."""

    number: Annotated[int, Field(ge=1, le=2**31 - 1)] = 9000
    per_source: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=10,
        description="Added for each Series Number of the source, so that the results "
        "of two series of a study stand apart: from series 3, 9030. 0: all at number.",
    )
    description: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(
        default="AI lumbar (not for primary diagnosis)",
        description="Ends Series Description, after what tells the series apart: SEG "
        "of series 3, AI lumbar (not for primary diagnosis).",
    )


class FollowUp(Section):
    """Whom a route asks for the patient's earlier results, and for how long."""

    peer: Name = Field(
        description="It is asked for earlier studies of the patient (C-FIND, Study "
        "Root).",
    )
    retrieve: Literal["c-get", "c-move"] = Field(
        default="c-get",
        description="How earlier objects come. c-move: the peer sends them to our AE "
        "title, which it must know; they start no job.",
    )
    wait_s: Seconds = Field(
        default=20.0,
        description="From the start of the analysis, beside which the peer is asked; "
        "then the results go out without a comparison.",
    )
    max_studies: Annotated[int, Field(ge=1, le=20)] = Field(
        default=5,
        description="How many earlier studies are looked through, the latest first.",
    )
    analyse_earlier: bool = Field(
        default=False,
        description="Where no earlier result of ours is found: fetch an earlier "
        "sagittal T2 series and measure it, for the comparison alone.",
    )


class Route(Section):
    """Ties a kind of series to an analysis and to peers."""

    name: Name
    accept: Accept = Accept()
    analysis: Name = "lumbar-mri"
    deliver_to: Annotated[list[Name], Field(min_length=1)]
    objects: Annotated[
        list[Literal["seg", "sr", "sc", "pdf", "gsps"]], Field(min_length=1)
    ] = Field(default=["seg", "sr", "sc"])
    segmentation: Literal["binary", "labelmap", "labelmap-rle"] = Field(
        default="binary",
        description="How the SEG holds its voxels. binary: every viewer and archive "
        "reads it. labelmap: a SOP class of 2024, smaller, refused by many archives. "
        "labelmap-rle: the same in RLE, the smallest. RLE is for label maps alone, "
        "since few programs read it of the single bits of binary.",
        json_schema_extra={
            "x-expected": "one of binary, labelmap, labelmap-rle (only a label map can "
            "be RLE: DCMTK 3.6 and pydicom 3.0 read it of no single bits)"
        },
    )
    report_numbers: Literal["all", "main"] = Field(
        default="all",
        description="Which numbers stand in the report (SR). main: mean height and "
        "height index alone, without uncertainty and norms, for OHIF 3.11, which draws "
        "one structure otherwise; no later examination can be compared with it.",
    )
    language: Literal["en", "zh-CN"] = Field(
        default="en",
        description="Of what people read of the results (RFC 5646): captures, PDF, "
        "texts and meanings of codes in the report, warnings. Keys, codes and names of "
        "segments stay.",
    )
    page_px: Literal[1024, 2048] = Field(
        default=1024,
        description="Height of the captures' pictures: 2048 for monitors that show it.",
    )
    when_unsuitable: Literal["silent", "note"] = Field(
        default="silent",
        description="note: one captured page with the reason goes to the peers.",
    )
    result_series: ResultSeries = ResultSeries()
    follow_up: FollowUp | None = Field(
        default=None,
        description="Compare with an earlier examination of the patient; left out: no.",
    )


class Jobs(Section):
    """For how long and how often work is tried again."""

    retry_days: Annotated[float, Field(gt=0, le=365)] = Field(
        default=7.0,
        description="What a peer or the disk does not let be done is tried again until "
        "it is so old; then its job fails, until an operator retries or cancels it.",
    )
    retry_first_s: Seconds = Field(
        default=30.0, description="The first pause; each one is twice as long."
    )
    retry_longest_s: Annotated[float, Field(gt=0, le=900)] = Field(
        default=900.0, description="No pause is longer."
    )
    time_limit_s: Seconds = Field(
        default=600.0,
        description="For each step of a job that is done here: triage, analysis, "
        "encoding. A worker that takes longer is ended; the job is begun anew three "
        "times, and is then failed: timed_out.",
    )
    attempts: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None,
        deprecated="it counts no longer: deliveries are tried for jobs.retry_days",
    )
    backoff_s: Annotated[list[Seconds], Field(min_length=1)] | None = Field(
        default=None,
        deprecated="give jobs.retry_first_s and jobs.retry_longest_s; no pause is "
        "longer than 900 s",
    )


class Work(Section):
    """What the science may use."""

    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = (
        Field(
            default="auto",
            description="auto: a GPU where there is one and torch is installed (extra "
            "gpu), else the CPU. cuda or cuda:1: that GPU, through torch; without it "
            "the CPU, with a warning. Untested on a GPU: see docs/gpu.md.",
        )
    )
    processes: Annotated[int, Field(ge=1, le=16)] = 1
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    max_inflated_mb: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=256,
        description="A deflated instance that grows beyond this is rejected, whatever "
        "size its header tells.",
    )


class Log(Section):
    """What is written to standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    uids: Literal["plain", "hashed"] = "plain"


ReportPeer = FhirPeer | Hl7Peer
"""Gets the report alone, as a message."""
Receiver = Peer | WebPeer | ReportPeer


class Settings(Section):
    """All of `node.yaml`."""

    version: Literal[1]
    node: Node = Node()
    peers: dict[Name, Peer] = Field(default_factory=dict)
    web_peers: dict[Name, WebPeer] = Field(
        default_factory=dict,
        description="DICOMweb services; results go to them by STOW-RS.",
    )
    fhir_peers: dict[Name, FhirPeer] = Field(
        default_factory=dict,
        description="FHIR servers; the report goes to them as DiagnosticReport and "
        "Observations.",
    )
    hl7_peers: dict[Name, Hl7Peer] = Field(
        default_factory=dict,
        description="Receivers of HL7 v2 over MLLP; the report goes to them as "
        "ORU^R01.",
    )
    spool: Spool
    series: Series = Series()
    routes: Annotated[list[Route], Field(min_length=1)]
    database: DatabaseUrl | None = Field(
        default=None,
        description="SQLAlchemy URL; left out, node.sqlite in the spool folder. The "
        "password of PostgreSQL stands in the file that PGPASSFILE names, not here.",
    )
    jobs: Jobs = Jobs()
    work: Work = Work()
    log: Log = Log()
    ops: Ops | None = Field(
        default=None, description="Left out, no port is opened for it."
    )
    notify: Notify | None = Field(
        default=None, description="Left out, nobody is notified."
    )
    audit: Audit | None = Field(
        default=None, description="Left out, no audit messages are made."
    )

    @property
    def receivers(self) -> dict[str, Receiver]:
        """All to whom results can go, by their names."""
        return {**self.peers, **self.web_peers, **self.fhir_peers, **self.hl7_peers}

    @property
    def database_url(self) -> str:
        """The database that holds the jobs."""
        if self.database is not None:
            return self.database
        return f"sqlite:///{self.spool.folder.resolve() / 'node.sqlite'}"
