"""What lies in the spool when the node starts, and what an acceptor left unsaid.

A manifest vouches for its instances: it is written after all of them were durable. So
they are not read again, as long as their files are those of the manifest by name and
time. Every other file is read as a whole and compared with its name, for a machine that
lost power may have left it torn. These are the instances of series that were not yet
complete, and what is not ours.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dicom_node import log
from dicom_node.errors import InstanceRefusedError
from dicom_node.identifiers import digest
from dicom_node.receive.dataset_uids import in_file, read_uids
from dicom_node.receive.file_meta import read_meta
from dicom_node.records import ReceivedSeries, StoredInstance
from dicom_node.series.arriving_series import order_of_arrival
from dicom_node.series.manifest import read_manifest
from dicom_node.spool_layout import (
    PENDING,
    SpoolLayout,
    instance_name,
    sync_folder,
)

_CHUNK_BYTES = 1024 * 1024
_SAME_TIME_S = 0.001
"""A file's time is set from a float and comes back as another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolContent:
    """Everything that was acknowledged, and what of it is already owed.

    Parameters
    ----------
    pending
        Complete series whose jobs may not be durable: enqueue them again.
    owed
        Complete series whose jobs are in the database.
    """

    instances: tuple[StoredInstance, ...]
    pending: tuple[ReceivedSeries, ...]
    owed: tuple[ReceivedSeries, ...]

    @property
    def latest_generation(self) -> int:
        """The greatest generation of all instances; 0 if there are none."""
        completed = (*self.pending, *self.owed)
        vouched = (one for series in completed for one in series.instances)
        return max((one.generation for one in (*self.instances, *vouched)), default=0)


def read_spool(
    layout: SpoolLayout, *, each: Callable[[], None] = lambda: None
) -> SpoolContent:
    """Read the inbox; move away what is not ours, and drop what was half written.

    To be called before an acceptor runs.

    Parameters
    ----------
    each
        Called before each series: there may be very many, on a slow file system.
    """
    layout.prepare()
    for doomed in layout.doomed_folders():
        put_back_new_instances(layout, doomed)
        shutil.rmtree(doomed)
    for partial in layout.tmp.iterdir():
        if partial.is_file():
            partial.unlink()
    instances: list[StoredInstance] = []
    pending: list[ReceivedSeries] = []
    owed: list[ReceivedSeries] = []
    for entry in sorted(layout.inbox.iterdir()):
        each()
        if not entry.is_dir():
            _set_aside(layout, entry, "no folder of a series")
            continue
        folder = _read_folder(layout, entry)
        instances += folder.instances
        pending += folder.pending
        owed += folder.owed
    return SpoolContent(
        instances=tuple(instances), pending=tuple(pending), owed=tuple(owed)
    )


def put_back_new_instances(layout: SpoolLayout, doomed: Path) -> None:
    """Put those instances back that arrived while their series was being deleted.

    They may have been acknowledged, and came after all that a manifest names. The
    folder was moved out of the inbox before, so that whatever arrives from then on
    makes a new one.

    Parameters
    ----------
    doomed
        A folder of `SpoolLayout.doomed_folders`.
    """
    latest = 0
    for path in doomed.glob("*.json"):
        with suppress(ValueError):
            instances = read_manifest(path).instances
            latest = max(latest, *(one.generation for one in instances))
    folder = layout.saved_folder(doomed)
    for path in doomed.glob("*.dcm"):
        if _generation_of(path) > latest:
            folder.mkdir(mode=0o700, exist_ok=True)
            path.rename(folder / path.name)
            sync_folder(folder)
            sync_folder(folder.parent)


def _generation_of(path: Path) -> int:
    with path.open("rb") as file, suppress(InstanceRefusedError):
        return read_meta(file).generation
    return 0


