"""Jobs outlive the version of the node that accepted them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dicom_node.jobs.dbos_setup import APPLICATION_VERSION
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.record_codec import from_record, to_record
from dicom_node.records import Completion, Job, Reason, ReceivedSeries, StoredInstance

# As the first release wrote it: never to be changed, only added to.
RECORD_OF_0_1 = {
    "id": "9e8673fa7b9bb8e191e0a41bee85df3f",
    "route": "lumbar",
    "analysis": "lumbar-mri",
    "analysis_version": "0.1.0+r1.ef519307",
    "accepted_at_s": 1795237305.5,
    "rejection": ["not_mr", "modality CT"],
    "supersedes": None,
    "series": {
        "study_uid": "1.2",
        "series_uid": "1.2.3",
        "calling_ae": "PACS",
        "digest": "d" * 64,
        "completion": "released-and-quiet",
        "revision": 2,
        "conflicts": ["1.2.3.4"],
        "instances": [
            {
                "path": "/spool/inbox/a/b.dcm",
                "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4",
                "sop_instance_uid": "1.2.3.4",
                "study_uid": "1.2",
                "series_uid": "1.2.3",
                "transfer_syntax_uid": "1.2.840.10008.1.2.1",
                "calling_ae": "PACS",
                "sha256": "e" * 64,
                "size_bytes": 524288,
                "received_at_s": 1795237305.5,
            }
        ],
    },
}
JOB_OF_0_1 = Job(
    id="9e8673fa7b9bb8e191e0a41bee85df3f",
    route="lumbar",
    analysis="lumbar-mri",
    analysis_version="0.1.0+r1.ef519307",
    accepted_at_s=1795237305.5,
    rejection=Reason("not_mr", "modality CT"),
    series=ReceivedSeries(
        study_uid="1.2",
        series_uid="1.2.3",
        calling_ae="PACS",
        digest="d" * 64,
        completion=Completion.RELEASED_AND_QUIET,
        revision=2,
        conflicts=("1.2.3.4",),
        instances=(
            StoredInstance(
                path=Path("/spool/inbox/a/b.dcm"),
                sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
                sop_instance_uid="1.2.3.4",
                study_uid="1.2",
                series_uid="1.2.3",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                calling_ae="PACS",
                sha256="e" * 64,
                size_bytes=524288,
                received_at_s=1795237305.5,
            ),
        ),
    ),
)


def test_a_record_of_the_first_release_is_still_read() -> None:
    assert from_record(Job, RECORD_OF_0_1) == JOB_OF_0_1


def as_far_as(known: Any, written: Any) -> Any:
    """Return what was written without the fields that are not known."""
    if isinstance(known, dict):
        return {key: as_far_as(known[key], written[key]) for key in known}
    if isinstance(known, list):
        return [as_far_as(*pair) for pair in zip(known, written, strict=True)]
    return written


def test_a_job_is_written_as_the_first_release_reads_it() -> None:
    written = json.loads(json.dumps(to_record(JOB_OF_0_1)))
    assert as_far_as(RECORD_OF_0_1, written) == RECORD_OF_0_1


def test_a_record_of_a_later_release_is_read_without_what_it_adds() -> None:
    later = {**RECORD_OF_0_1, "added": {"later": True}}
    assert from_record(Job, later) == JOB_OF_0_1


def test_recovery_does_not_depend_on_the_version_of_the_package() -> None:
    # DBOS takes up only workflows of its own version: another name here would orphan
    # every job that was accepted before an upgrade.
    assert APPLICATION_VERSION == "jobs-1"


def test_a_delivery_id_names_job_peer_and_attempt() -> None:
    first = DeliveryId(job_id="9e86", peer="pacs-1", number=1)
    assert str(first) == "9e86:pacs-1:1"
    assert DeliveryId.parse("9e86:pacs-1:1") == first
    assert str(first.next()) == "9e86:pacs-1:2"
