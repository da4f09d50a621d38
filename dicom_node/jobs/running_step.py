"""What a worker tells its supervisor: which steps it is in, and that it lives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StepKind(StrEnum):
    """A step of a workflow."""

    TRIAGE = "triage"
    ANALYSE = "analyse"
    ANALYSE_AHEAD = "analyse-ahead"
    ENCODE = "encode"
    DELIVER = "deliver"
    PROVE = "prove"

    @property
    def is_with_a_peer(self) -> bool:
        """Whether it waits for a peer, and computes nothing."""
        return self in {StepKind.DELIVER, StepKind.PROVE}

    @property
    def is_owed(self) -> bool:
        """Whether a workflow waits for it."""
        return self is not StepKind.ANALYSE_AHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBegun:
    """A step has begun.

    Parameters
    ----------
    workflow_id
        Empty if none waits for it.
    at_s
        On the monotonic clock, which all processes of a machine share.
    """

    workflow_id: str
    kind: StepKind
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step has ended, however it did.

    Parameters
    ----------
    verdict
        With which it ended; empty if it was broken off.
    """

    workflow_id: str
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The worker's threads run.

    Parameters
    ----------
    analyses
        Names and versions of the analyses that it has loaded.
    runtimes
        What computes them.
    """

    analyses: tuple[tuple[str, str], ...] = ()
    runtimes: tuple[str, ...] = ()


WorkerMessage = StepBegun | StepEnded | Heartbeat
