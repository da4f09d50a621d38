"""Write, rename, fsync: an instance is there whole or not at all.

What a sender waits for is the disk. So the name comes before the two syncs, of the file
and of its folder, and both run at once: together they cost what one of them costs,
one after the other twice that (fsync, rename, fsync of the folder likewise). Nobody
hears of an instance, neither the sender nor the assembler, before both have returned. A
machine that loses power in between may come up with a torn file, which was never
acknowledged: the next start checks against its name what no manifest vouches for.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from dicom_node.asked_commitments import AskedCommitments
from dicom_node.errors import (
    InstanceMismatchError,
    SpoolFailedError,
    SpoolFullError,
)
from dicom_node.receive.arrival_number import Generations
from dicom_node.receive.dataset_uids import DatasetUids, in_file, read_uids
from dicom_node.receive.event_report import IncomingReport, ReportRequest
from dicom_node.receive.file_meta import (
    GENERATION_BYTES,
    FileMeta,
    encode_generation,
    encode_meta,
)
from dicom_node.receive.folder_syncs import FolderSyncs
from dicom_node.records import StoredInstance, StoreRequest
from dicom_node.spool_layout import SpoolLayout, instance_name, sync_folder

_FOLDERS = 256
"""Paths of series that are remembered."""

_FREE_LOOK_BYTES = 1024 * 1024
"""Between two looks at the free space while an instance arrives."""

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Inbox:
    """Keeps instances as they came.

    Parameters
    ----------
    min_free_bytes
        A dataset is refused when less is free, also in the middle.
    stored
        Told of every instance that has become durable, before success is answered;
        must not block.
    own_ae
        Our AE title. What a peer sends because we asked it to, by C-MOVE, is kept
        aside, and nobody is told of it: it must not begin a job.
    generations
        Says of each instance that it came after all others.
    """

    def __init__(
        self,
        layout: SpoolLayout,
        *,
        min_free_bytes: int,
        stored: Callable[[StoreRequest, StoredInstance], None],
        own_ae: str = "",
        generations: Generations = Generations(),  # noqa: B008 - it is frozen
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._layout = layout
        self._min_free_bytes = min_free_bytes
        self._stored = stored
        self._own_ae = own_ae
        self._generations = generations
        self._clock = clock
        self._numbers = itertools.count(1)
        self._process = os.getpid()
        self._tmp = layout.tmp
        self._series_folder = lru_cache(_FOLDERS)(layout.series_folder)
        self._folder_syncs = FolderSyncs()
        self._asked = AskedCommitments(layout)

    def keep_free(self, min_free_bytes: int) -> None:
        """Change how much is to be kept free, from the next look on."""
        self._min_free_bytes = min_free_bytes

    def begin(self, request: StoreRequest) -> IncomingInstance:
        """Open a place for one dataset.

        Raises
        ------
        SpoolFullError, SpoolFailedError
            If less than `min_free_bytes` are free, or the disk fails.
        """
        with self.machine_errors():
            self.check_free()
            while True:
                path = self._tmp / f"{self._process}-{next(self._numbers)}"
                # A process of our id may have been killed in the middle of that one.
                with suppress(FileExistsError):
                    return IncomingInstance(self, request, path)

    def begin_report(self, request: ReportRequest) -> IncomingReport:
        """Open a place for what a peer reports of a storage commitment."""
        return IncomingReport(request, self._asked)

    def settle(self, incoming: IncomingInstance, sha256: str) -> None:
        """Make a complete temporary file an instance of its series."""
        request = incoming.request
        uids = incoming.uids()
        if uids.sop_instance_uid != request.sop_instance_uid:
            message = "SOP Instance UID differs between C-STORE request and dataset"
            raise InstanceMismatchError(message)
        if uids.sop_class_uid != request.sop_class_uid:
            message = "SOP Class UID differs between C-STORE request and dataset"
            raise InstanceMismatchError(message)
        is_ours = bool(self._own_ae) and request.move_originator == self._own_ae
        place = self._layout.fetched_folder if is_ours else self._series_folder
        folder = place(uids.study_uid, uids.series_uid)
        path = folder / instance_name(uids.sop_instance_uid, sha256)
        received_at_s = self._clock()
        generation = self._generations.next()
        incoming.mark(generation, received_at_s)
        self._move(incoming, path)
        if is_ours:
            return
        self._stored(
            request,
            StoredInstance(
                path=path,
                sop_class_uid=uids.sop_class_uid,
                sop_instance_uid=uids.sop_instance_uid,
                study_uid=uids.study_uid,
                series_uid=uids.series_uid,
                transfer_syntax_uid=request.transfer_syntax_uid,
                calling_ae=request.calling_ae,
                sha256=sha256,
                size_bytes=incoming.size_bytes,
                received_at_s=received_at_s,
                generation=generation,
            ),
        )

    def check_free(self) -> None:
        """Raise SpoolFullError if less is free than is to be kept."""
        free_bytes = _free_bytes(self._layout.folder)
        if free_bytes < self._min_free_bytes:
            raise SpoolFullError(
                free_bytes=free_bytes, limit_bytes=self._min_free_bytes
            )

    @contextmanager
    def machine_errors(self) -> Iterator[None]:
        """Turn trouble of the machine into errors after which a sender tries again."""
        try:
            yield
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise SpoolFullError(
                    free_bytes=_free_bytes(self._layout.folder),
                    limit_bytes=self._min_free_bytes,
                ) from error
            message = f"the spool failed: {error.strerror}"
            raise SpoolFailedError(message) from error
        except MemoryError as error:
            message = "the spool failed: out of memory"
            raise SpoolFailedError(message) from error

    def _move(self, incoming: IncomingInstance, path: Path) -> None:
        if path.exists():
            # It was acknowledged before, so it must not be exchanged for bytes that
            # are not yet durable. It is exchanged, because it now came last.
            incoming.sync()
            incoming.path.replace(path)
            sync_folder(path.parent)
            return
        try:
            incoming.path.rename(path)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_folder(path.parent.parent)
            incoming.path.rename(path)
        try:
            incoming.sync_with(path.parent, self._folder_syncs)
        except (OSError, MemoryError):
            path.unlink(missing_ok=True)
            raise


class IncomingInstance:
    """A dataset on its way to the disk."""

    def __init__(self, inbox: Inbox, request: StoreRequest, path: Path) -> None:
        self.request = request
        self.path = path
        self.size_bytes = 0
        self._looked_at_bytes = 0
        self._inbox = inbox
        self._sha256 = hashlib.sha256()
        meta = encode_meta(
            FileMeta(
                sop_class_uid=request.sop_class_uid,
                sop_instance_uid=request.sop_instance_uid,
                transfer_syntax_uid=request.transfer_syntax_uid,
                calling_ae=request.calling_ae,
            )
        )
        self._dataset_at = len(meta)
        self._descriptor: int | None = os.open(
            path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600
        )
        try:
            self._write(memoryview(meta))
        except OSError:
            self.discard()
            raise

    def write(self, fragment: memoryview) -> None:
        """Append the next bytes of the dataset.

        Raises
        ------
        SpoolFullError, SpoolFailedError
            If the disk does not take them.
        """
        with self._inbox.machine_errors():
            if self.size_bytes - self._looked_at_bytes >= _FREE_LOOK_BYTES:
                self._looked_at_bytes = self.size_bytes
                self._inbox.check_free()
            self._write(fragment)
        self._sha256.update(fragment)
        self.size_bytes += len(fragment)

    def finish(self) -> None:
        """Return when the instance is durable in the inbox.

        Raises
        ------
        InstanceRefusedError
            If the dataset lacks its UIDs.
        InstanceMismatchError
            If it is another instance than was announced.
        SpoolFullError, SpoolFailedError
            If the disk does not take it.
        """
        with self._inbox.machine_errors():
            self._inbox.settle(self, self._sha256.hexdigest())
            self._close()

    def discard(self) -> None:
        """Forget what was written; also after a failure, and more than once."""
        if self._descriptor is not None:
            self._close()
            self.path.unlink(missing_ok=True)

    def uids(self) -> DatasetUids:
        """Read the UIDs from the file as far as it is written."""
        return read_uids(
            in_file(self._open, self._dataset_at), self.request.transfer_syntax_uid
        )

    def mark(self, generation: int, received_at_s: float) -> None:
        """Write the generation into the file meta information, and the time."""
        place = self._dataset_at - GENERATION_BYTES
        os.pwrite(self._open, encode_generation(generation), place)
        os.utime(self._open, (received_at_s, received_at_s))

    def sync(self) -> None:
        """Make the content durable."""
        os.fsync(self._open)

    def sync_with(self, folder: Path, syncs: FolderSyncs) -> None:
        """Make the content durable, and its name in the folder."""
        syncs.sync(self._open, folder)

    @property
    def _open(self) -> int:
        if self._descriptor is None:
            message = "the instance was settled or discarded before"
            raise ValueError(message)
        return self._descriptor

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._open, data) :]

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _free_bytes(folder: Path) -> int:
    try:
        state = os.statvfs(folder)
    except OSError:
        return 0
    return state.f_bavail * state.f_frsize
