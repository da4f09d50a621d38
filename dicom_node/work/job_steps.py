"""The steps of a job, each of which ends in an outcome, whatever happens in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.contract.errors import AnalysisFailed, OutOfResources, UnsuitableInput
from dicom_node import log
from dicom_node.asked_commitments import AskedCommitments
from dicom_node.decode.machine_trouble import is_machine_trouble
from dicom_node.errors import (
    AnalysisUnavailableError,
    MachineTroubleError,
    NodeError,
    SeriesRejectedError,
)
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.step_outcome import (
    DeliveryOutcome,
    Outcome,
    ProofOrder,
    TriageOutcome,
    Verdict,
)
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.loading import loading
from dicom_node.plugins.chosen_device import chosen_device
from dicom_node.plugins.registry import Registry, runtime_of
from dicom_node.records import Job, StoredInstance
from dicom_node.settings.audit_plan import auditor_for
from dicom_node.settings.sections import Peer, Settings
from dicom_node.settings.self_test import TEST_PEER, receiver_of
from dicom_node.spool_layout import SpoolLayout
from dicom_node.work.audit_trail import AuditTrail
from dicom_node.work.compute_device import missed_device
from dicom_node.work.measured_ahead import MeasuredAhead
from dicom_node.work.shared_spool import SharedSpool

if TYPE_CHECKING:
    from dicom_node.plugins.analyse_series import Analysed
    from dicom_node.work.triage import Triage


_GONE = "the spool is not there: is its file system mounted?"


class JobSteps:
    """Triage, analyse, encode and deliver, on the spool of this node."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        *,
        is_one_of_several: bool = False,
    ) -> None:
        self._settings = settings
        self._is_one_of_several = is_one_of_several
        self._registry = registry
        self._triage: Triage | None = None
        self._layout = SpoolLayout(settings.spool.folder)
        self._spool = SharedSpool(self._layout, is_shared=is_one_of_several)
        self._is_warm = False
        self._is_loaded = False
        self._held: tuple[str, Analysed] | None = None
        self._ahead = MeasuredAhead()
        self._imports = registry.importing
        self._missed = ""
        self._runtimes: dict[str, str] = {}
        self._analyses: dict[str, str] = {}
        self._auditor = auditor_for(settings)
        self._trail = AuditTrail(self._auditor)

    @property
    def analyses(self) -> tuple[tuple[str, str], ...]:
        """Names and versions of the analyses that are in memory."""
        return tuple(self._analyses.copy().items())

    @property
    def runtimes(self) -> tuple[str, ...]:
        """What computes the analyses that are in memory."""
        return tuple(sorted({one for one in self._runtimes.copy().values() if one}))

    @property
    def is_loaded(self) -> bool:
        """Whether any large library is in memory."""
        return self._is_loaded

    def warm(self) -> None:
        """Import and load all that a job needs, while the series is still arriving."""
        with self._imports, nullcontext() if self._is_warm else loading():
            self._is_warm = self._is_loaded = True
            _import_steps()
            if any(route.follow_up for route in self._settings.routes):
                from dicom_node.prior import compare as _follow_up  # noqa: F401
            for name in dict.fromkeys(one.analysis for one in self._settings.routes):
                self._prepare(name)

    def _prepare(self, name: str) -> None:
        work = self._settings.work
        try:
            analysis, why = self._registry.prepared(
                name, threads=work.threads, device=chosen_device(work.device)
            )
        except AnalysisUnavailableError as error:
            log.error("analysis_unavailable", analysis=name, reason=str(error))
            return
        self._analyses[name] = version = str(analysis.version)
        runtime = runtime_of(analysis)
        if self._runtimes.get(name) != runtime:
            log.event(
                "analysis_loaded",
                analysis=name,
                analysis_version=version,
                runtime=runtime,
            )
        self._runtimes[name] = runtime
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
                    self._triage = Triage(
                        self._settings,
                        self._registry,
                        queue,
                        is_one_of_several=self._is_one_of_several,
                    )
            self._spool.wait_for(*(one.path for one in order.series.instances))
            outcome = self._triage.run(order)
        except NodeError as error:
            reason = MachineTroubleError(_GONE) if self._spool.is_gone else error
            verdict = Verdict.AGAIN if reason.retryable else Verdict.FAILED
            return TriageOutcome(verdict=verdict, code=reason.code, text=str(reason))
        except Exception as error:  # noqa: BLE001 - the worker's loop
            ended = self._ended_by(error, order.id)
            return TriageOutcome(
                verdict=ended.verdict, code=ended.code, text=ended.text
            )
        if outcome.verdict is not Verdict.AGAIN and not order.is_rerun:
            _told(lambda: self._trail.received(order.series))
        return outcome

    def analyse_ahead(self, instances: tuple[StoredInstance, ...]) -> Outcome:
        """Measure what is probably a series, for the job that may be owed for it.

        Whatever goes wrong goes wrong again in that job, which tells of it.
        """
        self.warm()
        started_s = time.monotonic()
        try:
            from dicom_node.work.analyse import measure_ahead

            verdict = measure_ahead(
                instances, self._settings, self._registry, self._ahead
            )
            reason = None
        except Exception as error:  # noqa: BLE001 - the worker's loop
            verdict, reason = Verdict.AGAIN, log.kind_and_place(error)
        log.event(
            "analysed_ahead",
            state=verdict.value,
            reason=reason,
            series_uid=instances[0].series_uid,
            instances=len(instances),
            duration_ms=round((time.monotonic() - started_s) * 1000),
        )
        return Outcome(verdict=verdict)

    def analyse(self, job: Job) -> Outcome:
        """Decode and analyse, holding the result for `encode`.

        In memory alone: what a killed worker held is had again in seconds from the
        series itself, and no copy of its pixels lies about.
        """
        self.warm()
        try:
            self._spool.wait_for(*(one.path for one in job.series.instances))
            self._held = (job.id, self._analyse(job))
        except Exception as error:  # noqa: BLE001 - the worker's loop
            return self._ended_by(error, job.id)
        _told(lambda: self._trail.accessed(job.series))
        return Outcome(verdict=Verdict.DONE)

    def encode(self, job: Job, analysed: Outcome) -> Outcome:
        """Turn the result into DICOM objects in the outbox, and say who gets them."""
        with self._imports:
            _import_steps()
            from dicom_node.work.encode import ResultEncoder
        try:
            encoder = ResultEncoder(self._settings)
            if analysed.verdict is Verdict.REJECTED:
                return encoder.encode_rejection(job, analysed)
            return encoder.encode(job, self._taken(job) or self._analyse(job))
        except Exception as error:  # noqa: BLE001 - the worker's loop
            return self._ended_by(error, job.id)

    def prove(
        self, job: Job, peer: str, stored: Sequence[str], order: ProofOrder
    ) -> DeliveryOutcome:
        """Have the peer show that it holds what it has stored."""
        with self._imports:
            from dicom_node.work.prove import Prover

        receiver = receiver_of(peer, self._settings)
        if receiver is None:
            return _peer_unknown(peer, stored)
        if not isinstance(receiver, Peer):  # it was another kind of peer before
            return DeliveryOutcome(verdict=Verdict.DONE, stored=tuple(stored))
        try:
            return Prover(
                name=peer,
                peer=receiver,
                calling_ae=self._settings.node.ae_title,
                folder=self._layout.job_outbox(job.id),
                asked=AskedCommitments(self._layout),
                auditor=self._auditor,
            ).prove(stored, order)
        except Exception as error:  # noqa: BLE001 - the delivery loop
            return _undelivered(self._ended_by(error, job.id), stored)

    def deliver(self, job: Job, peer: str, stored: Sequence[str]) -> DeliveryOutcome:
        """Send what is in the outbox, but for the instances already stored."""
        with self._imports:
            from dicom_node.peers import send as _send  # noqa: F401
            from dicom_node.work.deliver import deliver

        receiver = receiver_of(peer, self._settings)
        if receiver is None:
            return _peer_unknown(peer, stored)
        folder = self._layout.job_outbox(job.id)
        try:
            self._spool.wait_for(folder)
            self._refuse_if_gone()
            outcome = deliver(
                folder,
                peer,
                receiver,
                calling_ae=self._settings.node.ae_title,
                stored=stored,
            )
        except Exception as error:  # noqa: BLE001 - the delivery loop
            outcome = _undelivered(self._ended_by(error, job.id), stored)
        _told(lambda: self._trail.sent(folder, receiver, outcome, before=stored))
        if peer == TEST_PEER and outcome.verdict is Verdict.AGAIN:
            # The command that asked has gone, and does not come back.
            return replace(outcome, verdict=Verdict.FAILED)
        return outcome

    def _analyse(self, job: Job) -> Analysed:
        from dicom_node.work.analyse import analyse_job

        return analyse_job(job, self._settings, self._registry, self._ahead)

    def _ended_by(self, error: Exception, job_id: str) -> Outcome:
        """Return how a step ended that an exception ended; a spool that is gone did."""
        if self._spool.is_gone:
            error = MachineTroubleError(_GONE)
        return _ended_by(error, job_id)

    def _refuse_if_gone(self) -> None:
        if self._spool.is_gone:
            raise MachineTroubleError(_GONE)

    def _taken(self, job: Job) -> Analysed | None:
        """Return what `analyse` left in this process, and let go of it."""
        held, self._held = self._held, None
        return held[1] if held is not None and held[0] == job.id else None


