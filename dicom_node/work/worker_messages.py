"""What a worker says to its supervisor, from whichever of its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from dicom_node.jobs.running_step import Heartbeat, WorkerMessage

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Loaded = tuple[tuple[tuple[str, str], ...], tuple[str, ...]]

_BEAT_S = 5.0


class Reports:
    """Sends messages, and a heartbeat from `start` to the end of the process.

    Parameters
    ----------
    loaded
        Tells what goes with each heartbeat: analyses, and what computes them.
    """

    def __init__(
        self,
        pipe: Connection,
        loaded: Callable[[], Loaded] = lambda: ((), ()),
    ) -> None:
        self._pipe = pipe
        self._loaded = loaded
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to beat."""
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def send(self, message: WorkerMessage) -> None:
        """Send a message; nothing happens if the supervisor has died."""
        try:
            with self._lock:
                self._pipe.send(message)
        except OSError:
            return

    def _beat(self) -> None:
        pause = threading.Event()
        while True:
            self.send(Heartbeat(*self._loaded()))
            pause.wait(_BEAT_S)
