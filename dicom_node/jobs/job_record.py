"""A job as JSON, the form in which the database keeps it."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dicom_node.records import (
    Completion,
    Correction,
    Job,
    ReceivedSeries,
    StoredInstance,
)

Record = dict[str, Any]
"""JSON of a `Job`. Old records stay readable: a field may be added with a default, and
none may be renamed or removed, because a job outlives an upgrade of the node."""


def job_to_record(job: Job) -> Record:
    """Return the job as plain JSON values."""
    series = job.series
    return {
        "id": job.id,
        "route": job.route,
        "analysis": job.analysis,
        "analysis_version": job.analysis_version,
        "accepted_at_s": job.accepted_at_s,
        "rejection": list(job.rejection) if job.rejection else None,
        "supersedes": job.supersedes,
        **({"correction": asdict(job.correction)} if job.correction else {}),
        "series": {
            "study_uid": series.study_uid,
            "series_uid": series.series_uid,
            "calling_ae": series.calling_ae,
            "digest": series.digest,
            "completion": series.completion.value,
            "revision": series.revision,
            "conflicts": list(series.conflicts),
            "instances": [_instance_to_record(one) for one in series.instances],
        },
    }


def job_from_record(record: Record) -> Job:
    """Return the job that `job_to_record` wrote, by this version or an older one.

    Raises
    ------
    KeyError
        If a part that every version wrote is missing.
    """
    series = record["series"]
    rejection = record["rejection"]
    correction = record.get("correction")
    return Job(
        id=record["id"],
        route=record["route"],
        analysis=record["analysis"],
        analysis_version=record["analysis_version"],
        accepted_at_s=record["accepted_at_s"],
        rejection=(rejection[0], rejection[1]) if rejection else None,
        supersedes=record["supersedes"],
        correction=Correction(**correction) if correction else None,
        series=ReceivedSeries(
            study_uid=series["study_uid"],
            series_uid=series["series_uid"],
            calling_ae=series["calling_ae"],
            digest=series["digest"],
            completion=Completion(series["completion"]),
            revision=series["revision"],
            conflicts=tuple(series["conflicts"]),
            instances=tuple(_instance_from_record(one) for one in series["instances"]),
        ),
    )


def _instance_to_record(instance: StoredInstance) -> Record:
    record = {part.name: getattr(instance, part.name) for part in fields(instance)}
    return {**record, "path": str(instance.path)}


def _instance_from_record(record: Record) -> StoredInstance:
    return StoredInstance(**{**record, "path": Path(record["path"])})
