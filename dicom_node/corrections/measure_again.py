"""The measurement of a series from the outlines that a reader has corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.contract.errors import UnsuitableInput
from analysis.contract.outlines import Outlines
from analysis.contract.plugin import Analysis, Context, Corrigible, Writing
from dicom_node.corrections.read_seg import read_outlines, read_segmentation_header
from dicom_node.decode.headers import read_headers
from dicom_node.decode.read_file import DEFAULT_LIMITS, ReadLimits, limits_of
from dicom_node.decode.suitable_series import reject, summarise
from dicom_node.decode.volume import read_volume
from dicom_node.encode.result_context import EditedOutlines
from dicom_node.encode.source_attributes import doubts_about
from dicom_node.errors import SourceMissingError
from dicom_node.plugins.analyse_series import Analysed
from dicom_node.plugins.chosen_device import chosen_device
from dicom_node.records import Job
from dicom_node.spool_layout import SpoolLayout

if TYPE_CHECKING:
    from dicom_node.settings.sections import Work


def measured_job(layout: SpoolLayout, job: Job) -> Job:
    """Return a job with the series that it measures in the place of a corrected SEG.

    Raises
    ------
    SourceMissingError
        If that series is not in the spool, or not wholly.
    """
    if job.correction is None:
        return job
    # What reads manifests comes with it; a folder without a PACS has none.
    from dicom_node.series.manifest import latest_series

    uid = job.correction.series_uid
    source = latest_series(layout, job.series.study_uid, uid)
    if source is None:
        text = (
            f"series {uid} of this study, whose outlines were corrected, is not in "
            "the spool (or still arriving): send it again, then jobs retry"
        )
        raise SourceMissingError(text)
    lost = sum(not instance.path.is_file() for instance in source.instances)
    if lost:
        text = (
            f"{lost} of {len(source.instances)} instances of series {uid}, whose "
            "outlines were corrected, are not in the spool: send it again, then jobs "
            "retry"
        )
        raise SourceMissingError(text)
    return replace(job, series=source)


def analyse_correction(
    layout: SpoolLayout, job: Job, analysis: Analysis, work: Work, writing: Writing
) -> Analysed:
    """Measure a series from the outlines that a reader has corrected.

    Raises
    ------
    SourceMissingError
        If the series is not in the spool.
    SeriesRejectedError, UnsuitableInput
        If the outlines or the series cannot be measured.
    AnalysisError
        If the analysis or the machine is at fault.
    """
    if job.correction is None:
        message = f"job {job.id} corrects nothing"
        raise ValueError(message)
    source = measured_job(layout, job).series
    limits = limits_of(work.max_inflated_mb)
    (outlines,) = (
        one.path
        for one in job.series.instances
        if one.sop_instance_uid == job.correction.sop_instance_uid
    )
    return measure_outlines(
        [instance.path for instance in source.instances],
        outlines,
        analysis,
        Correcting(
            kept=_kept(layout, job.correction.former),
            elsewhere=_elsewhere(layout, job.correction.first, outlines, limits),
            number=job.correction.number,
            threads=work.threads,
            device=chosen_device(work.device),
            writing=writing,
            limits=limits,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Correcting:
    """What a measurement from outlines needs beside them.

    Parameters
    ----------
    kept
        `AnalysisResult.kept` of the result that is corrected; empty if unknown.
    elsewhere
        As in `Outlines`.
    number
        Counted from 1 over the corrections of the series.
    limits
        How much one file may hold.
    """

    kept: bytes = b""
    elsewhere: tuple[str, ...] = ()
    number: int = 1
    threads: int = 2
    device: str = "cpu"
    writing: Writing = field(default_factory=Writing)
    limits: ReadLimits = DEFAULT_LIMITS


def measure_outlines(
    paths: Sequence[Path], outlines: Path, analysis: Analysis, how: Correcting
) -> Analysed:
    """Measure a series from the outlines of a SEG file.

    Raises
    ------
    SeriesRejectedError, UnsuitableInput
        If the outlines or the series cannot be measured.
    AnalysisError
        If the analysis or the machine is at fault.
    """
    if not isinstance(analysis, Corrigible):
        text = f"{analysis.name} does not measure from corrected outlines"
        raise UnsuitableInput(code="not_corrigible", text=text)
    headers = read_headers(paths, limits=how.limits)
    rejection = reject(headers)
    if rejection is not None:
        raise UnsuitableInput(*rejection)
    summary = summarise(headers)
    fit = analysis.accepts(summary)
    if not fit.accepted:
        raise UnsuitableInput(fit.code, fit.text)
    decoded = read_volume(paths, limits=how.limits)
    doubts = doubts_about(decoded.sources[0])
    decoded = replace(decoded, warnings=(*decoded.warnings, *doubts))
    drawn = read_outlines(
        outlines, decoded, known=analysis.segment_labels, limits=how.limits
    )
    (role,) = analysis.inputs
    context = Context(
        subject=decoded.subject,
        summaries={role: summary},
        acquisitions={role: decoded.acquisition},
        threads=how.threads,
        device=how.device,
        writing=how.writing,
    )
    given = Outlines(
        labels=drawn.labels,
        names=drawn.names,
        editor=drawn.editor,
        kept=how.kept,
        elsewhere=how.elsewhere,
    )
    result = analysis.measure({role: decoded.volume}, context, given)
    edited = EditedOutlines(
        sop_class_uid=drawn.sop_class_uid,
        sop_instance_uid=drawn.sop_instance_uid,
        series_uid=drawn.series_uid,
        editor=drawn.editor,
        number=how.number,
        segments=drawn.segments,
        tracking=drawn.tracking,
    )
    return Analysed(decoded=decoded, result=result, edited=edited)


def _kept(layout: SpoolLayout, former: str | None) -> bytes:
    """Return what the corrected result left behind; nothing if it is gone."""
    if former is None:
        return b""
    try:
        return layout.kept(former).read_bytes()
    except FileNotFoundError:
        return b""


def _elsewhere(
    layout: SpoolLayout, first: str | None, outlines: Path, limits: ReadLimits
) -> tuple[str, ...]:
    """Return the structures of those parts of our SEG that were not corrected."""
    if first is None:
        return ()
    labels = set(read_segmentation_header(outlines, limits=limits).labels)
    parts = [
        read_segmentation_header(path).labels
        for path in sorted(layout.job_outbox(first).glob("seg*.dcm"))
    ]
    return tuple(label for part in parts if labels.isdisjoint(part) for label in part)
