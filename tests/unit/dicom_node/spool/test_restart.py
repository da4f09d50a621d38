"""Manifests, and what a start finds on the disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.errors import InstanceRefusedError, SpoolFailedError
from dicom_node.model import (
    Completion,
    ReceivedSeries,
    StoredInstance,
    StoreRequest,
)
from dicom_node.spool.content import read_instance, read_spool
from dicom_node.spool.inbox import Inbox
from dicom_node.spool.layout import SpoolLayout
from dicom_node.spool.manifest import (
    mark_owed,
    series_from_json,
    series_to_json,
    write_pending,
)
from tests.support.dicom_files import encoded, mr_instance


@pytest.fixture
def layout(tmp_path: Path) -> SpoolLayout:
    made = SpoolLayout(tmp_path / "spool")
    made.prepare()
    return made


def _keep(layout: SpoolLayout, *numbers: int) -> tuple[StoredInstance, ...]:
    stored: list[StoredInstance] = []
    inbox = Inbox(
        layout, min_free_bytes=0, stored=lambda _request, found: stored.append(found)
    )
    for number in numbers:
        dataset = mr_instance(number)
        request = StoreRequest(
            association_id="a-1",
            calling_ae="PACS",
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        )
        incoming = inbox.begin(request)
        incoming.write(memoryview(encoded(dataset)))
        incoming.finish()
    return tuple(stored)


def _series(instances: tuple[StoredInstance, ...]) -> ReceivedSeries:
    return ReceivedSeries(
        study_uid=instances[0].study_uid,
        series_uid=instances[0].series_uid,
        calling_ae="PACS",
        instances=instances,
        digest="d" * 64,
        completion=Completion.COUNT_CONFIRMED,
        revision=2,
        conflicts=("1.2",),
    )


def test_a_series_is_the_same_after_json(layout: SpoolLayout) -> None:
    series = _series(_keep(layout, 1, 2))
    assert series_from_json(json.loads(json.dumps(series_to_json(series)))) == series


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"completion": "never"}, {"instances": [{}]}, {"x": 1}]
)
def test_json_of_another_form_is_refused(
    layout: SpoolLayout, change: dict[str, object]
) -> None:
    plain = series_to_json(_series(_keep(layout, 1))) | change
    with pytest.raises(ValueError, match=r"manifest|never"):
        series_from_json(plain)


def test_a_start_finds_every_instance_as_it_was_told_of(layout: SpoolLayout) -> None:
    stored = _keep(layout, 1, 2, 3)
    found = {item.sop_instance_uid: item for item in read_spool(layout).instances}
    for item in stored:
        again = found[item.sop_instance_uid]
        # The file system keeps the time to the microsecond or so.
        assert again.received_at_s == pytest.approx(item.received_at_s, abs=1e-3)
        assert replace(again, received_at_s=item.received_at_s) == item


def test_a_manifest_is_pending_until_its_job_is_durable(layout: SpoolLayout) -> None:
    series = _series(_keep(layout, 1))
    write_pending(layout, series)
    assert read_spool(layout).pending == (series,)
    mark_owed(layout, series)
    content = read_spool(layout)
    assert (content.pending, content.owed) == ((), (series,))


def test_a_manifest_that_cannot_be_written_is_told(layout: SpoolLayout) -> None:
    series = _series(_keep(layout, 1))
    gone = replace(series, series_uid="9.9")
    with pytest.raises(SpoolFailedError):
        write_pending(layout, gone)
    with pytest.raises(SpoolFailedError):
        mark_owed(layout, gone)


def test_half_written_files_are_dropped(layout: SpoolLayout) -> None:
    (stored,) = _keep(layout, 1)
    (layout.tmp / "123-1").write_bytes(b"half")
    partial = stored.path.parent / "pending-1.json.partial"
    partial.write_bytes(b"{")
    assert len(read_spool(layout).instances) == 1
    assert not partial.exists()
    assert list(layout.tmp.iterdir()) == []


def test_foreign_and_damaged_files_are_set_aside_and_stop_nothing(
    layout: SpoolLayout,
) -> None:
    good, damaged, cut = _keep(layout, 1, 2, 3)
    content = bytearray(damaged.path.read_bytes())
    content[-1] ^= 1
    damaged.path.write_bytes(content)
    cut.path.write_bytes(cut.path.read_bytes()[:-100])
    folder = good.path.parent
    (folder / "notes.txt").write_text("Phantom^Lumbar")
    (folder / "empty.dcm").touch()
    (folder / "pending-1.json").write_text("{}")
    (folder / "owed-2.json").write_text("no JSON")
    (layout.inbox / "stray.dcm").write_bytes(bytes(200))
    (folder / "folder.dcm").mkdir()
    content_found = read_spool(layout)
    assert [item.path for item in content_found.instances] == [good.path]
    assert (content_found.pending, content_found.owed) == ((), ())
    assert len(list(layout.unreadable.iterdir())) == 8
    assert not any("Phantom" in path.name for path in layout.unreadable.iterdir())


def test_an_instance_under_another_name_is_none(layout: SpoolLayout) -> None:
    (stored,) = _keep(layout, 1)
    renamed = stored.path.rename(stored.path.with_name("renamed.dcm"))
    with pytest.raises(InstanceRefusedError):
        read_instance(renamed)
