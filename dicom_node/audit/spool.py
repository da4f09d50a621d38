"""Messages that wait to be sent: one file each, which is there whole or not at all."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

from dicom_node.spool_layout import write_durable

_END = ".msg"
_COUNT_FOR = 64
"""So many messages may be written on the word of one count: other processes write,
too, but none of them many more than a few a second."""
_COUNT_FOR_S = 5.0


class AuditSpoolFullError(Exception):
    """As many messages wait as may."""


class AuditSpool:
    """A folder of messages, for any number of processes that write and one that sends.

    Names sort by the time at which messages were written.
    """

    def __init__(self, folder: Path, *, most: int) -> None:
        self._folder = folder
        self._most = most
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._room = 0
        self._counted_at_s = float("-inf")

    def put(self, message: bytes) -> None:
        """Keep a message, durably.

        Raises
        ------
        AuditSpoolFullError
            If too many wait.
        OSError
            If the disk fails.
        """
        self._take_room()
        number = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers)}"
        write_durable(self._folder / f"{number}{_END}", message)

    def waiting(self, *, most: int) -> list[Path]:
        """Return the messages that wait longest, the oldest first."""
        names = sorted(name for name in self._names() if name.endswith(_END))
        return [self._folder / name for name in names[:most]]

    def count(self) -> int:
        """Return how many wait."""
        return sum(name.endswith(_END) for name in self._names())

    def remove(self, paths: list[Path]) -> None:
        """Forget messages that were sent."""
        for path in paths:
            path.unlink(missing_ok=True)

    def _take_room(self) -> None:
        with self._lock:
            is_old = time.monotonic() - self._counted_at_s > _COUNT_FOR_S
            if self._room <= 0 or is_old:
                self._room = min(self._most - self.count(), _COUNT_FOR)
                self._counted_at_s = time.monotonic()
            if self._room <= 0:
                raise AuditSpoolFullError
            self._room -= 1

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._folder)  # noqa: PTH208 - names alone, and many
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return []
