"""Analyses by entry point: only those that a route names are ever imported."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from dicom_node.errors import AnalysisBrokeError, AnalysisUnavailableError
from dicom_node.records import Reason

if TYPE_CHECKING:
    from analysis.contract.plugin import Analysis, SeriesSummary

GROUP = "dicom_node.analyses"


def installed() -> Mapping[str, EntryPoint]:
    """Return every analysis that is installed, by name, without importing any."""
    return {point.name: point for point in entry_points(group=GROUP)}


def can_follow_up(analysis: Analysis) -> bool:
    """Tell whether an analysis compares its result with an earlier examination."""
    from analysis.contract.follow_up import FollowsUp

    return isinstance(analysis, FollowsUp)


def runtime_of(analysis: Analysis) -> str:
    """Return what computes an analysis; empty where it does not say."""
    from analysis.contract.plugin import TellsRuntime

    return analysis.runtime if isinstance(analysis, TellsRuntime) else ""


def ask_accepts(analysis: Analysis, summary: SeriesSummary) -> Reason | None:
    """Return why an analysis does not take a series; None if it does.

    Raises
    ------
    AnalysisBrokeError
        If it does not answer.
    """
    try:
        fit = analysis.accepts(summary)
        return None if fit.accepted else Reason(str(fit.code), str(fit.text))
    # A plugin is foreign code: whatever it raises must not stop the worker.
    except (Exception, SystemExit) as error:
        text = f"{analysis.name} broke when asked for a series: {type(error).__name__}"
        raise AnalysisBrokeError(text) from error


class Registry:
    """Imports an analysis when it is first asked for, and remembers it.

    Attributes
    ----------
    importing
        Held by whoever imports a library for the first time: one that two threads
        import at once is seen half made by one of them.
    """

    def __init__(self, points: Mapping[str, EntryPoint]) -> None:
        self.importing = threading.RLock()
        self._points = points
        self._loaded: dict[str, Analysis] = {}

    def get(self, name: str) -> Analysis:
        """Return an analysis.

        Raises
        ------
        AnalysisUnavailableError
            If it is not installed, cannot be imported or made, or was built for
            another version of the contract.
        """
        with self.importing:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def prepared(self, name: str, *, threads: int, device: str) -> tuple[Analysis, str]:
        """Return an analysis that has loaded and verified what it needs.

        With it, why it does not compute on the GPU asked for; else nothing.

        Raises
        ------
        AnalysisUnavailableError
            If it cannot be had, or its weights are missing or wrong.
        """
        from analysis.contract.errors import AnalysisFailed

        analysis = self.get(name)
        try:
            return analysis, analysis.prepare(threads=threads, device=device)
        except AnalysisFailed as error:
            raise AnalysisUnavailableError(name, why=str(error)) from error
        except (Exception, SystemExit) as error:
            why = f"cannot be prepared: {_first_line(error)}"
            raise AnalysisUnavailableError(name, why=why) from error

    def _load(self, name: str) -> Analysis:
        from analysis.contract.plugin import CONTRACT_VERSION

        if name not in self._points:
            raise AnalysisUnavailableError(name, why="not installed")
        point = self._points[name]
        try:
            analysis: Analysis = point.load()()
            contract = analysis.contract_version
            has_identity = bool(analysis.name and analysis.version)
        except (Exception, SystemExit) as error:
            why = f"cannot be loaded from {point.value}: {_first_line(error)}"
            raise AnalysisUnavailableError(name, why=why) from error
        if contract != CONTRACT_VERSION:
            why = f"built for contract {contract}, this node has {CONTRACT_VERSION}"
            raise AnalysisUnavailableError(name, why=why)
        if not has_identity:
            raise AnalysisUnavailableError(name, why="it has no name or no version")
        return analysis


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
