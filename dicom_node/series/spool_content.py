"""What lies in the spool when the node starts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_node import log
from dicom_node.errors import InstanceRefusedError
from dicom_node.identifiers import digest
from dicom_node.receive.dataset_uids import in_file, read_head
from dicom_node.receive.file_meta import read_meta
from dicom_node.records import ReceivedSeries, StoredInstance
from dicom_node.series.manifest import series_from_json
from dicom_node.spool_layout import SpoolLayout, instance_name

_CHUNK_BYTES = 1024 * 1024


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


def read_spool(layout: SpoolLayout) -> SpoolContent:
    """Read the inbox; move away what is not ours, and drop what was half written.

    To be called before an acceptor runs.
    """
    layout.prepare()
    for partial in layout.tmp.iterdir():
        if partial.is_file():
            partial.unlink()
    instances: list[StoredInstance] = []
    pending: list[ReceivedSeries] = []
    owed: list[ReceivedSeries] = []
    for path in sorted(_files(layout)):
        if path.suffix == ".partial":
            path.unlink()
            continue
        try:
            if path.suffix != ".json":
                instances.append(read_instance(path))
            elif path.name.startswith("pending-"):
                pending.append(_read_manifest(path))
            else:
                owed.append(_read_manifest(path))
        except (InstanceRefusedError, ValueError, OSError) as error:
            _set_aside(layout, path, type(error).__name__)
    return SpoolContent(
        instances=tuple(instances), pending=tuple(pending), owed=tuple(owed)
    )


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
        head = read_head(in_file(file.fileno(), start), meta.transfer_syntax_uid)
        sha256 = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
        state = os.fstat(file.fileno())
    content = sha256.hexdigest()
    if path.name != instance_name(head.sop_instance_uid, content):
        message = "the file's content is not what its name says"
        raise InstanceRefusedError(message)
    return StoredInstance(
        path=path,
        sop_class_uid=head.sop_class_uid,
        sop_instance_uid=head.sop_instance_uid,
        study_uid=head.study_uid,
        series_uid=head.series_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        calling_ae=meta.calling_ae,
        sha256=content,
        size_bytes=state.st_size - start,
        received_at_s=state.st_mtime,
    )


def _files(layout: SpoolLayout) -> Iterator[Path]:
    for entry in layout.inbox.iterdir():
        if not entry.is_dir():
            yield entry
            continue
        yield from entry.iterdir()


def _read_manifest(path: Path) -> ReceivedSeries:
    return series_from_json(json.loads(path.read_bytes()))


def _set_aside(layout: SpoolLayout, path: Path, reason: str) -> None:
    # The foreign name may say anything, so neither the log nor the disk repeats it.
    target = layout.unreadable / digest(str(path))[:32]
    path.replace(target)
    log.warning("file_set_aside", path=target.name, reason=reason)
