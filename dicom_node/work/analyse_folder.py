"""A folder without a PACS: the suitable series is chosen, analysed and encoded."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.contract.errors import AnalysisError, UnsuitableInput
from analysis.contract.plugin import Analysis, Fit, Writing
from analysis.contract.result import Notice
from dicom_node.corrections.measure_again import Correcting, measure_outlines
from dicom_node.corrections.read_seg import read_segmentation_header
from dicom_node.decode.series_folder import FolderContent, FolderSeries, read_folder
from dicom_node.decode.suitable_series import reject, summarise
from dicom_node.encode.result_context import EncodeRequest
from dicom_node.errors import (
    AnalysisBrokeError,
    NodeError,
    SeriesRejectedError,
    SpoolFailedError,
)
from dicom_node.identifiers import digest
from dicom_node.language import ENGLISH, language_of
from dicom_node.notices import in_language
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.registry import Registry, installed
from dicom_node.records import Reason
from dicom_node.spool_layout import REPORT
from dicom_node.work.encode import encode_series
from dicom_node.work.report_json import (
    failed_report,
    measured_report,
    unsuitable_report,
    write_report,
)
from dicom_node.work.result_files import move_into, remove_results, write_results

_ID_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A series that was not analysed, and why."""

    series_uid: str
    instances: int
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderResult:
    """What came of a folder.

    Parameters
    ----------
    report
        As written to `report.json`.
    chosen
        UID of the series that was measured; None if none was.
    not_dicom
        Files that are no DICOM instances.
    """

    report: dict[str, Any]
    chosen: str | None
    passed_over: tuple[PassedOver, ...]
    not_dicom: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HowToAnalyse:
    """How a folder is measured.

    Parameters
    ----------
    analysis
        Name of an installed analysis.
    corrected
        A SEG whose outlines are measured, instead of those that a network finds; the
        series is the one to which it refers.
    language
        Of what people read in the results (RFC 5646).
    """

    analysis: str
    threads: int
    corrected: Path | None = None
    language: str = ENGLISH


def analyse_folder(
    folder: Path, out: Path, how: HowToAnalyse, *, tell: Callable[[str], None]
) -> FolderResult:
    """Measure the most suitable series of a folder and write its results.

    Parameters
    ----------
    out
        An existing folder; what an earlier run left there is removed at once, so that
        no result lies beside the end of a run that did not make it.
    tell
        Told what is going on.

    Raises
    ------
    AnalysisUnavailableError
        If there is no such analysis.
    AnalysisBrokeError
        If the analysis or the machine is at fault.
    EncodingError
        If a result breaks its IOD.
    SpoolFailedError
        If `out` cannot be written.

    Notes
    -----
    Any of these but the first leaves a report that says `failed`.
    """
    corrected, language, threads = how.corrected, how.language, how.threads
    writing = Writing(language=language)
    plugin = Registry(installed()).get(how.analysis)
    tell(f"reading {folder}")
    found = read_folder(folder)
    with _disk_errors(out):
        remove_results(out)
    try:
        wanted = _wanted(found.series, corrected)
    except SeriesRejectedError as error:
        return _without_result(out, found, _reason(error))
    candidates, passed_over = _sort_out(wanted, plugin)
    for tried, candidate in enumerate(candidates, start=1):
        series = candidate.series
        tell(f"analysing {len(series.paths)} instances of {series.series_uid}")
        try:
            with _failure_reported(out, series):
                analysed = (
                    analyse_series(
                        series.paths, plugin, threads=threads, writing=writing
                    )
                    if corrected is None
                    else measure_outlines(
                        series.paths,
                        corrected,
                        plugin,
                        Correcting(threads=threads, writing=writing),
                    )
                )
        except (UnsuitableInput, SeriesRejectedError) as error:
            passed_over.append(_passed_over(series, _reason(error)))
            continue
        tell("writing the results")
        notices = (*_unreadable(found), *_left_out(candidates[tried:]))
        passed_over += _not_needed(candidates[tried:])
        with _failure_reported(out, series):
            report = _write(out, (series, corrected), analysed, (notices, language))
        return FolderResult(
            report=report,
            chosen=series.series_uid,
            passed_over=tuple(passed_over),
            not_dicom=found.passed_over,
        )
    report = _unsuitable(passed_over, len(candidates), found)
    with _partial(out) as partial:
        write_report(partial / REPORT, report)
    return FolderResult(
        report=report,
        chosen=None,
        passed_over=tuple(passed_over),
        not_dicom=found.passed_over,
    )


def _wanted(
    found: Sequence[FolderSeries], corrected: Path | None
) -> Sequence[FolderSeries]:
    """Return the series that may be measured: of a SEG, those to which it refers."""
    if corrected is None:
        return found
    header = read_segmentation_header(corrected)
    named = [one for one in found if one.series_uid in header.source_uids]
    if not named:
        text = "the folder holds no series to which the SEG refers"
        raise SeriesRejectedError(reason="source_missing", text=text)
    return named


def _without_result(out: Path, found: FolderContent, reason: Reason) -> FolderResult:
    report = unsuitable_report(
        series_uid=None, reason=reason, warnings=_unreadable(found)
    )
    with _partial(out) as partial:
        write_report(partial / REPORT, report)
    return FolderResult(
        report=report, chosen=None, passed_over=(), not_dicom=found.passed_over
    )


