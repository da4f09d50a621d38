"""An instance is in the inbox whole, with the bytes that were sent, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_node.errors import (
    InstanceMismatchError,
    InstanceRefusedError,
    NodeError,
    SpoolFailedError,
    SpoolFullError,
)
from dicom_node.receive.write_instance import Inbox
from dicom_node.records import StoredInstance, StoreRequest
from dicom_node.series.spool_content import read_instance
from dicom_node.spool_layout import SpoolLayout
from tests.support.dicom_files import dataset_bytes, encoded, mr_instance


class Desk:
    """An inbox, what it told of, and a clock that goes on by a second a reading."""

    def __init__(self, folder: Path, *, min_free_bytes: int = 0) -> None:
        self.layout = SpoolLayout(folder)
        self.layout.prepare()
        self.stored: list[StoredInstance] = []
        self._now_s = 1000.0
        self._inbox = Inbox(
            self.layout,
            min_free_bytes=min_free_bytes,
            stored=lambda _request, instance: self.stored.append(instance),
            own_ae="LUMBAR_AI",
            clock=self._clock,
        )

    def _clock(self) -> float:
        self._now_s += 1
        return self._now_s

    def keep(
        self,
        content: bytes,
        *,
        sop_instance_uid: str,
        sop_class_uid: str = "1.2.840.10008.5.1.4.1.1.4",
        step: int = 1000,
        move_originator: str = "",
    ) -> None:
        """Give the inbox a dataset in pieces, as an association does."""
        request = StoreRequest(
            association_id="a-1",
            calling_ae="PACS",
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            move_originator=move_originator,
        )
        incoming = self._inbox.begin(request)
        try:
            for start in range(0, len(content), step):
                incoming.write(memoryview(content)[start : start + step])
            incoming.finish()
        except NodeError:
            incoming.discard()
            raise

    def send(self, dataset: Dataset) -> None:
        self.keep(encoded(dataset), sop_instance_uid=str(dataset.SOPInstanceUID))

    def files(self) -> list[Path]:
        return sorted(path for path in self.layout.folder.rglob("*") if path.is_file())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "spool")


def test_the_dataset_lies_there_as_it_was_sent(desk: Desk) -> None:
    dataset = mr_instance()
    desk.send(dataset)
    (stored,) = desk.stored
    assert dataset_bytes(stored.path) == encoded(dataset)
    assert stored.size_bytes == len(encoded(dataset))
    assert dcmread(stored.path).file_meta.SourceApplicationEntityTitle == "PACS"
    assert desk.files() == [stored.path]


def test_the_same_content_again_is_the_same_file_and_came_last(desk: Desk) -> None:
    for content in (0, 1, 0):
        desk.send(mr_instance(content=content))
    first, second, third = desk.stored
    assert first.path == third.path
    assert sorted([first.path, second.path]) == desk.files()
    assert first.generation < second.generation < third.generation
    # On the disk, too, which is all that is known after a restart.
    assert read_instance(third.path) == third
    assert read_instance(second.path) == second


def test_the_same_content_again_is_never_exchanged_for_what_is_not_durable(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.send(mr_instance())
    (stored,) = desk.stored

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SpoolFailedError):
        desk.send(mr_instance())
    assert desk.files() == [stored.path]
    assert read_instance(stored.path) == stored


def test_the_same_series_uid_in_two_studies_is_two_series(desk: Desk) -> None:
    one, two = mr_instance(study="one"), mr_instance(study="two")
    two.SeriesInstanceUID = one.SeriesInstanceUID
    desk.send(one)
    desk.send(two)
    assert len({stored.path.parent for stored in desk.stored}) == 2


@pytest.mark.parametrize("uid", ["../../etc/passwd", "/tmp/x", "1.2\0.3", "..", "*"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_path_characters_in_uids_stay_out_of_paths(desk: Desk, uid: str) -> None:
    dataset = mr_instance()
    content = encoded(dataset)
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        own = str(dataset[keyword].value).encode()
        content = content.replace(own, uid.encode().ljust(len(own), b"\0"))
    desk.keep(content, sop_instance_uid=uid)
    (stored,) = desk.stored
    assert stored.sop_instance_uid == uid
    assert desk.files() == [stored.path]
    assert stored.path.is_relative_to(desk.layout.inbox)


def test_another_instance_than_announced_is_refused(desk: Desk) -> None:
    with pytest.raises(InstanceMismatchError):
        desk.keep(encoded(mr_instance()), sop_instance_uid="1.2.3")
    assert desk.files() == []


def test_another_class_than_announced_is_refused(desk: Desk) -> None:
    dataset = mr_instance()
    with pytest.raises(InstanceMismatchError):
        desk.keep(
            encoded(dataset),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        )
    assert desk.files() == []


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", bytes(5000)])
def test_what_is_no_dataset_is_refused_and_leaves_nothing(
    desk: Desk, content: bytes
) -> None:
    with pytest.raises(InstanceRefusedError):
        desk.keep(content, sop_instance_uid="1.2.3")
    assert desk.files() == []
    assert desk.stored == []


def test_the_uids_may_stand_behind_a_large_private_block(desk: Desk) -> None:
    dataset = mr_instance()
    block = dataset.private_block(0x0009, "PHANTOM", create=True)
    block.add_new(0x01, "OB", bytes(200_000))
    desk.send(dataset)
    assert len(desk.stored) == 1


def test_a_disk_below_its_limit_takes_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, min_free_bytes=2**62)
    with pytest.raises(SpoolFullError):
        desk.send(mr_instance())
    assert desk.files() == []


def test_what_a_killed_process_of_our_id_left_costs_no_instance(desk: Desk) -> None:
    for number in (1, 2):
        (desk.layout.tmp / f"{os.getpid()}-{number}").write_bytes(b"torn")
    desk.send(mr_instance())
    assert len(desk.stored) == 1


@pytest.mark.parametrize("failing", ["fdatasync", "fsync"])
@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, SpoolFullError), (errno.EIO, SpoolFailedError)],
)
def test_a_disk_that_fails_at_the_last_moment_keeps_nothing(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    number: int,
    expected: type[NodeError],
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(expected):
        desk.send(mr_instance())
    assert desk.files() == []
    assert desk.stored == []


@pytest.mark.parametrize(
    ("move_originator", "is_told"),
    [("LUMBAR_AI", False), ("WORKSTATION", True), ("", True)],
)
def test_what_we_asked_for_is_kept_apart_and_nobody_is_told(
    desk: Desk, move_originator: str, *, is_told: bool
) -> None:
    instance = mr_instance()
    desk.keep(
        encoded(instance),
        sop_instance_uid=str(instance.SOPInstanceUID),
        move_originator=move_originator,
    )
    series = str(instance.StudyInstanceUID), str(instance.SeriesInstanceUID)
    place = desk.layout.series_folder if is_told else desk.layout.fetched_folder
    assert [path.parent for path in desk.files()] == [place(*series)]
    assert len(desk.stored) == is_told
