"""A complete series as JSON, written beside its instances."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dicom_node.errors import SpoolFailedError
from dicom_node.record_codec import from_record, moved, to_record
from dicom_node.records import ReceivedSeries
from dicom_node.spool_layout import (
    SpoolLayout,
    owed_name,
    pending_name,
    sync_folder,
    write_durable,
)

_VERSION = 1
"""Version 0.1.0 reads no manifest without it."""


def read_manifest(path: Path) -> ReceivedSeries:
    """Read a manifest, of this version, an older one, or a newer one.

    Raises
    ------
    ValueError
        If it is not of the expected form.
    OSError
        If it cannot be read.
    """
    return from_record(ReceivedSeries, json.loads(path.read_bytes()))


def write_pending(layout: SpoolLayout, series: ReceivedSeries) -> Path:
    """Write down that a series is complete; its job is not yet durable.

    Also if somebody has removed its folder meanwhile: triage tells what is missing.

    Raises
    ------
    SpoolFailedError
        If the disk does not take it; the series stays as it was.
    """
    folder = layout.series_folder(series.study_uid, series.series_uid)
    path = folder / pending_name(series.digest)
    with _disk_errors():
        folder.mkdir(mode=0o700, exist_ok=True)
        record = {"version": _VERSION, **to_record(series)}
        write_durable(path, json.dumps(record).encode())
    return path


def mark_owed(layout: SpoolLayout, series: ReceivedSeries) -> None:
    """Write down that the job of a complete series is durable.

    Raises
    ------
    SpoolFailedError
        If the disk does not take it; the series is pending still.
    """
    folder = layout.series_folder(series.study_uid, series.series_uid)
    pending = folder / pending_name(series.digest)
    with _disk_errors():
        pending.replace(folder / owed_name(series.digest))
        sync_folder(folder)


def move_manifest(path: Path, layout: SpoolLayout) -> None:
    """Write into a manifest of another spool where its instances lie in this one.

    Raises
    ------
    ValueError
        If it is no JSON.
    OSError
        If it cannot be read or written.
    """
    record = json.loads(path.read_bytes())
    write_durable(path, json.dumps(moved(record, layout.instance_here)).encode())


def latest_series(
    layout: SpoolLayout, study_uid: str, series_uid: str
) -> ReceivedSeries | None:
    """Return a series as it was when it was last complete; None if it never was."""
    folder = layout.series_folder(study_uid, series_uid)
    found = []
    for path in folder.glob("*.json"):
        try:
            found.append(read_manifest(path))
        except (ValueError, FileNotFoundError):
            continue  # of another version, or renamed meanwhile and there as owed
    return max(found, key=lambda series: series.revision, default=None)


def is_arriving(
    layout: SpoolLayout, study_uid: str, series_uid: str, *, since_s: float
) -> bool:
    """Tell whether a series is still arriving, or complete and not yet owed.

    Parameters
    ----------
    since_s
        POSIX time; what arrived before it and made nothing complete is given up.
    """
    folder = layout.series_folder(study_uid, series_uid)
    arrived_s = max(_times_s(folder, "*.dcm"), default=0.0)
    completed_s = max(_times_s(folder, "*.json"), default=0.0)
    is_pending = any(folder.glob("pending-*.json"))
    return is_pending or (arrived_s > completed_s and arrived_s > since_s)


def _times_s(folder: Path, pattern: str) -> Iterator[float]:
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):  # renamed meanwhile
            yield path.stat().st_mtime


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"the spool failed: {error.strerror}"
        raise SpoolFailedError(message) from error
