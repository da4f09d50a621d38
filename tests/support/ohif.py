"""OHIF, a viewer in the browser: its built files, and a PACS behind one address."""

from __future__ import annotations

import json
import mimetypes
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.peers import HOST

_PACS_PATHS = ("/dicom-web/", "/dicom-web?", "/wado")
_PACS_WITHIN_S = 120
_HOP_HEADERS = frozenset({"connection", "transfer-encoding", "content-length"})
_ASKED_HEADERS = ("Accept", "Host")
"""Host, for the PACS writes addresses of bulk data that the page can ask for."""
_ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
"""Without them a browser gives OHIF's workers no shared memory."""


def _configuration(origin: str) -> bytes:
    """Return `app-config.js`: one data source, no dialogue, nothing from outside."""
    source = {
        "friendlyName": "PACS",
        "name": "pacs",
        "wadoUriRoot": f"{origin}/wado",
        "qidoRoot": f"{origin}/dicom-web",
        "wadoRoot": f"{origin}/dicom-web",
        "qidoSupportsIncludeField": False,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "dicomUploadEnabled": False,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True},
    }
    settings = {
        "routerBasename": None,
        "extensions": [],
        "modes": [],
        "customizationService": {},
        "showStudyList": True,
        "maxNumberOfWebWorkers": 2,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": False,
        "showLoadingIndicator": True,
        "strictZSpacingForVolumeViewport": True,
        "investigationalUseDialog": {"option": "never"},
        "maxNumRequests": {"interaction": 20, "thumbnail": 5, "prefetch": 5},
        "showErrorDetails": "always",
        "defaultDataSourceName": "pacs",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "pacs",
                "configuration": source,
            }
        ],
    }
    return f"window.config = {json.dumps(settings)};".encode()


@dataclass
class Ohif:
    """OHIF at an address of its own on this machine.

    Parameters
    ----------
    files
        Its built application, `dist` of the package.
    pacs
        Address of the PACS that answers DICOMweb.
    """

    files: Path
    pacs: str
    _server: ThreadingHTTPServer | None = None

    @property
    def origin(self) -> str:
        """Where a browser finds it."""
        if self._server is None:
            message = "OHIF is not being served"
            raise RuntimeError(message)
        return f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        answer = partial(_Answer, self.files.resolve(), self.pacs)
        self._server = ThreadingHTTPServer((HOST, 0), answer)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
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


class _Answer(BaseHTTPRequestHandler):
    """Answers one browser request: from the PACS, or a file of the application."""

    protocol_version = "HTTP/1.1"

    def __init__(self, files: Path, pacs: str, *arguments: Any) -> None:
        self._files = files
        self._pacs = pacs
        super().__init__(*arguments)

    def log_message(self, *_: Any) -> None:
        """Keep quiet: a page asks for a hundred files."""

    def do_GET(self) -> None:
        """Answer a GET."""
        if self.path.startswith(_PACS_PATHS):
            self._ask_pacs()
        elif self.path == "/app-config.js":
            body = _configuration(f"http://{self.headers['Host']}")
            self._send(200, {"Content-Type": "text/javascript"}, body)
        else:
            path = self._file()
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            headers = {"Content-Type": kind, "Cache-Control": "max-age=3600"}
            self._send(200, headers, path.read_bytes())

    def _file(self) -> Path:
        """Return the file that is asked for; pages of the application are one file."""
        name = self.path.partition("?")[0].lstrip("/")
        path = (self._files / name).resolve()
        known = path.is_file() and path.is_relative_to(self._files)
        return path if known else self._files / "index.html"

    def _ask_pacs(self) -> None:
        headers = {
            name: self.headers[name] for name in _ASKED_HEADERS if name in self.headers
        }
        request = urllib.request.Request(self._pacs + self.path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_PACS_WITHIN_S) as answer:
                self._send(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                self._send(error.code, {}, error.read())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in (*headers.items(), *_ISOLATED.items()):
            if name.lower() not in _HOP_HEADERS:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
