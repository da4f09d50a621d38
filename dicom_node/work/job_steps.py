"""The stages of a job, each of which ends in an outcome, whatever happens in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.contract.errors import AnalysisFailed, OutOfResources, UnsuitableInput
from analysis.contract.result import AnalysisResult, Json
from dicom_node import log
from dicom_node.decode.machine_trouble import is_machine_trouble
from dicom_node.errors import (
    AnalysisUnavailableError,
    MachineTroubleError,
    NodeError,
    RouteUnknownError,
    SeriesRejectedError,
)
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.step_outcome import (
    DeliveryOutcome,
    Outcome,
    TriageOutcome,
    Verdict,
)
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.plugins.registry import Registry
from dicom_node.records import Job, Reason
from dicom_node.settings.sections import Route, Settings
from dicom_node.spool_layout import KEPT, SpoolLayout, write_synced
from dicom_node.work.compute_device import missed_device
from dicom_node.work.result_files import replace_folder, write_results
from dicom_node.work.result_identity import content_time, result_id, shape_of

if TYPE_CHECKING:
    from dicom_node.encode.result_context import EncodeRequest
    from dicom_node.encode.result_objects import EncodedObject
    from dicom_node.plugins.analyse_series import Analysed
    from dicom_node.work.triage import Triage

_NOTE_TITLE = "No measurement"


class Stages:
    """Triage, analyse, encode and deliver, on the spool of this node."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._triage: Triage | None = None
        self._layout = SpoolLayout(settings.spool.folder)
        self._is_warm = False
        self._is_loaded = False
        self._held: tuple[str, Analysed] | None = None
        self._imports = registry.importing
        self._missed = ""

    @property
    def is_warm(self) -> bool:
        """Whether the science is in memory."""
        return self._is_warm

    @property
    def is_loaded(self) -> bool:
        """Whether any large library is in memory."""
        return self._is_loaded

    def warm(self) -> None:
        """Import and load all that a job needs, while the series is still arriving."""
        with self._imports:
            self._is_warm = self._is_loaded = True
            _import_stages()
            if any(route.follow_up for route in self._settings.routes):
                from dicom_node.prior import compare as _follow_up  # noqa: F401
            for name in dict.fromkeys(one.analysis for one in self._settings.routes):
                self._prepare(name)

    def _prepare(self, name: str) -> None:
        work = self._settings.work
        try:
            _, why = self._registry.prepared(
                name, threads=work.threads, device=work.device
            )
        except AnalysisUnavailableError as error:
            log.error("analysis_unavailable", analysis=name, reason=str(error))
            return
        missed = missed_device(work.device, why)
        if missed and missed != self._missed:
            log.warning("device_missed", analysis=name, reason=missed)
        self._missed = missed

    def triage(self, order: TriageOrder) -> TriageOutcome:
        """Read headers, choose the route, and enqueue the job that is owed."""
        try:
            with self._imports:
                if self._triage is None:
                    from dicom_node.work.triage import Triage

                    self._is_loaded = True
                    queue = JobQueue(self._settings.database_url)
                    self._triage = Triage(self._settings, self._registry, queue)
            return self._triage.run(order)
        except NodeError as error:
            verdict = Verdict.AGAIN if error.retryable else Verdict.FAILED
            return TriageOutcome(verdict=verdict, code=error.code, text=str(error))
        except Exception as error:  # noqa: BLE001 - the worker's loop
            outcome = _ended_by(error, order.id)
            return TriageOutcome(
                verdict=outcome.verdict, code=outcome.code, text=outcome.text
            )

    def analyse(self, job: Job) -> Outcome:
        """Decode and analyse, holding the result for `encode`.

        In memory alone: what a killed worker held is had again in seconds from the
        series itself, and no copy of its pixels lies about.
        """
        self.warm()
        try:
            self._held = (job.id, self._analyse(job))
        except Exception as error:  # noqa: BLE001 - the worker's loop
            return _ended_by(error, job.id)
        return Outcome(verdict=Verdict.DONE)

    def encode(self, job: Job, analysed: Outcome) -> Outcome:
        """Turn the result into DICOM objects in the outbox, and say who gets them."""
        with self._imports:
            _import_stages()
        try:
            if analysed.verdict is Verdict.REJECTED:
                return self._encode_note(job, analysed)
            return self._encode(job)
        except Exception as error:  # noqa: BLE001 - the worker's loop
            return _ended_by(error, job.id)

    def deliver(self, job: Job, peer: str, stored: Sequence[str]) -> DeliveryOutcome:
        """Send what is in the outbox, but for the instances already stored."""
        with self._imports:
            from dicom_node.peers import send as _send  # noqa: F401
            from dicom_node.work.deliver import deliver

        if peer not in self._settings.peers:
            text = f"no peer is named {peer} any more"
            return DeliveryOutcome(
                verdict=Verdict.FAILED, code="peer-unknown", text=text
            )
        try:
            return deliver(
                self._layout.job_outbox(job.id),
                peer,
                self._settings.peers[peer],
                calling_ae=self._settings.node.ae_title,
                stored=stored,
            )
        except Exception as error:  # noqa: BLE001 - the delivery loop
            outcome = _ended_by(error, job.id)
            is_passing = outcome.verdict is Verdict.AGAIN
            return DeliveryOutcome(
                verdict=Verdict.AGAIN if is_passing else Verdict.FAILED,
                code=outcome.code,
                text=outcome.text,
                stored=tuple(stored),
            )

    def _analyse(self, job: Job) -> Analysed:
        route = self._route(job)
        if route.follow_up is None:
            return self._analyse_series(job)
        from dicom_node.corrections.measure_again import measured_job
        from dicom_node.prior.compare import Seeking

        about = measured_job(self._layout, job)
        seeking = Seeking(self._settings, self._registry, about, route)
        with seeking.running():
            return seeking.applied(self._analyse_series(job))

    def _analyse_series(self, job: Job) -> Analysed:
        from dicom_node.corrections.measure_again import analyse_correction
        from dicom_node.decode.read_file import limits_of
        from dicom_node.plugins.analyse_series import analyse_series

        if job.correction is not None:
            return analyse_correction(
                self._layout,
                job,
                self._registry.get(job.analysis),
                self._settings.work,
            )
        return analyse_series(
            [instance.path for instance in job.series.instances],
            self._registry.get(job.analysis),
            threads=self._settings.work.threads,
            device=self._settings.work.device,
            limits=limits_of(self._settings.work.max_inflated_mb),
        )

    def _taken(self, job: Job) -> Analysed | None:
        """Return what `analyse` left in this process, and let go of it."""
        held, self._held = self._held, None
        return held[1] if held is not None and held[0] == job.id else None

    def _encode(self, job: Job) -> Outcome:
        from dicom_node.corrections.measure_again import measured_job
        from dicom_node.work.encode import encode_series
        from dicom_node.work.report_json import measured_report
        from dicom_node.work.series_notices import notices_about

        analysed = self._taken(job) or self._analyse(job)
        identity = self._identity(
            job,
            analysis_version=analysed.result.provenance.version,
            compared=analysed.result.details.get("follow_up"),
        )
        job = measured_job(self._layout, job)
        objects = encode_series(analysed, self._request(job, identity))
        report = measured_report(
            analysed.result,
            series_uid=job.series.series_uid,
            warnings=(*notices_about(job.series), *analysed.decoded.warnings),
            corrected_uid=analysed.corrected_uid,
        )
        self._publish(job, objects, report, analysed.result)
        return Outcome(
            verdict=Verdict.DONE,
            deliver_to=tuple(self._route(job).deliver_to),
            result_id=identity,
        )

    def _identity(
        self, job: Job, *, analysis_version: str, compared: Json = None
    ) -> str:
        """Return the identity of a result, as settings and versions are now.

        They may have changed since triage named the job.
        """
        from dicom_node.corrections.measure_again import measured_job

        measured = measured_job(self._layout, job).series
        shape = shape_of(
            replace(job, analysis_version=analysis_version),
            measured,
            self._route(job),
            self._settings,
        )
        return result_id(
            job, shape, compared="" if compared is None else json.dumps(compared)
        )

    def _encode_note(self, job: Job, analysed: Outcome) -> Outcome:
        """Write a page that tells the reason, if the route wants one.

        Only for a series that a route took: the CT beside it is nobody's business.
        """
        if not job.route or self._route(job).when_unsuitable == "silent":
            return analysed
        from dicom_node.corrections.measure_again import measured_job
        from dicom_node.decode.read_file import NotDicomError, read_file
        from dicom_node.encode.result_objects import encode_note
        from dicom_node.work.report_json import unsuitable_report
        from dicom_node.work.series_notices import notices_about

        identity = self._identity(job, analysis_version=job.analysis_version)
        job = measured_job(self._layout, job)
        reason = Reason(analysed.code, analysed.text)
        try:
            source = read_file(job.series.instances[0].path).dataset
        except (NotDicomError, SeriesRejectedError):
            return analysed  # without a header to copy from there is no page
        note = encode_note(
            title=_NOTE_TITLE,
            text=analysed.text,
            source=source,
            request=self._request(job, identity),
        )
        report = unsuitable_report(
            series_uid=job.series.series_uid,
            reason=reason,
            warnings=notices_about(job.series),
        )
        self._publish(job, [note], report, None)
        return replace(
            analysed,
            deliver_to=tuple(self._route(job).deliver_to),
            result_id=identity,
        )

    def _publish(
        self,
        job: Job,
        objects: Sequence[EncodedObject],
        report: Mapping[str, Any],
        result: AnalysisResult | None,
    ) -> None:
        """Put a result into the outbox, whole or not at all."""
        folder = self._layout.job_outbox(job.id)
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        overlay = None if result is None else result.pages[0]
        if result is not None and result.kept:
            write_synced(partial / KEPT, result.kept)
        write_results(partial, objects, report, overlay)
        replace_folder(partial, folder)

    def _request(self, job: Job, identity: str) -> EncodeRequest:
        from dicom_node.encode.result_context import EncodeRequest
        from dicom_node.work.series_notices import notices_about

        route = self._route(job)
        return EncodeRequest(
            job_id=identity,
            content_time=content_time(job, self._settings),
            series_number=route.result_series.number,
            per_source=route.result_series.per_source,
            description=route.result_series.description,
            revision=job.series.revision,
            supersedes=job.supersedes,
            notices=notices_about(job.series),
            objects=tuple(route.objects),
            segmentation=route.segmentation,
            language=route.language,
        )

    def _route(self, job: Job) -> Route:
        for route in self._settings.routes:
            if route.name == job.route:
                return route
        raise RouteUnknownError(job.route)


