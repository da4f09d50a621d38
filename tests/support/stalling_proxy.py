"""A peer that stops in the middle of an association, made of a real one behind a pipe.

What the sender says is passed on to the peer until so many bytes have gone; from then
on nothing is read from the sender, or a few bytes now and then, as long as it lasts.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.support.peers import HOST

_BLOCK = 2**16
_SLOW_BLOCK_S = 0.1


class StallingProxy:
    """Listens before a peer.

    Parameters
    ----------
    port
        Where the peer listens.
    after_bytes
        How much the sender may send until the peer stalls.
    slow
        The peer goes on with some 640 KiB a second; else it reads no more.
    stalled
        Called when the peer stalls.
    """

    def __init__(
        self,
        port: int,
        *,
        after_bytes: int,
        slow: bool = False,
        stalled: Callable[[], None] = lambda: None,
    ) -> None:
        self._peer_port = port
        self._after_bytes = after_bytes
        self._slow = slow
        self._stalled = stalled
        self._listener = socket.create_server((HOST, 0))
        self._let_go = threading.Event()
        self._threads: list[threading.Thread] = []
        self.associations = 0
        self.is_healthy = False

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._let_go.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._let_go.is_set():
            try:
                sender, _ = self._listener.accept()
            except OSError:
                return
            self.associations += 1
            peer = socket.create_connection((HOST, self._peer_port))
            self._start(self._forward, sender, peer)
            self._start(self._back, peer, sender)

    def _forward(self, sender: socket.socket, peer: socket.socket) -> None:
        with sender, peer:
            self._pass_on(sender, peer)
            for connection in (sender, peer):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, sender: socket.socket, peer: socket.socket) -> None:
        passed = 0
        while block := _received(sender):
            peer.sendall(block)
            passed += len(block)
            if passed < self._after_bytes or self.is_healthy:
                continue
            self._stalled()
            if not self._slow:
                self._let_go.wait()
                return
            if self._let_go.wait(_SLOW_BLOCK_S):
                return

    def _back(self, peer: socket.socket, sender: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := _received(peer):
                sender.sendall(block)
            sender.shutdown(socket.SHUT_RDWR)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_BLOCK)
    except OSError:
        return b""
