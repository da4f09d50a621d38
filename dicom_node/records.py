"""The node's nouns: instance, series, job, delivery. Plain data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Reason(NamedTuple):
    """Why something is not done or has no result.

    Written as a list of two in records, as version 0.1.0 did.

    Parameters
    ----------
    code
        Stable word on which programs may rely.
    text
        One sentence for people, with the number and the limit; no patient data.
    """

    code: str
    text: str


class Proof(StrEnum):
    """What shows that a peer holds a result, the weakest first."""

    STORED = "stored"
    """Its answer to C-STORE."""
    FOUND = "found"
    """Its answer to a query for the instance."""
    COMMITTED = "committed"
    """Its report of storage commitment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """One SOP instance that lies complete on disk.

    Parameters
    ----------
    path
        The Part 10 file; its dataset holds the very bytes that were sent.
    sha256
        Of the dataset bytes.
    received_at_s
        POSIX time.
    generation
        Greater for what came later, whatever the clock said, also over restarts. 0 if
        version 0.1.0 has stored it.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    sha256: str
    size_bytes: int
    received_at_s: float
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """One C-STORE request as its command set names it; the dataset follows.

    Parameters
    ----------
    association_id
        Unique over all acceptor processes of this start of the node.
    transfer_syntax_uid
        As negotiated; the dataset's bytes are in it.
    move_originator
        AE title of whoever asked the sender by C-MOVE to send this; empty if nobody.
    """

    association_id: str
    calling_ae: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    move_originator: str = ""


class Completion(StrEnum):
    """The evidence by which a series was called complete."""

    RELEASED_AND_QUIET = "released-and-quiet"
    COUNT_CONFIRMED = "count-confirmed"
    MAX_WAIT = "max-wait"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSeries:
    """A series as it was when it was called complete; later instances make another.

    Parameters
    ----------
    digest
        Of the contents of all instances: the same content gives the same digest, but
        where another content was complete in between: then of the predecessor's too.
    revision
        1 for the first completion of this series, 2 for the next with other content.
    conflicts
        SOP instance UIDs that came more than once with different content; the one
        that came last is among `instances`.
    transfer_interrupted
        An association that brought instances was aborted or broke, and no later one
        that brought some was released.
    """

    study_uid: str
    series_uid: str
    calling_ae: str
    instances: tuple[StoredInstance, ...]
    digest: str
    completion: Completion
    revision: int = 1
    conflicts: tuple[str, ...] = ()
    transfer_interrupted: bool = False

    @property
    def accepted_at_s(self) -> float:
        """POSIX time at which the last of its instances arrived."""
        return max(one.received_at_s for one in self.instances)


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DELIVERING = "delivering"
    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a job measures from that is owed for a SEG which a reader has corrected.

    Parameters
    ----------
    series_uid
        The series that is measured again, of the same study as the SEG.
    sop_instance_uid
        The SEG among the job's instances.
    number
        Counted from 1 over the corrections of that series.
    former
        Id of the job whose outlines were corrected; None if there is none any more.
    first, first_digest
        Id of the job that measured the series with the network, None if there is none
        any more, and the digest of what it measured, as in `ReceivedSeries`.
    """

    series_uid: str
    sop_instance_uid: str
    number: int = 1
    former: str | None = None
    first: str | None = None
    first_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One analysis owed for one received series.

    Parameters
    ----------
    id
        Derived from everything that shapes its results; see `work.result_identity`.
    route
        Name of the route; empty if none takes the series.
    rejection
        Given if it was clear before any decoding that nothing is to be done.
    accepted_at_s
        POSIX time at which the last instance arrived.
    supersedes
        Result identity of the job whose delivered report this one replaces.
    correction
        None for a job that measures its own series with the network.
    shape
        Digest of everything that shapes the results but for what they replace; empty
        in a job of version 0.1.0.
    content_time_s
        POSIX time at which this content was first accepted, the content time of every
        result; None in a job of version 0.1.0, whose content time is `accepted_at_s`.
    """

    id: str
    series: ReceivedSeries
    route: str
    analysis: str
    analysis_version: str
    accepted_at_s: float
    rejection: Reason | None = None
    supersedes: str | None = None
    correction: Correction | None = None
    shape: str = ""
    content_time_s: float | None = None

    @property
    def measured_uid(self) -> str:
        """Series Instance UID of the series that is measured."""
        if self.correction is not None:
            return self.correction.series_uid
        return self.series.series_uid


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceOutcome:
    """What a peer answered for one instance.

    Parameters
    ----------
    status
        Of the C-STORE response; None if there was none.
    retryable
        The same instance may be taken at another time.
    """

    path: Path
    sop_instance_uid: str
    stored: bool
    status: int | None
    text: str
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as an operator sees it; no patient data.

    Parameters
    ----------
    digest, revision
        Of the series, as in `ReceivedSeries`.
    deliveries
        Peer, and one word for where the delivery to it stands, with the reason behind.
    proofs
        Peer, SOP instance UID and `Proof` of each result that a peer holds.
    corrects
        The series whose outlines a reader has corrected; else empty.
    shape
        As in `Job`.
    result_id
        Identity of the results, from which their UIDs derive; empty until there are
        some.
    worker
        Which worker has it, or had it last; behind the name of its machine, where the
        node has several. Empty while it is queued.
    """

    id: str
    state: JobState
    route: str
    series_uid: str
    study_uid: str
    calling_ae: str
    instances: int
    accepted_at_s: float
    settled_at_s: float | None
    reason: str
    digest: str
    revision: int
    deliveries: tuple[tuple[str, str], ...] = ()
    corrects: str = ""
    shape: str = ""
    result_id: str = ""
    proofs: tuple[tuple[str, str, str], ...] = ()
    worker: str = ""
