"""A mail server and a webhook that keep what they get, and servers that misbehave."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.peers import HOST, POLL_S, free_port

FROM, TO = "node@hospital.example", "pacs@hospital.example"


@dataclass
class Box:
    """What has come: subject and text of each message.

    Parameters
    ----------
    url
        The address, as apprise knows it.
    """

    url: str
    messages: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[Box]:
    """Run an SMTP server."""
    port = free_port()
    box = Box(url=f"mailto://{HOST}:{port}/{TO}?from={FROM}")

    class Keeps:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            message = message_from_bytes(envelope.content, policy=policy.default)
            text = message.get_body(("plain",))
            assert text is not None
            assert (envelope.mail_from, envelope.rcpt_tos) == (FROM, [TO])
            box.messages.append((str(message["Subject"]), text.get_content()))
            return "250 kept"

    controller = Controller(Keeps(), hostname=HOST, port=port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@contextmanager
def webhook(status: int = 200, leads_to: str = "") -> Iterator[Box]:
    """Run an HTTP server that takes JSON, and answers whoever looks.

    Parameters
    ----------
    leads_to
        Its Location; empty for none.
    """
    box = Box(url="")

    class Keeps(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            sent = json.loads(self.rfile.read(length))
            box.messages.append((sent["title"], sent["message"]))
            self.send_response(status)
            if leads_to:
                self.send_header("Location", leads_to.replace("json:", "http:"))
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Keeps)
    box.url = f"json://{HOST}:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """Yield a port that answers everybody with the same bytes; None: with silence."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            held = []
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    held.append(connection)
                    if answer is not None:
                        connection.sendall(answer)
                        connection.close()
            for connection in held:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
