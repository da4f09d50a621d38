"""The step `encode`: a result turned into DICOM objects in the outbox."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.contract.result import AnalysisResult, Json, Notice
from dicom_node.corrections.measure_again import measured_job
from dicom_node.decode.read_file import NotDicomError, limits_of, read_file
from dicom_node.encode.result_context import EncodeRequest
from dicom_node.encode.result_objects import EncodedObject, encode_note, encode_result
from dicom_node.errors import SeriesRejectedError
from dicom_node.jobs.step_outcome import Outcome, Verdict
from dicom_node.language import language_of
from dicom_node.notices import in_language
from dicom_node.plugins.analyse_series import Analysed
from dicom_node.records import Job, Reason
from dicom_node.settings.self_test import receivers
from dicom_node.spool_layout import KEPT, SpoolLayout, write_synced
from dicom_node.work.report_json import measured_report, unsuitable_report
from dicom_node.work.result_files import replace_folder, write_results
from dicom_node.work.result_identity import (
    content_time,
    result_id,
    route_of,
    shape_of,
    writing_of,
)
from dicom_node.work.series_notices import notices_about

if TYPE_CHECKING:
    from dicom_node.settings.sections import Route, Settings


def encode_series(
    analysed: Analysed, request: EncodeRequest
) -> tuple[EncodedObject, ...]:
    """Turn a result into DICOM objects, in the order in which they are delivered.

    Raises
    ------
    EncodingError
        If an object breaks its IOD.
    """
    request = replace(
        request, compared_with=analysed.compared_with, edited=analysed.edited
    )
    return encode_result(analysed.result, analysed.decoded, request)


def takers_of_pages(names: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Return those of some peers that get more than the report."""
    # The settings come with it; a folder without a PACS has none.
    from dicom_node.settings.sections import ReportPeer

    receivers = settings.receivers
    return tuple(
        name for name in names if not isinstance(receivers.get(name), ReportPeer)
    )


class ResultEncoder:
    """Writes the results of jobs into the outbox of this node."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._layout = SpoolLayout(settings.spool.folder)

    def encode(self, job: Job, analysed: Analysed) -> Outcome:
        """Write a result, and say who gets it.

        Raises
        ------
        EncodingError
            If an object breaks its IOD.
        NodeError, OSError
            If the settings, the spool or the machine is at fault.
        """
        identity = self._identity(
            job,
            analysis_version=analysed.result.provenance.version,
            compared=analysed.result.details.get("follow_up"),
        )
        job = measured_job(self._layout, job)
        request = self._request(job, identity)
        report = measured_report(
            analysed.result,
            series_uid=job.series.series_uid,
            warnings=self._in_language(
                job, (*notices_about(job.series), *analysed.decoded.warnings)
            ),
            corrected_uid=analysed.corrected_uid,
        )
        self._publish(
            job, lambda: encode_series(analysed, request), report, analysed.result
        )
        return Outcome(
            verdict=Verdict.DONE,
            deliver_to=self._receivers(job),
            result_id=identity,
        )

    def _identity(
        self, job: Job, *, analysis_version: str, compared: Json = None
    ) -> str:
        """Return the identity of a result, as settings and versions are now.

        They may have changed since triage named the job.
        """
        measured = measured_job(self._layout, job).series
        shape = shape_of(
            replace(job, analysis_version=analysis_version),
            measured,
            route_of(job, self._settings),
            self._settings,
        )
        return result_id(
            job, shape, compared="" if compared is None else json.dumps(compared)
        )

    def encode_rejection(self, job: Job, rejected: Outcome) -> Outcome:
        """Write a page that tells the reason, if the route wants one.

        Only for a series that a route took: the CT beside it is nobody's business.
        """
        if not job.route or route_of(job, self._settings).when_unsuitable == "silent":
            return rejected
        identity = self._identity(job, analysis_version=job.analysis_version)
        job = measured_job(self._layout, job)
        request = self._request(job, identity)
        text = request.words.told(rejected.code, rejected.text)
        reason = Reason(rejected.code, text)
        try:
            source = read_file(
                job.series.instances[0].path,
                limits=limits_of(self._settings.work.max_inflated_mb),
            ).dataset
        except (NotDicomError, SeriesRejectedError):
            return rejected  # without a header to copy from there is no page

        def note() -> tuple[EncodedObject, ...]:
            title = request.words.word("note.title")
            return (
                encode_note(
                    title=title, text=reason.text, source=source, request=request
                ),
            )

        report = unsuitable_report(
            series_uid=job.series.series_uid,
            reason=reason,
            warnings=self._in_language(job, notices_about(job.series)),
        )
        self._publish(job, note, report, None)
        shown_to = takers_of_pages(self._receivers(job), self._settings)
        return replace(rejected, deliver_to=shown_to, result_id=identity)

    def _in_language(self, job: Job, notices: Sequence[Notice]) -> tuple[Notice, ...]:
        route = route_of(job, self._settings)
        return in_language(notices, language_of(route.language))

    def _receivers(self, job: Job) -> tuple[str, ...]:
        configured = route_of(job, self._settings).deliver_to
        return receivers(job.series.calling_ae, configured)

    def _publish(
        self,
        job: Job,
        build: Callable[[], Sequence[EncodedObject]],
        report: Mapping[str, Any],
        result: AnalysisResult | None,
    ) -> None:
        """Build a result and put it into the outbox, whole or not at all."""
        folder = self._layout.job_outbox(job.id)
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        overlay = None if result is None else result.pages[0]
        try:
            if result is not None and result.kept:
                write_synced(partial / KEPT, result.kept)
            write_results(partial, build, report, overlay)
            replace_folder(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _request(self, job: Job, identity: str) -> EncodeRequest:
        route = route_of(job, self._settings)
        return EncodeRequest(
            job_id=identity,
            content_time=content_time(job, self._settings),
            series_number=route.result_series.number,
            per_source=route.result_series.per_source,
            description=_description(route),
            revision=job.series.revision,
            supersedes=job.supersedes,
            notices=notices_about(job.series),
            objects=tuple(route.objects),
            segmentation=route.segmentation,
            report_numbers=route.report_numbers,
            language=route.language,
            page_scale=writing_of(route).page_scale,
        )


def _description(route: Route) -> str:
    """Return what the settings say of the result series; empty where they do not."""
    stated = "description" in route.result_series.model_fields_set
    return route.result_series.description if stated else ""
