"""A file and its folder are synced at once, and nothing is said before both are."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicom_node.receive.folder_syncs import FolderSyncs

LONG_S = 10.0
FSYNC, FDATASYNC = os.fsync, os.fdatasync


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """A file that is open in the folder."""
    opened = os.open(tmp_path / "instance", os.O_CREAT | os.O_RDWR)
    yield opened
    os.close(opened)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, in the order in which it ended."""
    found: list[str] = []
    replace_syncs(monkeypatch, found.append)
    return found


def replace_syncs(
    monkeypatch: pytest.MonkeyPatch, then: Callable[[str], object]
) -> None:
    """Call `then` with "file" or "folder" after each sync."""

    def fsync(descriptor: int) -> None:
        FSYNC(descriptor)
        assert stat.S_ISDIR(os.fstat(descriptor).st_mode)
        then("folder")

    def fdatasync(descriptor: int) -> None:
        FDATASYNC(descriptor)
        assert stat.S_ISREG(os.fstat(descriptor).st_mode)
        then("file")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "fdatasync", fdatasync)


def failing(kind: str) -> Callable[[str], None]:
    """Return what raises after the sync of one of the two."""

    def fail(synced: str) -> None:
        if synced == kind:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    return fail


def test_both_are_synced_when_it_returns(
    descriptor: int, tmp_path: Path, synced: list[str]
) -> None:
    FolderSyncs().sync(descriptor, tmp_path)
    assert sorted(synced) == ["file", "folder"]


def test_both_are_synced_at_once(
    descriptor: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each of the two waits in its sync for the other one.
    together = threading.Barrier(2, timeout=LONG_S)
    replace_syncs(monkeypatch, lambda _: together.wait())
    FolderSyncs().sync(descriptor, tmp_path)
    assert not together.broken


def test_it_returns_after_the_slower_one(
    descriptor: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_is_synced, ended = threading.Event(), []

    def wait_for_the_file(kind: str) -> None:
        if kind == "file":
            file_is_synced.set()
        else:
            file_is_synced.wait(LONG_S)
            threading.Event().wait(0.05)
        ended.append(kind)

    replace_syncs(monkeypatch, wait_for_the_file)
    FolderSyncs().sync(descriptor, tmp_path)
    assert ended == ["file", "folder"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_failure_of_either_is_raised_and_the_next_one_is_synced(
    kind: str,
    descriptor: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    syncs = FolderSyncs()
    replace_syncs(monkeypatch, failing(kind))
    for _ in range(2):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            syncs.sync(descriptor, tmp_path)
    found: list[str] = []
    replace_syncs(monkeypatch, found.append)
    syncs.sync(descriptor, tmp_path)
    assert sorted(found) == ["file", "folder"]


def test_want_of_memory_in_the_folder_sync_is_no_success(
    descriptor: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(synced: str) -> None:
        if synced == "folder":
            raise MemoryError

    syncs = FolderSyncs()
    replace_syncs(monkeypatch, fail)
    with pytest.raises(MemoryError):
        syncs.sync(descriptor, tmp_path)
    monkeypatch.undo()
    syncs.sync(descriptor, tmp_path)


def test_a_folder_that_cannot_be_opened_costs_no_thread(
    descriptor: int, tmp_path: Path
) -> None:
    syncs = FolderSyncs()
    syncs.sync(descriptor, tmp_path)
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(OSError, match="No such file"):
            syncs.sync(descriptor, tmp_path / "nowhere")
        syncs.sync(descriptor, tmp_path)
    assert threading.active_count() == before


def test_without_a_thread_both_are_synced_one_after_the_other(
    descriptor: int,
    tmp_path: Path,
    synced: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    FolderSyncs().sync(descriptor, tmp_path)
    assert synced == ["file", "folder"]


def test_many_at_once_each_wait_for_their_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, set[str]] = {}
    names = {}
    for number in range(8):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "instance").touch()
        names[folder.stat().st_ino] = number
        names[(folder / "instance").stat().st_ino] = number
        seen[number] = set()

    def note(sync: Callable[[int], None], kind: str) -> Callable[[int], None]:
        def noted(descriptor: int) -> None:
            sync(descriptor)
            seen[names[os.fstat(descriptor).st_ino]].add(kind)

        return noted

    monkeypatch.setattr(os, "fsync", note(FSYNC, "folder"))
    monkeypatch.setattr(os, "fdatasync", note(FDATASYNC, "file"))
    syncs, complete = FolderSyncs(), []

    def store(number: int) -> None:
        folder = tmp_path / str(number)
        opened = os.open(folder / "instance", os.O_RDWR)
        for _ in range(20):
            seen[number].clear()
            syncs.sync(opened, folder)
            complete.append(seen[number] == {"file", "folder"})
        os.close(opened)

    threads = [threading.Thread(target=store, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(6 * LONG_S)
    assert complete == [True] * 160
