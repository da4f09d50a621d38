"""Which route takes a series, told from what its headers say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.contract.plugin import SeriesSummary, Weighting
from dicom_node.decode.headers import read_headers
from dicom_node.decode.read_file import DEFAULT_LIMITS, ReadLimits
from dicom_node.decode.suitable_series import reject, summarise
from dicom_node.errors import AnalysisUnavailableError, SeriesRejectedError
from dicom_node.plugins.registry import Registry, ask_accepts
from dicom_node.records import Reason
from dicom_node.settings.sections import Accept, Route

_NO_VERSION = "unavailable"
_SHOWN_CHARACTERS = 32
_NO_CODE = re.compile(r"[^A-Z0-9_ ]")
"""Somebody may have typed a text about the patient, of any length, for a code."""
_WEIGHTINGS = {
    "T2": frozenset({Weighting.T2, Weighting.T2_FAT_SUPPRESSED, Weighting.UNKNOWN})
}
"""With fat suppressed it is a T2 series still, and one that does not tell may be one;
the analysis, which sees the picture, says what it can bear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The route of a series, or why it has none.

    Parameters
    ----------
    rejection
        None if a route takes the series.
    """

    route: str = ""
    analysis: str = ""
    analysis_version: str = ""
    rejection: Reason | None = None


def choose(
    summary: SeriesSummary, routes: Sequence[Route], registry: Registry
) -> Choice:
    """Return the first route whose filter and whose analysis take the series.

    A route whose analysis cannot be loaded takes what its filter takes: the job then
    fails where an operator sees it, instead of being turned away in silence.

    Raises
    ------
    AnalysisBrokeError
        If an analysis that is asked does not answer.
    """
    rejections: list[Reason] = []
    for route in routes:
        rejection = _filtered_out(summary, route.accept)
        if rejection is None:
            choice = _ask_analysis(summary, route, registry)
            if choice.rejection is None:
                return choice
            rejection = choice.rejection
        rejections.append(rejection)
    if len(rejections) == 1:
        return Choice(rejection=rejections[0])
    texts = (
        f"{route.name}: {text}"
        for route, (_, text) in zip(routes, rejections, strict=True)
    )
    return Choice(rejection=Reason("no_route", "; ".join(texts)))


def _ask_analysis(summary: SeriesSummary, route: Route, registry: Registry) -> Choice:
    try:
        analysis = registry.get(route.analysis)
    except AnalysisUnavailableError:
        return Choice(
            route=route.name, analysis=route.analysis, analysis_version=_NO_VERSION
        )
    refusal = ask_accepts(analysis, summary)
    if refusal is not None:
        return Choice(rejection=refusal)
    return Choice(
        route=route.name, analysis=analysis.name, analysis_version=analysis.version
    )


def _filtered_out(summary: SeriesSummary, accept: Accept) -> Reason | None:
    if summary.modality != accept.modality:
        text = f"modality {summary.modality or 'unknown'}, not {accept.modality}"
        return Reason("not_mr", text)
    if summary.plane.value != accept.plane:
        text = f"slices are {summary.plane.value}, not {accept.plane}"
        return Reason(f"not_{accept.plane}", text)
    if summary.weighting not in _WEIGHTINGS[accept.weighting]:
        found = summary.weighting.value
        text = f"weighting is {found}, not {accept.weighting}"
        return Reason(f"not_{accept.weighting.lower()}", text)
    stated = summary.body_part.strip().upper()
    wanted = {part.strip().upper() for part in accept.body_part}
    if stated and wanted and stated not in wanted:
        shown = _NO_CODE.sub("?", stated)[:_SHOWN_CHARACTERS]
        text = f"body part {shown}, not {', '.join(sorted(wanted))}"
        return Reason("wrong_body_part", text)
    return None


def choose_from_headers(
    paths: Sequence[Path],
    routes: Sequence[Route],
    registry: Registry,
    *,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Choice:
    """Return the route of a series, told from the headers of its instances.

    Parameters
    ----------
    paths
        Of the instances.
    limits
        How much one file may hold.

    Raises
    ------
    AnalysisBrokeError
        If an analysis that is asked does not answer.
    """
    try:
        headers = read_headers(paths, limits=limits)
        rejection = reject(headers)
    except SeriesRejectedError as error:
        return Choice(rejection=Reason(error.reason, error.text))
    if rejection is not None:
        return Choice(rejection=rejection)
    return choose(summarise(headers), routes, registry)