def _unreadable(found: FolderContent) -> tuple[Notice, ...]:
    if not found.broken:
        return ()
    text = (
        f"{found.broken} files begin as DICOM or cannot be opened, and cannot be read "
        "as DICOM; slices may be missing"
    )
    return (Notice(code="unreadable_files", text=text),)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A series that the analysis takes."""

    series: FolderSeries
    fit: Fit

    @property
    def is_makeshift(self) -> bool:
        return self.fit.preference < 0


def _left_out(others: Sequence[_Candidate]) -> tuple[Notice, ...]:
    """Name the series that might have been measured instead."""
    equals = [other.series for other in others if not other.is_makeshift]
    if not equals:
        return ()
    uids = ", ".join(other.series_uid for other in equals)
    text = f"Other series of the folder are suitable too and were not measured: {uids}"
    return (Notice(code="other_suitable_series", text=text),)


def _not_needed(others: Sequence[_Candidate]) -> list[PassedOver]:
    """Return the series that are of use only where there is no better one."""
    return [
        _passed_over(other.series, Reason(other.fit.code, other.fit.text))
        for other in others
        if other.is_makeshift
    ]


def _sort_out(
    found: Sequence[FolderSeries], plugin: Analysis
) -> tuple[list[_Candidate], list[PassedOver]]:
    """Return the series to try, the best first, and those that need no try."""
    candidates: list[_Candidate] = []
    passed_over: list[PassedOver] = []
    for series in found:
        reason = reject(series.headers)
        if reason is None:
            fit = plugin.accepts(summarise(series.headers))
            if fit.accepted:
                candidates.append(_Candidate(series=series, fit=fit))
                continue
            reason = Reason(fit.code, fit.text)
        passed_over.append(_passed_over(series, reason))
    candidates.sort(key=lambda candidate: -candidate.fit.preference)
    return candidates, passed_over


def _passed_over(series: FolderSeries, reason: Reason) -> PassedOver:
    return PassedOver(
        series_uid=series.series_uid, instances=len(series.paths), reason=reason
    )


def _reason(error: UnsuitableInput | SeriesRejectedError) -> Reason:
    code = error.code if isinstance(error, UnsuitableInput) else error.reason
    return Reason(code, error.text)


def _unsuitable(
    passed_over: Sequence[PassedOver], tried: int, found: FolderContent
) -> dict[str, Any]:
    """Return the report of a folder without a suitable series.

    The reason is that of the only series, or of the best one that was tried; without
    any, that of the first file which begins as DICOM and cannot be read.
    """
    series_uid = None
    if not passed_over and found.refused:
        reason = Reason(*found.refused[0])
    elif not passed_over:
        reason = Reason("no_dicom", "the folder holds no DICOM instance")
    elif tried or len(passed_over) == 1:
        blamed = passed_over[-tried]
        series_uid, reason = blamed.series_uid, blamed.reason
    else:
        text = "; ".join(f"{one.series_uid}: {one.reason.text}" for one in passed_over)
        reason = Reason("no_suitable_series", text)
    return unsuitable_report(
        series_uid=series_uid, reason=reason, warnings=_unreadable(found)
    )


def _write(
    out: Path,
    source: tuple[FolderSeries, Path | None],
    analysed: Analysed,
    told: tuple[tuple[Notice, ...], str],
) -> dict[str, Any]:
    series, corrected = source
    notices, language = told
    provenance = analysed.result.provenance
    # The files' own time and content, as in the node: a second run makes the same.
    paths = series.paths if corrected is None else (*series.paths, corrected)
    newest_s = max(path.stat().st_mtime for path in paths)
    own = () if language == ENGLISH else (language,)
    parts = (provenance.name, provenance.version, *own, *_contents(paths))
    request = EncodeRequest(
        job_id=digest(*parts)[:_ID_DIGITS],
        content_time=datetime.fromtimestamp(newest_s, UTC).astimezone(),
        notices=notices,
        language=language,
    )
    report = measured_report(
        analysed.result,
        series_uid=series.series_uid,
        warnings=in_language(
            (*notices, *analysed.decoded.warnings), language_of(language)
        ),
        corrected_uid=analysed.corrected_uid,
    )
    with _partial(out) as partial:
        write_results(
            partial,
            lambda: encode_series(analysed, request),
            report,
            analysed.result.pages[0],
        )
    return report


def _contents(paths: Sequence[Path]) -> list[str]:
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


@contextmanager
def _partial(out: Path) -> Iterator[Path]:
    """Give a folder for the results, which then move to where they belong."""
    with _disk_errors(out):
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=out))
        try:
            yield partial
            move_into(partial, out)
        finally:
            shutil.rmtree(partial)


@contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"{out} cannot be written: {error.strerror}"
        raise SpoolFailedError(text) from error


@contextmanager
def _failure_reported(out: Path, series: FolderSeries) -> Iterator[None]:
    """Leave a report that says `failed` if the series is not to blame."""
    try:
        with _our_errors():
            yield
    except SeriesRejectedError:
        raise
    except NodeError as error:
        reason = Reason(error.code.replace("-", "_"), str(error))
        report = failed_report(series_uid=series.series_uid, reason=reason)
        with _partial(out) as partial:
            write_report(partial / REPORT, report)
        raise


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except UnsuitableInput:
        raise
    except (AnalysisError, MemoryError) as error:
        raise AnalysisBrokeError(str(error) or "out of memory") from error
