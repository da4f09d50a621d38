"""Syncs of a file and of its folder at once: they cost the time of one of them.

The file's is fdatasync, which makes its content and all that is needed to read it
durable, but need not wait for its times; the name is the folder's, which gets fsync.
Not by an executor: what its futures cost for each instance is half the time of a quick
fsync (`docs/adr`, 8).
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from dicom_node.spool_layout import sync_folder


class FolderSyncs:
    """Makes files durable, and with each the name that it has in its folder.

    Any number of threads may call `sync`. As many threads wait here for folders as have
    ever called it at the same time.
    """

    def __init__(self) -> None:
        self._idle: list[_FolderSync] = []

    def sync(self, descriptor: int, folder: Path) -> None:
        """Return when the content of the file and its name are durable.

        Raises
        ------
        OSError
            If the disk does not take the one or the other.
        """
        try:
            folder_sync = self._take()
        except RuntimeError:
            # There is no thread to be had: one after the other, then.
            os.fdatasync(descriptor)
            sync_folder(folder)
            return
        try:
            folder_descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                folder_sync.begin(folder_descriptor)
                try:
                    os.fdatasync(descriptor)
                finally:
                    failure = folder_sync.end()
            finally:
                os.close(folder_descriptor)
        finally:
            self._idle.append(folder_sync)
        if failure is not None:
            raise failure

    def _take(self) -> _FolderSync:
        try:
            return self._idle.pop()
        except IndexError:
            return _FolderSync()


class _FolderSync:
    """A thread that syncs one folder at a time."""

    def __init__(self) -> None:
        self._asked = threading.Lock()
        self._done = threading.Lock()
        self._asked.acquire()
        self._done.acquire()
        self._descriptor = -1
        self._failure: Exception | None = None
        threading.Thread(target=self._run, name="folder-sync", daemon=True).start()

    def begin(self, descriptor: int) -> None:
        """Begin to sync a folder, which stays open until `end` has returned."""
        self._descriptor = descriptor
        self._asked.release()

    def end(self) -> Exception | None:
        """Wait until it is synced; return what the disk said if it is not."""
        self._done.acquire()
        return self._failure

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            try:
                os.fsync(self._descriptor)
                self._failure = None
            except (OSError, MemoryError) as error:
                self._failure = error
            finally:
                self._done.release()
