"""What may be deleted, and when."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from dicom_node import log
from dicom_node.records import ReceivedSeries
from dicom_node.series.arriving_series import SeriesKey
from dicom_node.series.manifest import read_manifest
from dicom_node.spool_layout import SpoolLayout


def sweep_series(
    layout: SpoolLayout, *, before_s: float, unsettled: Collection[str]
) -> tuple[SeriesKey, ...]:
    """Delete series that nobody needs any more.

    A series stays while it is collecting, while a job of it is not settled, and while
    anything in its folder is younger than `before_s`.

    Parameters
    ----------
    before_s
        POSIX time.
    unsettled
        Digests of the series whose jobs are not done, rejected, failed or cancelled.

    Returns
    -------
    tuple of SeriesKey
        What was deleted: the assembler has to forget it.
    """
    deleted: list[SeriesKey] = []
    for folder in _folders(layout.inbox):
        owed = _owed(folder)
        if not owed or _touched_at_s(folder) >= before_s:
            continue
        if any(series.digest in unsettled for series in owed):
            continue
        shutil.rmtree(folder)
        deleted.append(SeriesKey(owed[0].study_uid, owed[0].series_uid))
        log.event("series_deleted", series_uid=owed[0].series_uid)
    return tuple(deleted)


def sweep_jobs(
    layout: SpoolLayout, *, before_s: float, unsettled: Collection[str]
) -> tuple[str, ...]:
    """Delete the results of settled jobs; return their ids.

    Parameters
    ----------
    before_s
        POSIX time; what was touched since then stays.
    unsettled
        Ids of jobs that are not settled.
    """
    deleted = []
    for folder in _folders(layout.outbox):
        if folder.name not in unsettled and _touched_at_s(folder) < before_s:
            shutil.rmtree(folder)
            deleted.append(folder.name)
    return tuple(deleted)


def sweep_fetched(layout: SpoolLayout, *, before_s: float) -> None:
    """Delete earlier examinations that were fetched before a POSIX time."""
    for folder in _folders(layout.fetched):
        if _touched_at_s(folder) < before_s:
            shutil.rmtree(folder)


def _folders(parent: Path) -> Iterator[Path]:
    for entry in sorted(parent.iterdir()):
        if entry.is_dir():
            yield entry


def _owed(folder: Path) -> tuple[ReceivedSeries, ...]:
    """Return the series' manifests; none if one is pending or cannot be read."""
    owed: list[ReceivedSeries] = []
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("pending-"):
            return ()
        try:
            owed.append(read_manifest(path))
        except ValueError:
            return ()
    return tuple(owed)


def _touched_at_s(folder: Path) -> float:
    times = [path.stat().st_mtime for path in folder.iterdir()]
    return max((folder.stat().st_mtime, *times))
