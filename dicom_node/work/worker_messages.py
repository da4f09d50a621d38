"""What a worker says to its supervisor, from whichever of its threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dicom_node.jobs.running_step import Heartbeat, WorkerMessage

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_BEAT_S = 5.0


class Reports:
    """Sends messages, and a heartbeat from `start` to the end of the process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
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
            self.send(Heartbeat())
            pause.wait(_BEAT_S)
