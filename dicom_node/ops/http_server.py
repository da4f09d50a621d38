"""`/live`, `/ready`, `/metrics`, and the page for operators where there is one.

Whoever connects has ten seconds in all, and closes after one answer. Nothing that a
client does makes another wait: beyond the most connections, the oldest is cut.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from dicom_node import log
from dicom_node.ops.checks import Seen, State, is_ready, plain, supervisor_check
from dicom_node.ops.exposition import exposition
from dicom_node.ops.probe import Trouble
from dicom_node.ops.watch import Watch

CONNECTION_S: Final = 10.0
"""From the first byte to the last."""
MOST_CONNECTIONS: Final = 256
_MOST_HEADER_BYTES = 16 * 1024
_BACKLOG = 256
_OK, _REFUSED, _UNREADY = 200, 400, 503
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; form-action 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"connection", b"close"),
)


def application(watch: Watch) -> ASGIApp:
    """Return what answers requests."""

    async def live(_request: Request) -> Response:
        check = supervisor_check(_without_questions(watch))
        code = _OK if check.state is State.OK else _UNREADY
        return JSONResponse({"live": code == _OK, "text": check.text}, code)

    async def ready(_request: Request) -> Response:
        checks = await watch.checks()
        return JSONResponse(plain(checks), _OK if is_ready(checks) else _UNREADY)

    async def metrics(_request: Request) -> Response:
        seen = await watch.look(with_echo=False)
        text = exposition(seen, watch.plan)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    routes = [
        Route(path, answer)
        for path, answer in (("/live", live), ("/ready", ready), ("/metrics", metrics))
    ]
    if watch.plan.page is not None:
        # Where there is no page, nothing of it is loaded.
        from dicom_node.ops.page.page_routes import page_routes

        routes += page_routes(watch, watch.plan.page)
    return _Guarded(Starlette(routes=routes), watch.plan.hosts)


def _without_questions(watch: Watch) -> Seen:
    nothing = Trouble("not asked")
    return Seen(
        report=watch.report,
        is_told=True,
        monotonic_s=time.monotonic(),
        posix_s=time.time(),
        echo_s=nothing,
        numbers=nothing,
        disk=nothing,
        valid_until_s=nothing,
    )


class _Guarded:
    """Refuses requests for another host, and adds headers to every answer.

    A browser on the machine could else be led, by a name that resolves to loopback, to
    read for another site what is told here.
    """

    def __init__(self, inner: ASGIApp, hosts: frozenset[str]) -> None:
        self._inner = inner
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        answer: Callable[..., Awaitable[None]] = self._inner
        if _host(scope) not in self._hosts:
            answer = PlainTextResponse("Host is not ours: see ops.hosts\n", _REFUSED)
        await answer(scope, receive, send_guarded)


def _host(scope: Scope) -> str:
    """Return the one Host of a request, in lower case and without its port."""
    named = [value for name, value in scope["headers"] if name == b"host"]
    if len(named) != 1:
        return ""
    host = str(named[0], "latin-1").strip().lower()
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


class _TimedProtocol(H11Protocol):
    """Serves one connection for a limited time, and cuts the oldest of too many."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._open = self.app_state["open"]
        self._open[self] = transport
        if len(self._open) > MOST_CONNECTIONS:
            next(iter(self._open.values())).abort()
        self._limit = self.loop.call_later(CONNECTION_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.cancel()
        self._open.pop(self, None)
        super().connection_lost(exc)


def listening(host: str, port: int) -> socket.socket:
    """Open the port.

    Raises
    ------
    OSError
        If it is taken, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


async def serve(watch: Watch, listener: socket.socket) -> None:
    """Answer requests until the process ends."""
    _tell_faults()
    config = Config(
        application(watch),
        http=_TimedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the page trusts an address, and not what is said of one
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
    )
    config.load()
    loop = asyncio.get_running_loop()
    state, shared = ServerState(), {"open": dict[object, object]()}
    server = await loop.create_server(
        lambda: _TimedProtocol(config, state, shared, loop), sock=listener
    )
    await server.serve_forever()


class _ToNodeLog(logging.Handler):
    """Hands faults of ours to our log, and what clients do wrong to nobody."""

    def emit(self, record: logging.LogRecord) -> None:
        fault = record.exc_info[1] if record.exc_info else None
        if fault is not None:
            log.error("ops_fault", reason=log.kind_and_place(fault))


def _tell_faults() -> None:
    for name in ("uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [_ToNodeLog(logging.ERROR)]
        logger.propagate = False
