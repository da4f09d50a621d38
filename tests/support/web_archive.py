"""A DICOMweb service that answers STOW-RS as a test wants it."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import TracebackType
from typing import Any, Self

from pydicom import dcmread

from tests.support.peers import HOST, POLL_S

REFERENCED, FAILED = "00081199", "00081198"


@dataclass
class Asked:
    """One request that came, and how it is answered."""

    uid: str
    content: bytes
    headers: dict[str, str]
    path: str
    reply: Callable[..., None]


def named(sequence: str, uid: str, reason: int | None = None) -> bytes:
    """Return an answer that names an instance, in DICOM JSON."""
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if reason is not None:
        item["00081197"] = {"vr": "US", "Value": [reason]}
    return json.dumps({sequence: {"vr": "SQ", "Value": [item]}}).encode()


@dataclass
class WebArchive:
    """Answers each request by `answer`, and remembers them.

    Parameters
    ----------
    answer
        Is given a request, by whose `reply(status, body)` it answers.
    tls
        Certificate and key; None speaks plain HTTP.
    port
        0 takes a free one.
    """

    answer: Callable[[Asked], None]
    tls: ssl.SSLContext | None = None
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Of the service."""
        assert self._server is not None
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{HOST}:{self._server.server_address[1]}/dicom-web"

    def __enter__(self) -> Self:
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                content = _part(body, self.headers["Content-Type"])
                asked = Asked(
                    uid=str(dcmread(BytesIO(content)).SOPInstanceUID),
                    content=content,
                    headers=dict(self.headers.items()),
                    path=self.path,
                    reply=self.reply,
                )
                archive.asked.append(asked)
                archive.answer(asked)

            def reply(
                self, status: int, body: bytes = b"", *, length: int | None = None
            ) -> None:
                self.send_response(status)
                count = len(body) if length is None else length
                self.send_header("Content-Length", str(count))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, self.port), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True
            )
        threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), daemon=True
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ending.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def drips(ending: threading.Event) -> Callable[[Asked], None]:
    """Return an answer that never ends, of which a byte comes now and then."""

    def answer(asked: Asked) -> None:
        handler: Any = getattr(asked.reply, "__self__")  # noqa: B009 - its handler
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not ending.wait(0.05):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    return answer


def _part(body: bytes, content_type: str) -> bytes:
    """Return the content of the one part of a multipart body."""
    found = re.search(r'boundary="?([^";]+)', content_type)
    assert found is not None
    assert 'type="application/dicom"' in content_type
    boundary = found[1].encode()
    begin, part, end = re.split(rb"(?:\r\n)?--" + boundary, body)
    assert (begin, end.strip()) == (b"", b"--")
    head, _, content = part.partition(b"\r\n\r\n")
    assert b"application/dicom" in head
    return content
