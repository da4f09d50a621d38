"""What a node finds on its disk when it starts, and what it reads of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset

from dicom_node.errors import InstanceDamagedError, InstanceMissingError
from dicom_node.receive.arrival_number import Generations
from dicom_node.receive.write_instance import Inbox
from dicom_node.records import (
    Completion,
    ReceivedSeries,
    StoredInstance,
    StoreRequest,
)
from dicom_node.series import spool_content
from dicom_node.series.manifest import mark_owed, write_pending
from dicom_node.series.spool_content import read_spool, unreported_instances
from dicom_node.series.verify_files import verify_files
from dicom_node.spool_layout import SpoolLayout
from tests.support.dicom_files import encoded, mr_instance


class Disk:
    """A spool, and what its inbox told of."""

    def __init__(self, folder: Path) -> None:
        self.layout = SpoolLayout(folder)
        self.layout.prepare()
        self.stored: list[StoredInstance] = []
        self.now_s = 1000.0
        self._inbox = Inbox(
            self.layout,
            min_free_bytes=0,
            stored=lambda _request, instance: self.stored.append(instance),
            generations=Generations.after(0),
            clock=lambda: self.now_s,
        )

    def send(self, dataset: Dataset) -> StoredInstance:
        """Store one instance."""
        request = StoreRequest(
            association_id="a-1",
            calling_ae="PACS",
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        )
        incoming = self._inbox.begin(request)
        incoming.write(memoryview(encoded(dataset)))
        incoming.finish()
        return self.stored[-1]

    def complete(self, *instances: StoredInstance, owed: bool = True) -> ReceivedSeries:
        """Write the manifest of these instances."""
        series = ReceivedSeries(
            study_uid=instances[0].study_uid,
            series_uid=instances[0].series_uid,
            calling_ae="PACS",
            instances=instances,
            digest="d" * 64,
            completion=Completion.RELEASED_AND_QUIET,
        )
        write_pending(self.layout, series)
        if owed:
            mark_owed(self.layout, series)
        return series


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "spool")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are read as a whole, as they are."""
    paths: list[Path] = []
    real = spool_content.read_instance

    def noted(path: Path) -> StoredInstance:
        paths.append(path)
        return real(path)

    monkeypatch.setattr(spool_content, "read_instance", noted)
    return paths


def test_what_a_manifest_vouches_for_is_not_read_again(
    disk: Disk, read: list[Path]
) -> None:
    instances = [disk.send(mr_instance(number)) for number in (1, 2)]
    series = disk.complete(*instances)
    late = disk.send(mr_instance(3))
    content = read_spool(disk.layout)
    assert set(content.instances) == {*instances, late}
    assert content.owed == (series,)
    assert content.latest_generation == late.generation
    assert read == [late.path]


def test_a_torn_file_that_was_never_acknowledged_is_set_aside(disk: Disk) -> None:
    whole, torn = disk.send(mr_instance(1)), disk.send(mr_instance(2))
    disk.complete(whole)
    with torn.path.open("r+b") as file:
        file.truncate(torn.size_bytes // 2)
    assert read_spool(disk.layout).instances == (whole,)
    assert len(list(disk.layout.unreadable.iterdir())) == 1
    assert not torn.path.exists()


def test_what_came_again_after_its_manifest_is_of_its_new_generation(
    disk: Disk,
) -> None:
    old, other = disk.send(mr_instance()), disk.send(mr_instance(content=1))
    disk.complete(old)
    disk.now_s -= 500.0  # the clock is set back
    again = disk.send(mr_instance())
    found = {one.sha256: one for one in read_spool(disk.layout).instances}
    assert found == {old.sha256: again, other.sha256: other}
    assert again.generation > other.generation
    assert again.received_at_s < other.received_at_s


def test_a_spool_of_the_first_release_is_in_the_order_of_its_times(
    disk: Disk,
) -> None:
    stored = disk.send(mr_instance())
    former = replace(stored, generation=0)
    disk.complete(former)
    assert read_spool(disk.layout).instances == (former,)


def test_a_file_that_is_not_ours_is_set_aside(disk: Disk) -> None:
    stored = disk.send(mr_instance())
    (stored.path.parent / "notes.txt").write_text("not ours")
    (disk.layout.inbox / "stray").write_text("not ours")
    (stored.path.parent / "owed-1.json").write_text("no JSON")
    content = read_spool(disk.layout)
    assert content.instances == (stored,)
    assert len(list(disk.layout.unreadable.iterdir())) == 3


def test_a_foreign_name_that_is_no_text_keeps_no_node_from_its_start(
    disk: Disk,
) -> None:
    stored = disk.send(mr_instance())
    for folder in (disk.layout.inbox, stored.path.parent):
        Path(os.fsdecode(os.fsencode(folder) + b"/M\xfcller.dcm")).touch()
    assert read_spool(disk.layout).instances == (stored,)
    assert len(list(disk.layout.unreadable.iterdir())) == 2


def test_a_manifest_of_a_deleted_file_vouches_for_nothing(disk: Disk) -> None:
    kept, lost = disk.send(mr_instance(1)), disk.send(mr_instance(2))
    disk.complete(kept, lost, owed=False)
    lost.path.unlink()
    content = read_spool(disk.layout)
    assert content.instances == (kept,)
    assert len(content.pending) == 1


def test_what_an_acceptor_left_unsaid_is_found_whatever_the_clock_says(
    disk: Disk,
) -> None:
    told, again = disk.send(mr_instance(1)), disk.send(mr_instance(2))
    disk.now_s += 86400.0
    unsaid, repeated = disk.send(mr_instance(3)), disk.send(mr_instance(2))
    assert {*unreported_instances(disk.layout, [told, again])} == {unsaid, repeated}
    assert list(unreported_instances(disk.layout, disk.stored)) == []


def test_a_folder_with_a_time_of_its_own_does_not_matter(disk: Disk) -> None:
    stored = disk.send(mr_instance())
    disk.complete(stored)
    os.utime(stored.path.parent, (0, 0))
    assert read_spool(disk.layout).instances == (stored,)


def test_what_was_acknowledged_is_verified_when_it_is_used(disk: Disk) -> None:
    one, other = disk.send(mr_instance(1)), disk.send(mr_instance(2))
    series = disk.complete(one, other)
    verify_files(series)
    content = bytearray(other.path.read_bytes())
    content[-1] ^= 1
    other.path.write_bytes(content)
    with pytest.raises(InstanceDamagedError, match="1 of 2 instances are damaged"):
        verify_files(series)
    other.path.unlink()
    with pytest.raises(InstanceMissingError, match="1 of 2 instances are no longer"):
        verify_files(series)


def test_who_reads_a_large_spool_can_give_a_sign_of_life_before_each_series(
    disk: Disk,
) -> None:
    signs: list[int] = []
    for number in (1, 2, 3):
        disk.send(mr_instance(number))
    read_spool(disk.layout, each=lambda: signs.append(1))
    assert len(signs) == len(list(disk.layout.inbox.iterdir()))
