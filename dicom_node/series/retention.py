"""What may be deleted, and when."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from dicom_node import log
from dicom_node.records import ReceivedSeries
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.manifest import read_manifest
from dicom_node.series.spool_content import put_back_new_instances
from dicom_node.spool_layout import PENDING, SpoolLayout

RemovableBefore = Callable[[ReceivedSeries], float | None]
"""Returns the POSIX time before which a series must have been touched last to be
deleted; None if it is needed."""


def _never() -> bool:
    return False


def sweep_series(
    layout: SpoolLayout,
    *,
    removable_before: RemovableBefore,
    is_enough: Callable[[], bool] = _never,
) -> Iterator[SeriesKey]:
    """Delete series that nobody needs any more, the oldest first.

    A series stays while it is collecting, or one of its manifests cannot be read.

    Parameters
    ----------
    is_enough
        Asked before each deletion; ends the sweep.

    Yields
    ------
    SeriesKey
        What was deleted: the assembler has to forget it.
    """
    for touched_s, folder in _by_age(layout.inbox):
        owed = _owed(folder)
        limits = [removable_before(series) for series in owed]
        if not owed or any(limit is None or touched_s >= limit for limit in limits):
            continue
        if is_enough():
            return
        try:
            _remove_series(layout, folder)
        except OSError as error:
            _log_not_removed(folder, error)
            continue
        log.event("series_deleted", series_uid=owed[0].series_uid)
        yield SeriesKey(owed[0].study_uid, owed[0].series_uid)


def sweep_jobs(
    layout: SpoolLayout,
    *,
    before_s: float,
    needed: Collection[str],
    is_enough: Callable[[], bool] = _never,
) -> None:
    """Delete the results of settled jobs, the oldest first.

    Parameters
    ----------
    before_s
        POSIX time; what was touched since then stays.
    needed
        Ids of jobs that are not settled, or whose results a peer still lacks.
    """
    for touched_s, folder in _by_age(layout.outbox):
        if folder.name in needed or touched_s >= before_s:
            continue
        if is_enough():
            return
        _remove(folder)


def sweep_aside(layout: SpoolLayout, *, before_s: float) -> None:
    """Delete what was fetched, or set aside as unreadable, before a POSIX time."""
    for parent in (layout.fetched, layout.unreadable):
        for touched_s, entry in _by_age(parent):
            if touched_s < before_s:
                _remove(entry)


def undelivered_bytes(layout: SpoolLayout, jobs: Collection[str]) -> int:
    """Return how much the results of these jobs hold of the disk."""
    return sum(
        path.stat().st_size
        for job in jobs
        for path in layout.job_outbox(job).glob("*")
        if path.is_file()
    )


def _remove_series(layout: SpoolLayout, folder: Path) -> None:
    """Delete the folder of a series, but for what arrives at this very moment."""
    doomed = layout.doomed_folder(folder)
    folder.rename(doomed)
    put_back_new_instances(layout, doomed)
    shutil.rmtree(doomed)


def _remove(entry: Path) -> None:
    try:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    except OSError as error:
        _log_not_removed(entry, error)


def _log_not_removed(entry: Path, error: OSError) -> None:
    log.error("file_not_deleted", path=entry.name, reason=error.strerror)


def _by_age(parent: Path) -> list[tuple[float, Path]]:
    """Return what lies in a folder, with the time it was touched, the oldest first."""
    found = []
    for entry in parent.iterdir():
        try:
            found.append((_touched_at_s(entry), entry))
        except OSError as error:
            _log_not_removed(entry, error)
    return sorted(found)


def _owed(folder: Path) -> tuple[ReceivedSeries, ...]:
    """Return the series' manifests; none if one is pending or cannot be read."""
    owed: list[ReceivedSeries] = []
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith(PENDING):
            return ()
        try:
            owed.append(read_manifest(path))
        except (ValueError, OSError) as error:
            log.error(
                "manifest_unreadable", path=folder.name, reason=type(error).__name__
            )
            return ()
    return tuple(owed)


def _touched_at_s(entry: Path) -> float:
    times = [path.stat().st_mtime for path in entry.iterdir()] if entry.is_dir() else []
    return max((entry.stat().st_mtime, *times))
