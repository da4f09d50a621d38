"""`lumbar-node backup`: all that is owed, as a folder, of a node that may be running.

Here, in the room above both, for it takes files (`series`) and what is owed (`jobs`)
together; nothing is paused, so the order is what makes the two agree:

1. Contents (instances, results), hard links where that goes. This may take long.
2. Manifests. One that says *owed* was written after its order was in the database, so
   the database of the next step has it. None is taken later, for then it might not.
3. The database, as it is at one moment.
4. Contents again, for what is new. An instance is on the disk before anything in the
   database names it, and results before their delivery is; so whatever step 3 names is
   here. Retention may have deleted it since, once it was settled: step 1 has it.

What arrived after step 2 has no manifest: after a restore it is assembled as at a start
after a crash. If the database knows its order, the same content gives the same order,
and an order that is known changes nothing. An instance has its name only when it is
whole, and results are moved into place as one folder; a folder that was exchanged while
it was read is read again. So both are wholly there or not at all. Last comes the list.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE
from typing import TYPE_CHECKING

from dicom_node.errors import BackupError
from dicom_node.jobs.database_copy import copy_sqlite, sqlite_file
from dicom_node.node.backup_list import (
    DATABASE,
    LIST,
    SETTINGS,
    SPOOL,
    Progress,
    SavedList,
    write_list,
)
from dicom_node.spool_layout import EXPORT_KEY, NODE_ID, SpoolLayout

if TYPE_CHECKING:
    from dicom_node.settings.sections import Settings

_PARTIAL = ".partial"
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP})
"""Another file system, files of another user, too many links, or a file system that
has none: then a copy is made."""
_READS = 100
"""Of one folder; it is exchanged while it is read once in a very long time."""


def save(
    settings: Settings, settings_file: Path, folder: Path, progress: Progress
) -> SavedList:
    """Save a node into a folder that is empty or not there.

    Raises
    ------
    BackupError
        If that is not possible; what the folder then holds is refused by `restore`.
    JobDatabaseError
        If the job database cannot be read.
    """
    database = _database(settings)
    layout = SpoolLayout(settings.spool.folder)
    _check_place(folder, layout)
    copy = SpoolLayout(folder / SPOOL)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for made in (copy.inbox, copy.outbox, copy.unreadable):
            made.mkdir(mode=0o700, parents=True)
        _save_contents(layout, copy, progress)
        _save_manifests(layout, copy)
        copy_sqlite(database, folder / DATABASE)
        _save_contents(layout, copy, progress)
        if layout.content_times.is_file():
            copy_sqlite(layout.content_times, copy.content_times)
        for name in (NODE_ID, EXPORT_KEY):
            with suppress(FileNotFoundError):
                _take(layout.folder / name, copy.folder / name)
        shutil.copyfile(settings_file, folder / SETTINGS)
        os.sync()
        return write_list(folder, progress)
    except OSError as error:
        what = "" if error.filename is None else f"{error.filename}: "
        text = (
            f"the backup into {folder} failed: {what}{error.strerror}; it is not whole"
        )
        raise BackupError(text) from error


def _database(settings: Settings) -> Path:
    path = sqlite_file(settings.database_url)
    if path is None:
        text = (
            "the jobs are in PostgreSQL, which `backup` does not save: stop the node, "
            "run pg_dump and copy the spool folder (docs/operations.md)"
        )
        raise BackupError(text)
    if not path.is_file():
        text = "there is nothing to save: the node has never run with these settings"
        raise BackupError(text)
    return path


def _check_place(folder: Path, layout: SpoolLayout) -> None:
    if folder.resolve().is_relative_to(layout.folder.resolve()):
        text = f"{folder} lies in the spool folder: take another"
        raise BackupError(text)
    if (folder / LIST).exists():
        text = f"{folder} holds a backup already: take another folder"
        raise BackupError(text)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        text = f"{folder} is not an empty folder: take another"
        raise BackupError(text)


def _save_contents(layout: SpoolLayout, copy: SpoolLayout, progress: Progress) -> None:
    """Save instances and results, or what is new of them."""
    count = 0
    for folder in _entries(layout.inbox):
        for file in _entries(Path(folder.path)):
            if file.name.endswith(".dcm"):
                _save_if_new(Path(file.path), copy.inbox / folder.name / file.name)
                count += 1
                progress(f"{count} instances saved")
    for folder in _entries(layout.outbox):
        if not folder.name.endswith(_PARTIAL):
            _save_results(Path(folder.path), copy.outbox / folder.name)
            progress(f"results of {folder.name} saved")
    for file in _entries(layout.unreadable):
        if file.is_file(follow_symlinks=False):
            _save_if_new(Path(file.path), copy.unreadable / file.name)


def _save_manifests(layout: SpoolLayout, copy: SpoolLayout) -> None:
    for folder in _entries(layout.inbox):
        _unchanged(Path(folder.path), copy.inbox / folder.name, ".json")


def _save_results(source: Path, copy: Path) -> None:
    """Save the results of a job as they are now, also if they were made anew."""
    if copy.is_dir() and _times(copy) == _times(source):
        return
    partial = copy.with_name(copy.name + _PARTIAL)
    if _unchanged(source, partial, ""):
        shutil.rmtree(copy, ignore_errors=True)
        partial.rename(copy)


def _unchanged(source: Path, copy: Path, suffix: str) -> bool:
    """Save the files of a folder as they are at one moment; False if it has gone."""
    for _ in range(_READS):
        before = _state(source, suffix)
        if before is None:
            return False
        taken = []
        with suppress(FileNotFoundError):
            for name in before[1]:
                taken.append(copy / name)
                _take(source / name, copy / name)
        if _state(source, suffix) == before:
            return True
        for path in taken:
            path.unlink(missing_ok=True)
    message = f"the folder {source.name} changes all the time"
    raise BackupError(message)


def _state(folder: Path, suffix: str) -> tuple[int, list[str]] | None:
    """Return what tells whether a folder was exchanged; None if it has gone."""
    try:
        inode = folder.stat().st_ino
    except FileNotFoundError:
        return None
    names = [
        entry.name
        for entry in _entries(folder)
        if entry.name.endswith(suffix) and not entry.name.endswith(_PARTIAL)
    ]
    return inode, sorted(names)


def _times(folder: Path) -> dict[str, int]:
    """Return when each file of a folder was written; results are never changed."""
    times = {}
    for entry in _entries(folder):
        with suppress(FileNotFoundError):
            times[entry.name] = entry.stat().st_mtime_ns
    return times


def _save_if_new(source: Path, copy: Path) -> None:
    """Save a file, unless it was saved before; one that came again has a later time."""
    with suppress(FileNotFoundError):  # it was settled long ago, and is deleted
        time_ns = source.stat().st_mtime_ns
        if not copy.exists() or copy.stat().st_mtime_ns != time_ns:
            _take(source, copy)


def _take(source: Path, copy: Path) -> None:
    """Put a file into the backup under its final name only once it is whole."""
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = copy.with_name(copy.name + _PARTIAL)
    partial.unlink(missing_ok=True)
    try:
        os.link(source, partial, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _copy(source, partial)
    partial.replace(copy)
    # Two names of one inode: `replace` then does nothing, and leaves the first.
    partial.unlink(missing_ok=True)


def _copy(source: Path, copy: Path) -> None:
    with source.open("rb") as old, copy.open("wb") as new:
        shutil.copyfileobj(old, new)
        state = os.fstat(old.fileno())
        os.fchmod(new.fileno(), S_IMODE(state.st_mode))
        time_ns = state.st_mtime_ns
    os.utime(copy, ns=(time_ns, time_ns))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what lies in a folder; nothing if it has gone, or is a file."""
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from found
