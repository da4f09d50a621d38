"""What the workflows call, and how they log it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from dicom_node import log
from dicom_node.jobs.step_outcome import (
    DeliveryOutcome,
    Outcome,
    ProofOrder,
    TriageOutcome,
)
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.records import Job, StoredInstance


class Work(Protocol):
    """Every method ends in a value, whatever happens."""

    def triage(self, order: TriageOrder) -> TriageOutcome:
        """Read headers, choose the route, and enqueue the job that is owed."""

    def analyse_ahead(self, instances: tuple[StoredInstance, ...]) -> Outcome:
        """Analyse what is probably a series, for the job that may be owed for it."""

    def analyse(self, job: Job) -> Outcome:
        """Decode and analyse, holding the result for `encode`."""

    def encode(self, job: Job, analysed: Outcome) -> Outcome:
        """Turn the result into DICOM objects in the outbox, and say who gets them."""

    def deliver(self, job: Job, peer: str, stored: Sequence[str]) -> DeliveryOutcome:
        """Send what is in the outbox, but for the instances already stored."""

    def prove(
        self, job: Job, peer: str, stored: Sequence[str], order: ProofOrder
    ) -> DeliveryOutcome:
        """Have the peer show that it holds what it has stored."""


def log_settled(job: Job, state: str, code: str) -> None:
    """Write the line that a job has come to its end."""
    log.event(
        "job_settled",
        state=state,
        error_code=code or None,
        instances=len(job.series.instances),
        completion=job.series.completion.value,
        revision=job.series.revision,
        calling_ae=job.series.calling_ae,
        study_uid=job.series.study_uid,
        duration_ms=round((time.time() - job.accepted_at_s) * 1000),
        **job_fields(job),
    )


def job_fields(job: Job) -> dict[str, Any]:
    """Return what each line of the log says of a job."""
    return {
        "job_id": job.id,
        "series_uid": job.series.series_uid,
        "route": job.route,
        "analysis": job.analysis,
        "analysis_version": job.analysis_version,
    }


def since_ms(started: float) -> int:
    """Return how long it is since a time of the monotonic clock."""
    return round((time.monotonic() - started) * 1000)
