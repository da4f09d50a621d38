"""Cuts off an association whose peer takes nothing and says nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from pynetdicom import evt

from dicom_node import log

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.transport import AssociationSocket

_ABORT_S = 1.0
"""How long an A-ABORT may take to leave; then the connection is shut without it."""
_SHUT_AGAIN_S = 0.2
_END_AFTER_S = 5.0
"""From the cut until pynetdicom is made to end the association if it has not by itself:
a release has been seen to wait for ever for a thread that waited for it."""


class ProgressWatch:
    """Shuts the connection of one association when no PDU has passed for too long.

    pynetdicom writes to a socket without a timeout. A peer that stops to read in the
    middle of an instance, such as a process that was stopped, would hold its thread
    for ever, and `Association.abort` would wait for that thread.

    Parameters
    ----------
    peer
        The peer's name, for the log.
    limit_s
        The longest time without a PDU that was sent or received in whole.
    end_after_s
        From the cut until the association is ended whatever its threads wait for.
    """

    def __init__(
        self, peer: str, *, limit_s: float, end_after_s: float = _END_AFTER_S
    ) -> None:
        self._peer = peer
        self._limit_s = limit_s
        self._end_after_s = end_after_s
        self._association: Association | None = None
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()
        self._end_s = time.monotonic() + limit_s
        self._is_aborted = False
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"watch-{peer}", daemon=True
        )

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """Return the handlers by which pynetdicom tells of the association."""
        return [
            (evt.EVT_CONN_OPEN, self._connected),
            (evt.EVT_DATA_SENT, self._progressed),
            (evt.EVT_DATA_RECV, self._progressed),
            (evt.EVT_ABORTED, self._aborted),
        ]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _connected(self, event: evt.Event) -> None:
        wrapped = cast("AssociationSocket", event.assoc.dul.socket)
        with self._lock:
            self._association, self._connection = event.assoc, wrapped.socket
        self._progressed(event)

    def _progressed(self, _event: evt.Event) -> None:
        with self._lock:
            if not self._is_aborted:
                self._end_s = time.monotonic() + self._limit_s

    def _aborted(self, _event: evt.Event) -> None:
        with self._lock:
            self._is_aborted = True
            self._end_s = min(self._end_s, time.monotonic() + _ABORT_S)

    def _run(self) -> None:
        is_logged = is_ended = False
        while not self._closed.wait(max(self._left_s(), _SHUT_AGAIN_S)):
            if self._left_s() > 0:
                continue
            if not (is_logged or self._is_aborted):
                is_logged = True
                log.warning(
                    "association_cut_off",
                    peer=self._peer,
                    reason=f"the peer took and sent nothing for {self._limit_s:g} s",
                )
            self._shut()
            if not is_ended and self._left_s() < -self._end_after_s:
                is_ended = True
                self._end()

    def _left_s(self) -> float:
        with self._lock:
            return self._end_s - time.monotonic()

    def _shut(self) -> None:
        with self._lock:
            connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError):  # it was closed before
                connection.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        with self._lock:
            association = self._association
        if association is not None:
            # It waits for yet another thread, for which nobody here may wait.
            threading.Thread(target=association.kill, daemon=True).start()
