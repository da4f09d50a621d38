"""The measurements of many series in one table, with UIDs or with pseudonyms."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicom_node.cli.export_measurements import Exported, Pseudonyms, export
from dicom_node.records import JobRow, JobState
from dicom_node.spool_layout import SpoolLayout

LATE = JobRow(
    id="late",
    state=JobState.DONE,
    route="lumbar",
    series_uid="1.2.3",
    study_uid="1.2",
    calling_ae="PACS",
    instances=9,
    accepted_at_s=1.8e9,
    settled_at_s=1.8e9,
    reason="",
    digest="",
    revision=2,
)
EARLY = replace(LATE, id="early", accepted_at_s=1.7e9, revision=1)
EDITED = replace(LATE, id="edited", series_uid="1.2.9", corrects="1.2.3")
OTHER = replace(LATE, id="other", series_uid="1.2.4", study_uid="1.1")


@pytest.fixture
def layout(tmp_path: Path) -> SpoolLayout:
    return SpoolLayout(tmp_path)


def measured(layout: SpoolLayout, job: JobRow, height_mm: float | None) -> None:
    """Write what `report.json` of a job holds."""
    level: dict[str, Any] = {
        "level": "L1/L2",
        "disc_height_mm": height_mm,
        "pfirrmann_grade": 2,
        "pfirrmann_range": [1, 2],
        "uncertainty": {"disc_height_mm": 0.5},
        "unmeasured": {},
    }
    report = {
        "status": "measured",
        "analysis": {"version": "0.1.0+r10"},
        "levels": [level, {**level, "level": "L2/L3"}],
        "upper_levels": [],
    }
    folder = layout.job_outbox(job.id)
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report))


def table(
    layout: SpoolLayout, *jobs: JobRow, **more: Any
) -> tuple[Exported, list[dict[str, str]]]:
    out = io.StringIO(newline="")
    done = export(jobs, layout, out, **more)
    return done, list(csv.DictReader(io.StringIO(out.getvalue())))


def test_a_disc_is_a_row_with_its_values_and_their_uncertainties(
    layout: SpoolLayout,
) -> None:
    measured(layout, LATE, 7.5)
    done, (first, second) = table(layout, LATE)
    assert done == Exported(rows=2, series=1, without_report=0)
    assert first.pop("accepted").startswith("2027-01-15T")
    assert first == {
        "study": "1.2",
        "series": "1.2.3",
        "corrected": "0",
        "analysis_version": "0.1.0+r10",
        "level": "L1/L2",
        "disc_height_mm": "7.5",
        "disc_height_mm_uncertainty": "0.5",
        "pfirrmann_grade": "2",
    }
    assert second["level"] == "L2/L3"


def test_the_last_result_of_a_series_counts_that_is_still_there(
    layout: SpoolLayout,
) -> None:
    for job, height_mm in ((EARLY, 1.0), (EDITED, 3.0), (OTHER, None)):
        measured(layout, job, height_mm)
    (layout.job_outbox(LATE.id)).mkdir()
    (layout.job_outbox(LATE.id) / "report.json").write_text('{"status": "unsuit')
    done, rows = table(layout, LATE, EDITED, EARLY, OTHER)
    assert done == Exported(rows=4, series=2, without_report=1)
    found = [(row["study"], row["corrected"], row["disc_height_mm"]) for row in rows]
    assert found[::2] == [("1.2", "1", "3.0"), ("1.1", "0", "")]


def test_pseudonyms_are_those_of_the_last_export_and_tell_no_uid(
    layout: SpoolLayout, tmp_path: Path
) -> None:
    measured(layout, LATE, 7.5)
    secret = tmp_path / "export.key"
    (_, first), (_, again) = (
        table(layout, LATE, pseudonyms=Pseudonyms(secret)) for _ in range(2)
    )
    assert first == again
    assert first[0]["study"] != first[0]["series"]
    assert "accepted" not in first[0]
    assert not {"1.2", "1.2.3"} & set(first[0].values())
    assert secret.stat().st_mode & 0o777 == 0o600
    _, other = table(layout, LATE, pseudonyms=Pseudonyms(tmp_path / "other.key"))
    assert other[0]["study"] != first[0]["study"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_secret_that_root_makes_is_the_users_who_has_the_spool(
    tmp_path: Path,
) -> None:
    os.chown(tmp_path, 10001, 10002)
    Pseudonyms(tmp_path / "export.key")
    made = (tmp_path / "export.key").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (10001, 10002, 0o600)
