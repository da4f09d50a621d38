"""What is deleted, and what stays."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pytest

from dicom_node.receive.file_meta import FileMeta, encode_meta
from dicom_node.records import Completion, ReceivedSeries, StoredInstance
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.manifest import mark_owed, write_pending
from dicom_node.series.retention import sweep_aside, sweep_jobs, sweep_series
from dicom_node.series.spool_content import read_spool
from dicom_node.spool_layout import SpoolLayout
from tests.support.dicom_files import encoded, mr_instance

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


def _series(
    layout: SpoolLayout, *, series_uid: str = "S", owed: bool = True
) -> ReceivedSeries:
    folder = layout.series_folder("ST", series_uid)
    folder.mkdir()
    path = folder / "instance.dcm"
    path.write_bytes(b"dataset")
    instance = StoredInstance(
        path=path,
        sop_class_uid="1",
        sop_instance_uid="2",
        study_uid="ST",
        series_uid=series_uid,
        transfer_syntax_uid="3",
        calling_ae="PACS",
        sha256="4",
        size_bytes=7,
        received_at_s=LONG_AGO_S,
    )
    series = ReceivedSeries(
        study_uid="ST",
        series_uid=series_uid,
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


def swept(
    layout: SpoolLayout, *, unsettled: Collection[str] = ()
) -> tuple[SeriesKey, ...]:
    """Sweep what was touched before `BEFORE_S`."""

    def removable_before(series: ReceivedSeries) -> float | None:
        return None if series.digest in unsettled else BEFORE_S

    steps = sweep_series(
        layout, removable_before=removable_before, touched_before_s=BEFORE_S
    )
    return tuple(key for keys in steps for key in keys)


def test_an_old_series_whose_jobs_are_settled_goes(layout: SpoolLayout) -> None:
    _series(layout)
    assert swept(layout) == (SeriesKey("ST", "S"),)
    assert list(layout.inbox.iterdir()) == list(layout.tmp.iterdir()) == []


def test_a_series_with_an_unsettled_job_stays(layout: SpoolLayout) -> None:
    series = _series(layout)
    assert swept(layout, unsettled={series.digest}) == ()


def test_a_series_that_is_not_yet_owed_stays(layout: SpoolLayout) -> None:
    _series(layout, owed=False)
    assert swept(layout) == ()


def test_a_series_that_is_still_collecting_stays(layout: SpoolLayout) -> None:
    folder = layout.series_folder("ST", "S")
    folder.mkdir()
    (folder / "instance.dcm").write_bytes(b"dataset")
    _age(folder)
    assert swept(layout) == ()


def test_a_series_with_a_young_instance_stays(layout: SpoolLayout) -> None:
    series = _series(layout)
    os.utime(series.instances[0].path, (BEFORE_S, BEFORE_S))
    assert swept(layout) == ()


def test_a_manifest_that_cannot_be_read_keeps_its_series_and_no_other(
    layout: SpoolLayout,
) -> None:
    folder = _series(layout).instances[0].path.parent
    (folder / "owed-x.json").write_text("no JSON")
    _age(folder)
    _series(layout, series_uid="other")
    assert swept(layout) == (SeriesKey("ST", "other"),)


def test_the_oldest_series_go_first_and_no_more_than_are_needed(
    layout: SpoolLayout,
) -> None:
    for number, uid in enumerate(("young", "old", "older")):
        folder = _series(layout, series_uid=uid).instances[0].path.parent
        for path in (*folder.iterdir(), folder):
            os.utime(path, (LONG_AGO_S - number, LONG_AGO_S - number))
    enough = iter((False, False, True))
    steps = sweep_series(
        layout,
        removable_before=lambda _: BEFORE_S,
        touched_before_s=BEFORE_S,
        is_enough=lambda: next(enough, True),
    )
    assert [key.series_uid for keys in steps for key in keys] == ["older", "old"]


def test_what_arrives_while_its_series_is_deleted_stays(
    layout: SpoolLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = _series(layout)
    folder = series.instances[0].path.parent
    instance = mr_instance(study="ST", series="S")
    rename = Path.rename

    def arrives_first(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        meta = FileMeta(
            sop_class_uid=str(instance.SOPClassUID),
            sop_instance_uid=str(instance.SOPInstanceUID),
            transfer_syntax_uid=str(instance.file_meta.TransferSyntaxUID),
            calling_ae="PACS",
            generation=2,
        )
        content = encode_meta(meta) + encoded(instance)
        (folder / "new.dcm").write_bytes(content)
        return path.rename(target)

    monkeypatch.setattr(Path, "rename", arrives_first)
    assert swept(layout) == (SeriesKey("ST", "S"),)
    assert [path.name for path in folder.iterdir()] == ["new.dcm"]


def test_a_deletion_that_was_cut_off_is_finished_at_the_next_start(
    layout: SpoolLayout,
) -> None:
    folder = _series(layout).instances[0].path.parent
    folder.rename(layout.doomed_folder(folder))
    assert read_spool(layout).instances == ()
    assert list(layout.inbox.iterdir()) == list(layout.tmp.iterdir()) == []


def test_results_of_settled_jobs_go(layout: SpoolLayout) -> None:
    for job in ("settled", "running", "young"):
        folder = layout.job_outbox(job)
        folder.mkdir()
        (folder / "seg.dcm").write_bytes(b"result")
        if job != "young":
            _age(folder)
    assert not any(
        sweep_jobs(layout, before_s=BEFORE_S, is_needed={"running"}.__contains__)
    )
    assert {path.name for path in layout.outbox.iterdir()} == {"running", "young"}


def test_what_was_fetched_or_set_aside_goes_when_it_is_old(
    layout: SpoolLayout,
) -> None:
    old, young = (layout.fetched_folder("ST", name) for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
        (folder / "instance.dcm").write_bytes(b"dataset")
    _age(old)
    torn, fresh = layout.unreadable / "torn", layout.unreadable / "fresh"
    for path in (torn, fresh):
        path.write_bytes(b"no DICOM")
    os.utime(torn, (LONG_AGO_S, LONG_AGO_S))
    assert not any(sweep_aside(layout, before_s=BEFORE_S))
    assert [path.exists() for path in (old, young, torn, fresh)] == [
        False,
        True,
        False,
        True,
    ]
