"""The clients that are connected to one acceptor, and which of them may be cut off."""

from __future__ import annotations

import socket
import ssl
import threading
from enum import Enum

_MAX_UNOPENED = 64
"""Clients without an association that one acceptor holds; beyond, the one that has been
silent longest is cut off, so a port scan cannot lock senders out."""

_MAX_VERIFYING = 16
"""Likewise for associations by which nothing but C-ECHO can come. They take no part in
the limits of the others, so that C-ECHO is answered when all those are reached."""


class Stage(Enum):
    """How far a client has come."""

    UNOPENED = "unopened"
    VERIFYING = "verifying"
    SENDING = "sending"
    """Its association counts against the limits of the settings."""


_MOST = {Stage.UNOPENED: _MAX_UNOPENED, Stage.VERIFYING: _MAX_VERIFYING}


class Client:
    """One connection that was accepted, and the thread that serves it."""

    def __init__(self, connection: socket.socket, address: str) -> None:
        self.address = address
        self.stage = Stage.UNOPENED
        self.thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._connection = connection

    @property
    def connection(self) -> socket.socket:
        """Its socket, of TLS once `encrypt` was called."""
        return self._connection

    def encrypt(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Make the connection one of TLS; the handshake is still to come.

        Raises
        ------
        OSError
            If the client has gone.
        """
        with self._lock:
            encrypted = context.wrap_socket(
                self._connection, server_side=True, do_handshake_on_connect=False
            )
            self._connection = encrypted
        return encrypted

    def cut(self) -> None:
        """End the connection from another thread; its own finds that out and ends."""
        with self._lock:
            try:
                # Of the plain socket: `SSLSocket.shutdown` would take the encryption
                # away from the thread that is reading.
                socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
            except OSError:
                return  # it has closed already

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            self._connection.close()


class Clients:
    """All clients of one acceptor, in the order in which they came to their stage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[Client, None] = {}

    def add(self, client: Client, stage: Stage) -> None:
        """Take up a client, or move it on; cut off the oldest if there are too many."""
        with self._lock:
            self._clients.pop(client, None)
            client.stage = stage
            self._clients[client] = None
            fellows = [one for one in self._clients if one.stage is stage]
        surplus = len(fellows) - _MOST.get(stage, len(fellows))
        for oldest in fellows[:surplus]:
            oldest.cut()

    def remove(self, client: Client) -> None:
        """Forget a client that has gone."""
        with self._lock:
            self._clients.pop(client, None)

    def cut_oldest_unopened(self) -> None:
        """Cut off whoever has been silent longest, so that descriptors become free."""
        with self._lock:
            unopened = [one for one in self._clients if one.stage is Stage.UNOPENED]
        for client in unopened[:1]:
            client.cut()

    def cut(self, *stages: Stage) -> None:
        """Cut off all clients at these stages."""
        for client in self._at(*stages):
            client.cut()

    def threads(self) -> list[threading.Thread]:
        """Return the threads that serve clients."""
        return [one.thread for one in self._at(*Stage) if one.thread is not None]

    def _at(self, *stages: Stage) -> list[Client]:
        with self._lock:
            return [one for one in self._clients if one.stage in stages]