def _import_stages() -> None:
    from PIL import Image

    from dicom_node.corrections import measure_again as _outlines  # noqa: F401
    from dicom_node.encode.result_objects import load_encoders
    from dicom_node.peers import send as _send  # noqa: F401
    from dicom_node.work import encode as _encode  # noqa: F401

    Image.preinit()
    load_encoders()


def _ended_by(error: Exception, job_id: str) -> Outcome:
    """Say how a stage ended that an exception ended."""
    if isinstance(error, UnsuitableInput):
        return Outcome(verdict=Verdict.REJECTED, code=error.code, text=error.text)
    if isinstance(error, SeriesRejectedError):
        return Outcome(verdict=Verdict.REJECTED, code=error.reason, text=error.text)
    if isinstance(error, OutOfResources | MemoryError):
        text = str(error) or "out of memory"
        return Outcome(verdict=Verdict.AGAIN, code="out-of-resources", text=text)
    if isinstance(error, AnalysisFailed):
        return Outcome(verdict=Verdict.FAILED, code="analysis-failed", text=str(error))
    if isinstance(error, OSError) and is_machine_trouble(error):
        error = MachineTroubleError(error.strerror or type(error).__name__)
    if isinstance(error, NodeError):
        verdict = Verdict.AGAIN if error.retryable else Verdict.FAILED
        return Outcome(verdict=verdict, code=error.code, text=str(error))
    # A bug of ours. Its message may quote the dataset, so only its kind and place go
    # where an operator reads them.
    text = log.kind_and_place(error)
    log.error("stage_broke", job_id=job_id, error_code="internal-error", reason=text)
    return Outcome(verdict=Verdict.FAILED, code="internal-error", text=text)
