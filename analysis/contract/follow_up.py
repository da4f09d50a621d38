"""An earlier examination of the same patient, and what an analysis makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from analysis.contract.acquisition import Acquisition
from analysis.contract.result import AnalysisResult, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What an earlier examination of the same patient has shown.

    Parameters
    ----------
    days
        By which it is earlier.
    analysis, version
        What measured it.
    findings
        As its report tells them, in the units in which they were written.
    warnings
        Codes of the warnings that its report carries.
    """

    days: int
    analysis: str
    version: str
    acquisition: Acquisition
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()


@runtime_checkable
class FollowsUp(Protocol):
    """An analysis that can compare its result with an earlier examination.

    Optional: an analysis without it is none the worse; a route that asks for a
    follow-up needs it.
    """

    def follow_up(
        self, result: AnalysisResult, acquisition: Acquisition, prior: Prior
    ) -> AnalysisResult:
        """Return the result with what has changed, and what stands against that.

        Parameters
        ----------
        acquisition
            Of the series that `result` was measured on.
        """
