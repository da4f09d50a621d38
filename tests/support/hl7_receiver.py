"""A receiver of HL7 v2 over MLLP that acknowledges as a test wants it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.support.peers import HOST

Answer = Callable[[str], bytes]
"""The bytes to send back, frame and all, for a message."""


def framed(text: str) -> bytes:
    """Return a message in its frame."""
    return b"\x0b" + text.encode() + b"\x1c\r"


def control_id_of(message: str) -> str:
    """Return MSH-10."""
    return message.split("|")[9]


def acknowledging(code: str, *errors: str, of: str | None = None) -> Answer:
    """Return an answer with a code, as receivers word it: with the patient's name.

    Parameters
    ----------
    of
        The control ID that it names; None for that of the message.
    """

    def answer(message: str) -> bytes:
        about = control_id_of(message) if of is None else of
        segments = [
            "MSH|^~\\&|RIS||LUMBAR_AI||20260101||ACK^R01^ACK|1|P|2.5.1",
            f"MSA|{code}|{about}|no patient SMITH^JOHN",
            *(f"ERR||PID^1^3|{error}^of^HL70357|E||||SMITH^JOHN" for error in errors),
        ]
        return framed("\r".join(segments) + "\r")

    return answer


@dataclass
class Hl7Receiver:
    """Takes one message a connection, as most senders and receivers do.

    Parameters
    ----------
    answer
        An empty answer closes the connection without one.
    port
        0 takes a free one.
    """

    answer: Answer
    port: int = 0
    tls: ssl.SSLContext | None = None
    messages: list[str] = field(default_factory=list)
    _listener: socket.socket | None = None

    def __enter__(self) -> Self:
        listener = socket.create_server((HOST, self.port))
        self._listener, self.port = listener, listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
        return self

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), connection:
                connection.settimeout(30)
                if self.tls is None:
                    self._talk(connection)
                    continue
                with self.tls.wrap_socket(connection, server_side=True) as encrypted:
                    self._talk(encrypted)

    def _talk(self, connection: socket.socket) -> None:
        found = b""
        while not found.endswith(b"\x1c\r"):
            piece = connection.recv(65536)
            if not piece:
                return
            found += piece
        assert found.startswith(b"\x0b")
        message = found[1:-2].decode("utf-8")
        self.messages.append(message)
        connection.sendall(self.answer(message))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._listener is not None:
            # A thread that waits in accept() keeps the port open otherwise.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