def _told(tell: Callable[[], None]) -> None:
    """Tell of an event; what breaks in that breaks no step."""
    try:
        tell()
    except Exception as error:  # noqa: BLE001 - the worker's loop
        log.error("audit_message_lost", reason=log.kind_and_place(error))


def _peer_unknown(peer: str, stored: Sequence[str]) -> DeliveryOutcome:
    text = f"no peer is named {peer} any more"
    return DeliveryOutcome(
        verdict=Verdict.FAILED, code="peer-unknown", text=text, stored=tuple(stored)
    )


def _undelivered(ended: Outcome, stored: Sequence[str]) -> DeliveryOutcome:
    """Return how an attempt ended that an exception ended."""
    is_passing = ended.verdict is Verdict.AGAIN
    return DeliveryOutcome(
        verdict=Verdict.AGAIN if is_passing else Verdict.FAILED,
        code=ended.code,
        text=ended.text,
        stored=tuple(stored),
    )


def _import_steps() -> None:
    from PIL import Image

    from dicom_node.encode.result_objects import load_encoders
    from dicom_node.peers import send as _send  # noqa: F401
    from dicom_node.work import analyse as _analyse  # noqa: F401
    from dicom_node.work import encode as _encode  # noqa: F401

    Image.preinit()
    load_encoders()


def _ended_by(error: Exception, job_id: str) -> Outcome:
    """Return how a step ended that an exception ended."""
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
