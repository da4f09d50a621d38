"""Which route takes a series, and the job that is owed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.contract.plugin import Weighting
from dicom_node.errors import (
    AnalysisUnavailableError,
    InstanceMissingError,
    SeriesRejectedError,
)
from dicom_node.identifiers import digest
from dicom_node.records import Job, ReceivedSeries
from dicom_node.settings.sections import Accept, Route
from dicom_node.work.plugins import Registry

if TYPE_CHECKING:
    from analysis.contract.plugin import SeriesSummary

_ID_DIGITS = 32
_NO_VERSION = "unavailable"
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
        (code, text); None if a route takes the series.
    """

    route: str = ""
    analysis: str = ""
    analysis_version: str = ""
    rejection: tuple[str, str] | None = None


def choose(
    summary: SeriesSummary, routes: Sequence[Route], registry: Registry
) -> Choice:
    """Return the first route whose filter and whose analysis take the series.

    A route whose analysis cannot be loaded takes what its filter takes: the job then
    fails where an operator sees it, instead of being turned away in silence.
    """
    rejections: list[tuple[str, str]] = []
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
    return Choice(rejection=("no_route", "; ".join(texts)))


def _ask_analysis(summary: SeriesSummary, route: Route, registry: Registry) -> Choice:
    try:
        analysis = registry.get(route.analysis)
    except AnalysisUnavailableError:
        return Choice(
            route=route.name, analysis=route.analysis, analysis_version=_NO_VERSION
        )
    fit = analysis.accepts(summary)
    if not fit.accepted:
        return Choice(rejection=(fit.code, fit.text))
    return Choice(
        route=route.name, analysis=analysis.name, analysis_version=analysis.version
    )


def _filtered_out(summary: SeriesSummary, accept: Accept) -> tuple[str, str] | None:
    if summary.modality != accept.modality:
        text = f"modality {summary.modality or 'unknown'}, not {accept.modality}"
        return "not_mr", text
    if summary.plane.value != accept.plane:
        text = f"slices are {summary.plane.value}, not {accept.plane}"
        return f"not_{accept.plane}", text
    if summary.weighting not in _WEIGHTINGS[accept.weighting]:
        found = summary.weighting.value
        text = f"weighting is {found}, not {accept.weighting}"
        return f"not_{accept.weighting.lower()}", text
    stated = summary.body_part.strip().upper()
    wanted = {part.strip().upper() for part in accept.body_part}
    if stated and wanted and stated not in wanted:
        text = f"body part {stated}, not {', '.join(sorted(wanted))}"
        return "wrong_body_part", text
    return None


def job_for(
    series: ReceivedSeries,
    routes: Sequence[Route],
    registry: Registry,
    *,
    accepted_at_s: float,
) -> Job:
    """Return the job owed for a series; one that no route takes is owed a rejection.

    Parameters
    ----------
    accepted_at_s
        POSIX time.
    """
    choice = _choose_from_headers(series, routes, registry)
    key = digest(series.digest, choice.route, choice.analysis, choice.analysis_version)
    return Job(
        id=key[:_ID_DIGITS],
        series=series,
        route=choice.route,
        analysis=choice.analysis,
        analysis_version=choice.analysis_version,
        accepted_at_s=accepted_at_s,
        rejection=choice.rejection,
    )


def _choose_from_headers(
    series: ReceivedSeries, routes: Sequence[Route], registry: Registry
) -> Choice:
    from dicom_node.decode.headers import read_headers
    from dicom_node.decode.suitable_series import reject, summarise

    try:
        headers = read_headers([instance.path for instance in series.instances])
        rejection = reject(headers)
    except SeriesRejectedError as error:
        rejection = (error.reason, error.text)
    except InstanceMissingError as error:
        rejection = ("instance_missing", str(error))
    if rejection is not None:
        return Choice(rejection=rejection)
    return choose(summarise(headers), routes, registry)
