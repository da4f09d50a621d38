"""`lumbar-node restore`: a backup into an empty spool, which then owes what was owed.

Here, beside `backup`, because it takes the spool's lock as a starting node does. All is
checked before anything is written. While files are written, a mark lies in the spool,
on which no node starts: one that was cut off is never taken for a whole one. Records
hold absolute paths; they are rewritten for where the instances lie now.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.errors import BackupError
from dicom_node.jobs.database_copy import count_owed, move_records, sqlite_file
from dicom_node.node.backup_list import (
    DATABASE,
    SPOOL,
    Progress,
    SavedList,
    read_list,
    verify,
)
from dicom_node.node.ownership import ID_LOCK, LOCK, RESTORING, spool_lock
from dicom_node.series.manifest import move_manifest
from dicom_node.spool_layout import (
    NODE_ID,
    TRIAGE_LOCK,
    SpoolLayout,
    sync_folder,
    write_durable,
)

if TYPE_CHECKING:
    from dicom_node.settings.sections import Settings

_NO_CONTENT = frozenset({LOCK, ID_LOCK, NODE_ID, TRIAGE_LOCK, "lost+found"})
"""Of a spool in which no node has run, or of a disk of its own."""
_BESIDE_SQLITE = ("", "-wal", "-shm", "-journal")


def restore(folder: Path, settings: Settings, progress: Progress) -> int:
    """Restore a backup; return how many jobs are owed.

    Raises
    ------
    BackupError
        If the backup is not whole, or there is something in its place.
    StartError
        If a node runs on the spool.
    JobDatabaseError
        If the database of the backup cannot be used.
    """
    layout = SpoolLayout(settings.spool.folder)
    saved = read_list(folder)
    _check_spool(layout, settings)
    database = _database(settings)
    verify(folder, saved, progress)
    owed = count_owed(folder / DATABASE)
    try:
        layout.prepare()
        with spool_lock(layout, settings):
            mark = layout.folder / RESTORING
            write_durable(mark, str(folder.absolute()).encode())
            _restore_spool(folder, saved, layout, progress)
            _restore_database(folder / DATABASE, database, layout)
            os.sync()
            mark.unlink()
            sync_folder(layout.folder)
    except OSError as error:
        text = f"the restore into {layout.folder} failed: {error.strerror}"
        raise BackupError(text) from error
    return owed


def _check_spool(layout: SpoolLayout, settings: Settings) -> None:
    if not layout.folder.exists():
        return
    names = {path.name for path in layout.folder.iterdir()}
    if RESTORING in names or LOCK in names:
        with spool_lock(layout, settings):
            pass  # it says who holds it, or that a restore was cut off
    if names - _NO_CONTENT:
        text = f"the spool folder {layout.folder} is not empty: restore into a new one"
        raise BackupError(text)


def _database(settings: Settings) -> Path:
    path = sqlite_file(settings.database_url)
    if path is None:
        text = "the backup holds an SQLite database, and the settings name PostgreSQL"
        raise BackupError(text)
    for suffix in _BESIDE_SQLITE:
        if path.with_name(path.name + suffix).exists():
            text = f"there is a job database already: {path.name}{suffix} in its folder"
            raise BackupError(text)
    return path


def _restore_spool(
    folder: Path, saved: SavedList, layout: SpoolLayout, progress: Progress
) -> None:
    for number, one in enumerate(saved.files, start=1):
        place, _, name = one.name.partition("/")
        if place != SPOOL:
            continue
        path = layout.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Never a link: the spool and its backup are not to share what may break.
        shutil.copyfile(folder / one.name, path)
        if path.suffix == ".json" and path.is_relative_to(layout.inbox):
            _move(path, layout)
        shutil.copymode(folder / one.name, path)
        os.utime(path, ns=(one.modified_ns, one.modified_ns))
        progress(f"{number} of {len(saved.files)} files restored")


def _move(manifest: Path, layout: SpoolLayout) -> None:
    """Rewrite a manifest; the node sets one aside, at its start, that is none."""
    try:
        move_manifest(manifest, layout)
    except ValueError:
        return


def _restore_database(copy: Path, database: Path, layout: SpoolLayout) -> None:
    database.parent.mkdir(parents=True, exist_ok=True)
    partial = database.with_name(database.name + ".partial")
    shutil.copyfile(copy, partial)
    move_records(partial, layout.instance_here)
    partial.replace(database)
    sync_folder(database.parent)
