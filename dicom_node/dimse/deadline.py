"""A moment at which whatever a peer is doing is cut off."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Self


class Deadline:
    """Shuts the connections that it watches when its time is over.

    A timeout of each read is not enough: a peer that sends one byte, or one pending
    answer, every second never runs into it.

    Parameters
    ----------
    within_s
        From now on.
    """

    def __init__(self, within_s: float) -> None:
        self._end_s = time.monotonic() + within_s
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._is_cut = False
        self._timer = threading.Timer(within_s, self.cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self.cut()

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.left_s() == 0

    def left_s(self) -> float:
        """Return how much time is left, 0 at the end."""
        return max(0.0, self._end_s - time.monotonic())

    def watch(self, connection: socket.socket) -> None:
        """Shut a connection when the time is over; at once if it is."""
        with self._lock:
            self._watched.append(connection)
            is_cut = self._is_cut
        if is_cut:
            _shut(connection)

    def cut(self) -> None:
        """End the time now."""
        with self._lock:
            self._is_cut = True
            self._end_s = min(self._end_s, time.monotonic())
            watched = list(self._watched)
        for connection in watched:
            _shut(connection)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was closed before
