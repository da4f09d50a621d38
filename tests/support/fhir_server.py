"""A FHIR server that keeps what it is sent, or answers as a test wants it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.peers import HOST, POLL_S

Answer = Callable[[Any], tuple[int, bytes]]
"""Status and body, for a bundle."""


@dataclass
class FhirServer:
    """Creates the entries of a transaction, unless it holds their identifiers.

    Parameters
    ----------
    answer
        None keeps what comes; else what is answered instead.
    greeted
        Status of the answer to a search.
    """

    answer: Answer | None = None
    greeted: int = 200
    port: int = 0
    metadata: bytes = b"{}"
    held: dict[str, Any] = field(default_factory=dict)
    bundles: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://{HOST}:{self.port}/fhir"

    def created(self, bundle: Any) -> tuple[int, bytes]:
        """Keep the entries that are new, and tell of each."""
        told = []
        for entry in bundle["entry"]:
            wanted = entry["request"]["ifNoneExist"]
            is_new = wanted not in self.held
            self.held.setdefault(wanted, entry["resource"])
            told.append({"response": {"status": "201 Created" if is_new else "200 OK"}})
        answer = {"resourceType": "Bundle", "type": "transaction-response"}
        return 200, json.dumps({**answer, "entry": told}).encode()

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bundle = json.loads(body)
                server.bundles.append(bundle)
                server.headers.append(dict(self.headers.items()))
                self.reply(*(server.answer or server.created)(bundle))

            def do_GET(self) -> None:
                server.headers.append(dict(self.headers.items()))
                if self.path == "/fhir/metadata":
                    self.reply(200, server.metadata)
                else:
                    self.reply(server.greeted, b"{}")

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, self.port), Handler)
        self.port = self._server.server_address[1]
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
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
