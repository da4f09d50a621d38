"""A SEG that a reader has corrected: whose outlines it holds, and the job owed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.errors import AnalysisUnavailableError, OutlinesRefusedError
from dicom_node.identifiers import digest
from dicom_node.records import Correction, Job, JobRow, JobState, ReceivedSeries
from dicom_node.settings.sections import Route
from dicom_node.work.plugins import Registry

if TYPE_CHECKING:
    from analysis.contract.plugin import Corrigible
    from dicom_node.corrections.read_seg import SegmentationHeader

_ID_DIGITS = 32
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


def drawn_in(series: ReceivedSeries) -> Drawn | None:
    """Return the newest SEG of a series that refers to another and is not our own.

    None if there is none; what cannot be read is left to `route.job_for`, which says
    so.
    """
    from dicom_node.corrections.read_seg import (
        SEGMENTATION_CLASSES,
        read_segmentation_header,
    )

    found: list[SegmentationHeader] = []
    for instance in series.instances:
        if instance.sop_class_uid not in SEGMENTATION_CLASSES:
            continue
        try:
            header = read_segmentation_header(instance.path)
        except OutlinesRefusedError:
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


def correction_job(
    series: ReceivedSeries,
    drawn: Drawn,
    source_uid: str,
    rows: Sequence[JobRow],
    routing: tuple[Sequence[Route], Registry],
) -> Job | None:
    """Return the job owed for a SEG; None if it is nothing of ours.

    Parameters
    ----------
    series
        That of the SEG.
    source_uid
        The series whose outlines it holds.
    rows
        The jobs of that series, the latest first; empty if it is not known.
    routing
        The routes, and the analyses that they name.
    """
    knowing = _knowing(*routing)
    fitting = [
        (route, analysis)
        for route, analysis in knowing
        if drawn.labels and set(drawn.labels) <= set(analysis.segment_labels)
    ]
    if not fitting:
        return _refused(series, drawn, knowing) if rows else None
    used = {row.route for row in rows}
    route, analysis = next((one for one in fitting if one[0].name in used), fitting[0])
    own_id = digest(
        series.digest,
        drawn.sop_instance_uid,
        route.name,
        analysis.name,
        analysis.version,
    )[:_ID_DIGITS]
    others = [r for r in rows if r.id != own_id and r.state not in _GIVEN_UP]
    delivered = [
        row for row in others if is_with_a_peer(row) or row.state is JobState.DELIVERING
    ]
    firsts = [row for row in others if not row.corrects]
    return Job(
        id=own_id,
        series=series,
        route=route.name,
        analysis=analysis.name,
        analysis_version=analysis.version,
        accepted_at_s=_accepted_at_s(series),
        supersedes=delivered[0].id if delivered else None,
        correction=Correction(
            series_uid=source_uid,
            sop_instance_uid=drawn.sop_instance_uid,
            number=1 + sum(bool(row.corrects) for row in others),
            former=next((row.id for row in (*delivered, *firsts)), None),
            first=next((row.id for row in firsts), None),
            first_digest=next((row.digest for row in firsts), ""),
        ),
    )


def _accepted_at_s(series: ReceivedSeries) -> float:
    return max(one.received_at_s for one in series.instances)


def _refused(
    series: ReceivedSeries, drawn: Drawn, knowing: Sequence[tuple[Route, Corrigible]]
) -> Job:
    """Return the job of a SEG of which no analysis knows the segments."""
    key = digest(series.digest, drawn.sop_instance_uid, "unknown segments")
    return Job(
        id=key[:_ID_DIGITS],
        series=series,
        route="",
        analysis="",
        analysis_version="",
        accepted_at_s=_accepted_at_s(series),
        rejection=_unknown(drawn, knowing),
    )


def is_with_a_peer(row: JobRow) -> bool:
    """Tell whether a peer holds the results of a job."""
    if row.state is JobState.REJECTED:
        return False  # a note at most
    return any(state == "stored" for _, state in row.deliveries)


def _knowing(
    routes: Sequence[Route], registry: Registry
) -> list[tuple[Route, Corrigible]]:
    """Return the routes whose analysis measures from outlines."""
    from analysis.contract.plugin import Corrigible

    found = []
    for route in routes:
        try:
            analysis = registry.get(route.analysis)
        except AnalysisUnavailableError:
            continue
        if isinstance(analysis, Corrigible):
            found.append((route, analysis))
    return found


def _unknown(
    drawn: Drawn, knowing: Sequence[tuple[Route, Corrigible]]
) -> tuple[str, str]:
    from dicom_node.corrections.read_seg import refuse_unknown

    known = dict.fromkeys(
        label for _, analysis in knowing for label in analysis.segment_labels
    )
    if not known:
        text = "no route has an analysis that measures from corrected outlines"
        return "not_corrigible", text
    try:
        refuse_unknown(drawn.labels, tuple(known))
    except OutlinesRefusedError as error:
        return error.reason, error.text
    return "unknown_segments", "segments of several analyses in one SEG"
