"""A SEG that a reader has corrected: whose it is, and what measures from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.contract.plugin import Corrigible
from dicom_node.corrections.read_seg import (
    SEGMENTATION_CLASSES,
    SegmentationHeader,
    read_segmentation_header,
    refuse_unknown,
)
from dicom_node.decode.read_file import ReadLimits
from dicom_node.errors import (
    AnalysisUnavailableError,
    OutlinesRefusedError,
    SeriesRejectedError,
)
from dicom_node.jobs.job_state import is_held
from dicom_node.plugins.registry import Registry
from dicom_node.records import Correction, JobRow, JobState, Reason, ReceivedSeries
from dicom_node.settings.sections import Route

_GIVEN_UP = frozenset({JobState.REJECTED, JobState.CANCELLED})
_BEGINNING = frozenset({JobState.WAITING, JobState.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A SEG that may be a correction.

    Parameters
    ----------
    source_uids
        Series to which it refers, the most likely first.
    """

    sop_instance_uid: str
    source_uids: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """The route and the analysis that measure from the outlines of a SEG."""

    route: Route
    analysis: Corrigible


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A correction among the other results of its series.

    Parameters
    ----------
    supersedes
        Identity of the result that it replaces; None if no peer holds one.
    """

    correction: Correction
    supersedes: str | None


def drawn_in(series: ReceivedSeries, limits: ReadLimits) -> Drawn | None:
    """Return the newest SEG of a series that refers to another and is not our own.

    None if there is none; what cannot be read is left to the choice of a route, which
    says so.
    """
    found: list[SegmentationHeader] = []
    for instance in series.instances:
        if instance.sop_class_uid not in SEGMENTATION_CLASSES:
            continue
        try:
            header = read_segmentation_header(instance.path, limits=limits)
        except SeriesRejectedError:
            continue
        if header.source_uids and not header.is_own:
            found.append(header)
    if not found:
        return None
    newest = max(found, key=lambda header: header.written)
    return Drawn(
        sop_instance_uid=newest.sop_instance_uid,
        source_uids=newest.source_uids,
        labels=newest.labels,
    )


def is_awaited(rows: Sequence[JobRow]) -> bool:
    """Tell whether a result of a series is still being made.

    A correction waits for it, so that each knows which report it replaces.
    """
    return any(row.state in _BEGINNING for row in rows)


def fitting_route(
    drawn: Drawn, rows: Sequence[JobRow], routes: Sequence[Route], registry: Registry
) -> Fitting | Reason | None:
    """Return what measures from the outlines of a SEG, or why nothing does.

    Parameters
    ----------
    rows
        The jobs of the series whose outlines it holds, the latest first; empty if that
        series is not known.

    Returns
    -------
    Fitting or Reason or None
        None if the SEG is nothing of ours.
    """
    knowing = _knowing(routes, registry)
    fitting = [
        one
        for one in knowing
        if drawn.labels and set(drawn.labels) <= set(one.analysis.segment_labels)
    ]
    if not fitting:
        return _unknown(drawn, knowing) if rows else None
    used = {row.route for row in rows}
    return next((one for one in fitting if one.route.name in used), fitting[0])


def place(drawn: Drawn, source_uid: str, rows: Sequence[JobRow]) -> Placed:
    """Return a correction with its number, and with what it corrects and replaces.

    Parameters
    ----------
    source_uid
        The series whose outlines it holds.
    rows
        The other jobs of that series, the latest first.
    """
    others = [row for row in rows if row.state not in _GIVEN_UP]
    delivered = [
        row for row in others if is_with_a_peer(row) or row.state is JobState.DELIVERING
    ]
    firsts = [row for row in others if not row.corrects]
    return Placed(
        correction=Correction(
            series_uid=source_uid,
            sop_instance_uid=drawn.sop_instance_uid,
            number=1 + sum(bool(row.corrects) for row in others),
            former=next((row.id for row in (*delivered, *firsts)), None),
            first=next((row.id for row in firsts), None),
            first_digest=next((row.digest for row in firsts), ""),
        ),
        supersedes=delivered[0].result_id if delivered else None,
    )


def is_with_a_peer(row: JobRow) -> bool:
    """Tell whether a peer holds the results of a job."""
    if row.state is JobState.REJECTED:
        return False  # a note at most
    return any(is_held(state) for _, state in row.deliveries)


def _knowing(routes: Sequence[Route], registry: Registry) -> list[Fitting]:
    """Return the routes whose analysis measures from outlines."""
    found = []
    for route in routes:
        try:
            analysis = registry.get(route.analysis)
        except AnalysisUnavailableError:
            continue
        if isinstance(analysis, Corrigible):
            found.append(Fitting(route=route, analysis=analysis))
    return found


def _unknown(drawn: Drawn, knowing: Sequence[Fitting]) -> Reason:
    known = dict.fromkeys(
        label for one in knowing for label in one.analysis.segment_labels
    )
    if not known:
        text = "no route has an analysis that measures from corrected outlines"
        return Reason("not_corrigible", text)
    try:
        refuse_unknown(drawn.labels, tuple(known))
    except OutlinesRefusedError as error:
        return Reason(error.reason, error.text)
    return Reason("unknown_segments", "segments of several analyses in one SEG")
