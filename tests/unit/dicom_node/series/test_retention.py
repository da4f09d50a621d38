"""What is deleted, and what stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dicom_node.records import Completion, ReceivedSeries, StoredInstance
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.manifest import mark_owed, write_pending
from dicom_node.series.retention import sweep_fetched, sweep_jobs, sweep_series
from dicom_node.spool_layout import SpoolLayout

LONG_AGO_S = 1000.0
BEFORE_S = 5000.0


@pytest.fixture
def layout(tmp_path: Path) -> SpoolLayout:
    made = SpoolLayout(tmp_path)
    made.prepare()
    return made


def _age(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))


def _series(layout: SpoolLayout, *, owed: bool = True) -> ReceivedSeries:
    folder = layout.series_folder("ST", "S")
    folder.mkdir()
    path = folder / "instance.dcm"
    path.write_bytes(b"dataset")
    instance = StoredInstance(
        path=path,
        sop_class_uid="1",
        sop_instance_uid="2",
        study_uid="ST",
        series_uid="S",
        transfer_syntax_uid="3",
        calling_ae="PACS",
        sha256="4",
        size_bytes=7,
        received_at_s=LONG_AGO_S,
    )
    series = ReceivedSeries(
        study_uid="ST",
        series_uid="S",
        calling_ae="PACS",
        instances=(instance,),
        digest="d" * 64,
        completion=Completion.MAX_WAIT,
    )
    write_pending(layout, series)
    if owed:
        mark_owed(layout, series)
    _age(folder)
    return series


def test_an_old_series_whose_jobs_are_settled_goes(layout: SpoolLayout) -> None:
    _series(layout)
    gone = sweep_series(layout, before_s=BEFORE_S, unsettled=())
    assert gone == (SeriesKey("ST", "S"),)
    assert list(layout.inbox.iterdir()) == []


def test_a_series_with_an_unsettled_job_stays(layout: SpoolLayout) -> None:
    series = _series(layout)
    assert sweep_series(layout, before_s=BEFORE_S, unsettled={series.digest}) == ()


def test_a_series_that_is_not_yet_owed_stays(layout: SpoolLayout) -> None:
    _series(layout, owed=False)
    assert sweep_series(layout, before_s=BEFORE_S, unsettled=()) == ()


def test_a_series_that_is_still_collecting_stays(layout: SpoolLayout) -> None:
    folder = layout.series_folder("ST", "S")
    folder.mkdir()
    (folder / "instance.dcm").write_bytes(b"dataset")
    _age(folder)
    assert sweep_series(layout, before_s=BEFORE_S, unsettled=()) == ()


def test_a_series_with_a_young_instance_stays(layout: SpoolLayout) -> None:
    series = _series(layout)
    os.utime(series.instances[0].path, (BEFORE_S, BEFORE_S))
    assert sweep_series(layout, before_s=BEFORE_S, unsettled=()) == ()


def test_a_manifest_that_cannot_be_read_keeps_its_series(layout: SpoolLayout) -> None:
    folder = _series(layout).instances[0].path.parent
    (folder / "owed-x.json").write_text("no JSON")
    _age(folder)
    assert sweep_series(layout, before_s=BEFORE_S, unsettled=()) == ()


def test_results_of_settled_jobs_go(layout: SpoolLayout) -> None:
    for job in ("settled", "running", "young"):
        folder = layout.job_outbox(job)
        folder.mkdir()
        (folder / "seg.dcm").write_bytes(b"result")
        if job != "young":
            _age(folder)
    gone = sweep_jobs(layout, before_s=BEFORE_S, unsettled={"running"})
    assert gone == ("settled",)
    assert {path.name for path in layout.outbox.iterdir()} == {"running", "young"}


def test_what_was_fetched_for_a_comparison_goes_when_it_is_old(
    layout: SpoolLayout,
) -> None:
    old, young = (layout.fetched_folder("ST", name) for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
        (folder / "instance.dcm").write_bytes(b"dataset")
    _age(old)
    sweep_fetched(layout, before_s=BEFORE_S)
    assert not old.exists()
    assert young.exists()
