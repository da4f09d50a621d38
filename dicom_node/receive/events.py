"""What an acceptor process tells the supervisor, and the pipe that carries it."""

from __future__ import annotations

import os
import queue
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection

from dicom_node.records import StoredInstance, StoreRequest

_PAUSE_S = 0.01
"""After the last event that was queued. What comes meanwhile is sent at one go, and no
sender waits for a processor while this thread is woken for each instance."""


class AssociationEnding(StrEnum):
    """How an association ended.

    Only a release says that the sender has sent what it meant to send (PS3.8 7.2).
    After any other ending an instance may be missing, which the sender sends again.
    """

    RELEASED = "released"
    ABORTED = "aborted"
    """By an A-ABORT of the peer."""
    LOST = "lost"
    """The connection broke, or we cut it in order to stop."""
    SILENT = "silent"
    """We aborted it: nothing came for too long."""
    VIOLATED = "violated"
    """We aborted it: what came broke the protocol."""

    @property
    def is_release(self) -> bool:
        """Whether the sender has ended the association in order."""
        return self is AssociationEnding.RELEASED


@dataclass(frozen=True, slots=True)
class AssociationOpened:
    """An association was accepted; instances may come by it."""

    association_id: str
    calling_ae: str


@dataclass(frozen=True, slots=True)
class InstanceStored:
    """An instance is durable."""

    association_id: str
    instance: StoredInstance


@dataclass(frozen=True, slots=True)
class AssociationClosed:
    """No instance will come by this association any more."""

    association_id: str
    ending: AssociationEnding


@dataclass(frozen=True, slots=True)
class AssociationRejected:
    """An association was rejected; nothing of it is in the spool.

    Parameters
    ----------
    reason
        One of the few that `receive.negotiation` and `receive.association_slots` name.
    """

    reason: str


SpoolEvent = AssociationOpened | InstanceStored | AssociationClosed
AcceptorEvent = SpoolEvent | AssociationRejected
ACCEPTOR_EVENTS = (
    AssociationOpened,
    InstanceStored,
    AssociationClosed,
    AssociationRejected,
)
"""The same, for those who check what they are sent."""


class EventPipe:
    """Sends events in the order in which they happened, without making anyone wait.

    A supervisor that is busy must not slow a sender, so events queue up in this
    process and a thread of its own sends them. What was not told is found again on the
    disk: by the next supervisor if this one has died, and else by this one when the
    acceptor has ended, as it does where an event cannot be sent.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[AcceptorEvent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def association_rejected(self, reason: str) -> None:
        """Tell that an association was rejected, and why."""
        self._queue.put(AssociationRejected(reason))

    def association_opened(self, association_id: str, calling_ae: str) -> None:
        """Tell that an association was accepted."""
        self._queue.put(AssociationOpened(association_id, calling_ae))

    def association_closed(
        self, association_id: str, ending: AssociationEnding
    ) -> None:
        """Tell that an association has ended, and how."""
        self._queue.put(AssociationClosed(association_id, ending))

    def instance_stored(self, request: StoreRequest, instance: StoredInstance) -> None:
        """Tell that an instance is durable."""
        self._queue.put(InstanceStored(request.association_id, instance))

    def close(self, timeout_s: float) -> None:
        """Send what is queued, and end."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _send(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._connection.send(event)
            except (OSError, MemoryError):
                # Nothing may be stored of which nobody hears.
                os._exit(1)
            if self._queue.empty():
                time.sleep(_PAUSE_S)
