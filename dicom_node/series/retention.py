"""What may be deleted, and when; a step at a time, for others wait meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path

from dicom_node import log
from dicom_node.records import ReceivedSeries
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.manifest import read_manifest
from dicom_node.series.spool_content import put_back_new_instances
from dicom_node.spool_layout import PARTIAL, PENDING, SpoolLayout

RemovableBefore = Callable[[ReceivedSeries], float | None]
"""Returns the POSIX time before which a series must have been touched last to be
deleted; None if it is needed."""

_A_PAGE = 20
"""What is found is deleted in pages, of which each is looked at once more."""
_ENTRIES_A_STEP = 100


def _never() -> bool:
    return False


def _nothing() -> None:
    return


def sweep_series(
    layout: SpoolLayout,
    *,
    removable_before: RemovableBefore,
    touched_before_s: float,
    look_again: Callable[[], None] = _nothing,
    is_enough: Callable[[], bool] = _never,
) -> Iterator[tuple[SeriesKey, ...]]:
    """Delete series that nobody needs any more, the oldest first.

    A series stays while it is collecting, or one of its manifests cannot be read.

    Parameters
    ----------
    touched_before_s
        POSIX time; whatever `removable_before` says, what was touched since then stays.
    look_again
        Called before each page is deleted, of which `removable_before` is asked anew.
    is_enough
        Asked before each deletion; ends the sweep.

    Yields
    ------
    tuple of SeriesKey
        What was deleted since the last step, often nothing: the assembler has to forget
        it before anything else happens.
    """
    page: list[Path] = []
    found = yield from _by_age(layout.inbox)
    for number, (touched_s, folder) in enumerate(found, start=1):
        if touched_s >= touched_before_s:
            break
        if _key_if_removable(folder, removable_before) is not None:
            page.append(folder)
        if len(page) == _A_PAGE:
            yield _remove_page(layout, page, removable_before, look_again, is_enough)
            page.clear()
            if is_enough():
                return
        elif number % _A_PAGE == 0:
            yield ()
    yield _remove_page(layout, page, removable_before, look_again, is_enough)


def sweep_jobs(
    layout: SpoolLayout,
    *,
    before_s: float,
    is_needed: Callable[[str], bool],
    look_again: Callable[[], None] = _nothing,
    is_enough: Callable[[], bool] = _never,
) -> Iterator[tuple[()]]:
    """Delete the results of settled jobs, the oldest first, and yield now and then.

    Parameters
    ----------
    before_s
        POSIX time; what was touched since then stays.
    is_needed
        Tells of the id of a job that it is not settled, or that a peer still lacks its
        results.
    look_again
        Called before each page is deleted.
    """
    aged = yield from _by_age(layout.outbox)
    old = [folder for touched_s, folder in aged if touched_s < before_s]
    # Nobody reads or removes for those that are needed all the time.
    old = [folder for folder in old if not is_needed(folder.name)]
    for start in range(0, len(old), _A_PAGE):
        look_again()
        for folder in old[start : start + _A_PAGE]:
            if is_needed(folder.name) or _touched_since(folder, before_s):
                continue
            if is_enough():
                return
            _remove(folder)
        yield ()


def sweep_aside(layout: SpoolLayout, *, before_s: float) -> Iterator[tuple[()]]:
    """Delete what was fetched, or set aside as unreadable, before a POSIX time."""
    for parent in (layout.fetched, layout.unreadable):
        found = yield from _by_age(parent)
        for number, (touched_s, entry) in enumerate(found, start=1):
            if touched_s < before_s:
                _remove(entry)
            if number % _A_PAGE == 0:
                yield ()


def sweep_torn(layout: SpoolLayout, *, before_s: float) -> Iterator[tuple[()]]:
    """Delete files whose writer ended in the middle of them.

    Parameters
    ----------
    before_s
        POSIX time; who has written to a file since then is still at it.
    """
    for parent, pattern in ((layout.tmp, "*"), (layout.audit, f"*{PARTIAL}")):
        for number, path in enumerate(parent.glob(pattern), start=1):
            # A series that is being deleted is a folder.
            if path.is_file() and not _touched_since(path, before_s):
                _remove(path)
            if number % _A_PAGE == 0:
                yield ()


def undelivered_bytes(layout: SpoolLayout, jobs: Collection[str]) -> int:
    """Return how much the results of these jobs hold of the disk."""
    return sum(
        path.stat().st_size
        for job in jobs
        for path in layout.job_outbox(job).glob("*")
        if path.is_file()
    )


def _remove_page(
    layout: SpoolLayout,
    folders: Collection[Path],
    removable_before: RemovableBefore,
    look_again: Callable[[], None],
    is_enough: Callable[[], bool],
) -> tuple[SeriesKey, ...]:
    if not folders:
        return ()
    look_again()
    removed: list[SeriesKey] = []
    for folder in folders:
        key = _key_if_removable(folder, removable_before)
        if key is None:
            continue
        if is_enough():
            break
        try:
            _remove_series(layout, folder)
        except OSError as error:
            _log_not_removed(folder, error)
            continue
        log.event("series_deleted", series_uid=key.series_uid)
        removed.append(key)
    return tuple(removed)


def _key_if_removable(
    folder: Path, removable_before: RemovableBefore
) -> SeriesKey | None:
    """Return the key of the series in a folder if it may be deleted now."""
    owed = _owed(folder)
    if not owed:
        return None
    limits = [removable_before(series) for series in owed]
    if any(limit is None or _touched_since(folder, limit) for limit in limits):
        return None
    return SeriesKey(owed[0].study_uid, owed[0].series_uid)


def _touched_since(entry: Path, since_s: float) -> bool:
    try:
        return _touched_at_s(entry) >= since_s
    except OSError as error:
        _log_not_removed(entry, error)
        return True


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


def _by_age(
    parent: Path,
) -> Generator[tuple[()], None, list[tuple[float, Path]]]:
    """Return what lies in a folder, with the time it was touched, the oldest first."""
    found = []
    for number, entry in enumerate(parent.iterdir(), start=1):
        try:
            found.append((_touched_at_s(entry), entry))
        except OSError as error:
            _log_not_removed(entry, error)
        if number % _ENTRIES_A_STEP == 0:
            yield ()
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
