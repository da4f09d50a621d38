"""Every error that the node raises on purpose.

`code` never changes once released, so IT can alert on it. No message carries patient
data: UIDs, AE titles, limits and counts only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class NodeError(Exception):
    """Base class of the node's own errors."""

    code: ClassVar[str] = "node-error"
    retryable: ClassVar[bool] = False


class SettingsError(NodeError):
    """The settings are wrong; all mistakes at once.

    Parameters
    ----------
    problems
        One line each: `file:line path: what, limit`.
    """

    code = "settings-wrong"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InstanceRefusedError(NodeError):
    """A C-STORE dataset that cannot be kept: unreadable or without its UIDs."""

    code = "instance-refused"


class InstanceMismatchError(InstanceRefusedError):
    """The dataset is not the instance that the C-STORE request named."""

    code = "instance-mismatch"


class SpoolFullError(NodeError):
    """Less disk is free than the settings demand."""

    code = "spool-full"
    retryable = True

    def __init__(self, *, free_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{free_bytes // 2**20} MiB free, {limit_bytes // 2**20} MiB are to be kept"
        )
        self.free_bytes = free_bytes
        self.limit_bytes = limit_bytes


class SpoolFailedError(NodeError):
    """The disk did not do what was asked, for another reason than being full."""

    code = "spool-failed"
    retryable = True


class SeriesRejectedError(NodeError):
    """A series that no route takes or that cannot be a volume; final, no fault.

    Parameters
    ----------
    reason
        Stable word in `snake_case`, such as `not_mr`.
    text
        One sentence for people, with the number and the limit.
    """

    code = "series-rejected"

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class GeometryError(SeriesRejectedError):
    """Instances that do not form one uniform volume."""

    code = "geometry"


class PixelDataError(SeriesRejectedError):
    """Pixel data that are missing, truncated or cannot be decoded."""

    code = "pixel-data"


class OutlinesRefusedError(SeriesRejectedError):
    """A SEG that cannot be taken for a reader's correction of a series."""

    code = "outlines-refused"


class InstanceMissingError(NodeError):
    """The file of an instance that a job needs is no longer there."""

    code = "instance-missing"


class InstanceDamagedError(NodeError):
    """The file of an instance no longer holds what was received."""

    code = "instance-damaged"


class MachineTroubleError(NodeError):
    """Want of memory, descriptors, disk or time: no fault of the series."""

    code = "machine-trouble"
    retryable = True


class SourceMissingError(NodeError):
    """The series whose outlines were corrected is not in the spool, or not wholly.

    Not tried again by itself: someone has to send the series first.
    """

    code = "source-missing"


class EncodingError(NodeError):
    """An object of ours breaks its IOD: our bug, never sent."""

    code = "encoding"


class PeerUnreachableError(NodeError):
    """No association could be opened with a configured peer, or it was lost."""

    code = "peer-unreachable"
    retryable = True

    def __init__(self, peer: str, *, host: str, port: int, why: str) -> None:
        super().__init__(f"no association with {peer} ({host}:{port}): {why}")
        self.peer = peer


class AnswerLostError(PeerUnreachableError):
    """A peer was asked, and is lost before its answer: it may do what it was asked."""


class AssociationRejectedError(PeerUnreachableError):
    """The peer rejects our associations; an operator of the peer can mend that."""

    code = "association-rejected"


class QueryFailedError(NodeError):
    """The peer does not answer a query or a retrieval, or with a failure."""

    code = "query-failed"

    def __init__(self, peer: str, *, what: str, why: str) -> None:
        super().__init__(f"{what} at {peer}: {why}")
        self.peer = peer


class ReportRefusedError(NodeError):
    """A report of storage commitment that nobody has asked its sender for."""

    code = "report-refused"


class CommitmentRefusedError(NodeError):
    """A peer that does not commit to what it has stored."""

    code = "commitment-refused"

    def __init__(self, peer: str, *, why: str) -> None:
        super().__init__(f"{peer} takes no request for storage commitment: {why}")
        self.peer = peer


class CommitmentDeferredError(CommitmentRefusedError):
    """A peer that takes no request for storage commitment now, and may later."""

    code = "commitment-deferred"
    retryable = True


class NotSearchableError(NodeError):
    """An examination by whose attributes no earlier one can be asked for."""

    code = "not-searchable"


class JobNotFoundError(NodeError):
    """No job with that id."""

    code = "job-not-found"


class JobStateError(NodeError):
    """A job that is not in a state in which it can be retried or cancelled."""

    code = "job-state"

    def __init__(self, job_id: str, *, state: str, wanted: str) -> None:
        super().__init__(f"job {job_id} is {state}: nothing to {wanted}")
        self.job_id = job_id
        self.state = state


class NothingToSendError(NodeError):
    """Results that were removed cannot be sent again."""

    code = "nothing-to-send"


class AnalysisUnavailableError(NodeError):
    """An analysis that a route names cannot be imported or has another contract."""

    code = "analysis-unavailable"

    def __init__(self, analysis: str, *, why: str) -> None:
        super().__init__(f"analysis {analysis}: {why}")
        self.analysis = analysis
        self.why = why


class StartError(NodeError):
    """The node cannot start: its port, its spool or its database cannot be had."""

    code = "cannot-start"


class BackupError(NodeError):
    """A backup cannot be made, or is not restored; nothing that runs is changed."""

    code = "backup-failed"


class JobDatabaseError(NodeError):
    """The database of the jobs cannot be read or written."""

    code = "job-database"
    retryable = True


class PeerUnknownError(NodeError):
    """A peer that the settings do not name."""

    code = "peer-unknown"

    def __init__(self, name: str, *, known: Iterable[str]) -> None:
        names = ", ".join(sorted(known)) or "none"
        super().__init__(f"no peer is named {name} (peers: {names})")


class RouteUnknownError(NodeError):
    """A job whose route is no longer in the settings."""

    code = "route-unknown"

    def __init__(self, route: str) -> None:
        super().__init__(f"no route is named {route} any more")
        self.route = route


class AnalysisBrokeError(NodeError):
    """The analysis itself or the machine is at fault, not the series."""

    code = "analysis-failed"
