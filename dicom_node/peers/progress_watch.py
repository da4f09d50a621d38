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
    from pynetdicom.transport import AssociationSocket

_ABORT_S = 1.0
"""How long an A-ABORT may take to leave; then the connection is shut without it."""
_SHUT_AGAIN_S = 0.2


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
    """

    def __init__(self, peer: str, *, limit_s: float) -> None:
        self._peer = peer
        self._limit_s = limit_s
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
            self._connection = wrapped.socket
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
        is_logged = False
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

    def _left_s(self) -> float:
        with self._lock:
            return self._end_s - time.monotonic()

    def _shut(self) -> None:
        with self._lock:
            connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError):  # it was closed before
                connection.shutdown(socket.SHUT_RDWR)