def unreported_instances(
    layout: SpoolLayout, known: Iterable[StoredInstance]
) -> Iterator[StoredInstance]:
    """Yield the instances of the inbox of which no event has told.

    An acceptor that is killed may leave unsaid what it stored, and acknowledged, last.

    Parameters
    ----------
    known
        The instances of which events, or `read_spool`, have told.
    """
    by_path = {one.path: one for one in known}
    for path in layout.inbox.glob("*/*.dcm"):
        try:
            one = by_path.get(path)
            if one is None or not _is_time_of(one, path.stat().st_mtime):
                yield read_instance(path)
        except (InstanceRefusedError, OSError):
            continue  # what is torn is found again, and set aside, at the next start


def read_instance(path: Path) -> StoredInstance:
    """Read one file of the inbox, all of it, and check it against its name.

    Raises
    ------
    InstanceRefusedError
        If it is no instance that the inbox wrote, or no longer the same.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        meta = read_meta(file)
        start = file.tell()
        uids = read_uids(in_file(file.fileno(), start), meta.transfer_syntax_uid)
        sha256 = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
        state = os.fstat(file.fileno())
    content = sha256.hexdigest()
    if path.name != instance_name(uids.sop_instance_uid, content):
        message = "the file's content is not what its name says"
        raise InstanceRefusedError(message)
    return StoredInstance(
        path=path,
        sop_class_uid=uids.sop_class_uid,
        sop_instance_uid=uids.sop_instance_uid,
        study_uid=uids.study_uid,
        series_uid=uids.series_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        calling_ae=meta.calling_ae,
        sha256=content,
        size_bytes=state.st_size - start,
        received_at_s=state.st_mtime,
        generation=meta.generation,
    )


@dataclass(frozen=True, slots=True)
class _Folder:
    """What lies in the folder of one series."""

    instances: tuple[StoredInstance, ...]
    pending: tuple[ReceivedSeries, ...]
    owed: tuple[ReceivedSeries, ...]


def _read_folder(layout: SpoolLayout, folder: Path) -> _Folder:
    pending: list[ReceivedSeries] = []
    owed: list[ReceivedSeries] = []
    others: dict[str, float] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            # A path costs as much as a look at the disk, and most are not needed.
            if entry.name.endswith(".partial"):
                Path(entry.path).unlink()
            elif not entry.name.endswith(".json"):
                others[entry.name] = entry.stat().st_mtime
            else:
                path = Path(entry.path)
                try:
                    kind = pending if entry.name.startswith(PENDING) else owed
                    kind.append(read_manifest(path))
                except (ValueError, OSError) as error:
                    _set_aside(layout, path, type(error).__name__)
    vouched = _vouched_for((*pending, *owed))
    instances: list[StoredInstance] = []
    here = f"{folder}{os.sep}"
    for name, time_s in sorted(others.items()):
        known = vouched.get(name)
        is_vouched_for = known is not None and _is_time_of(known, time_s)
        if known is not None and is_vouched_for and str(known.path) == here + name:
            instances.append(known)
            continue
        path = folder / name
        try:
            if known is None or not is_vouched_for:
                instances.append(read_instance(path))
            else:
                instances.append(replace(known, path=path))
        except (InstanceRefusedError, OSError) as error:
            _set_aside(layout, path, type(error).__name__)
    return _Folder(tuple(instances), tuple(pending), tuple(owed))


def _vouched_for(series: Iterable[ReceivedSeries]) -> Mapping[str, StoredInstance]:
    """Return the instances that manifests name, by the names of their files."""
    instances = (one for found in series for one in found.instances)
    # The same content may have come again and made another revision.
    return {one.path.name: one for one in sorted(instances, key=order_of_arrival)}


def _is_time_of(known: StoredInstance, time_s: float) -> bool:
    """Tell whether a file is as old as the instance, so that it did not come again."""
    return abs(time_s - known.received_at_s) < _SAME_TIME_S


def _set_aside(layout: SpoolLayout, path: Path, reason: str) -> None:
    # The foreign name may say anything, so neither the log nor the disk repeats it.
    target = layout.unreadable / digest(str(path))[:32]
    path.replace(target)
    os.utime(target)  # it is kept as long from now on as anything else
    log.warning("file_set_aside", path=target.name, reason=reason)
