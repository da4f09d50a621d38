"""What is done on POST: log in and out, C-ECHO, and the actions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node import log
from dicom_node.jobs.job_verbs import Verb
from dicom_node.ops.page.desk import Acted, Desk
from dicom_node.ops.page.forms import FormError, fields_of, is_from_here
from dicom_node.ops.page.pages import SEE_OTHER, Pages, safe_path
from dicom_node.ops.page.render import Asker
from dicom_node.ops.page.tokens import Tokens
from dicom_node.ops.page.user_trail import (
    NOBODY,
    address_of,
    tell_action,
    tell_login,
)
from dicom_node.ops.page.users import COOKIE, Gate, User
from dicom_node.ops.probe import Trouble

_BAD, _FORBIDDEN, _NOT_FOUND, _BUSY = 400, 403, 404, 503
_WRONG_PASSWORD = 401
_MOST_LOGINS = 4
_AFTER_WRONG_S = 1.0

Done = Callable[[Request, Asker, Mapping[str, str]], Awaitable[Response]]


class Deeds:
    """Does what users ask for."""

    def __init__(
        self,
        hosts: frozenset[str],
        pages: Pages,
        desk: Desk,
        gate: Gate,
        tokens: Tokens,
    ) -> None:
        self._hosts = hosts
        self._page = pages.plan
        self._desk = desk
        self._gate = gate
        self._renderer = pages.renderer
        self._tokens = tokens
        self._pages = pages
        # One password at a time: each takes memory and a quarter of a second.
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="password")
        self._logging_in = 0

    def routes(self) -> list[Route]:
        """Return what is done on POST."""
        post = ["POST"]
        routes = [
            Route("/peers/{name}/echo", self._taken(self._echo), methods=post),
            Route("/jobs/{job_id}/{verb}", self._taken(self._act), methods=post),
            Route("/failures/retry", self._taken(self._retry_all), methods=post),
            # What is answered to a form that is refused stands at its address, from
            # which the choice of another language is a link.
            Route("/peers/{name}/echo", _leading("/peers")),
            Route("/jobs/{job_id}/{verb}", _leading("/jobs/{job_id}")),
            Route("/failures/retry", _leading("/failures")),
        ]
        if self._gate.takes_passwords:
            routes += [
                Route("/login", self._login_form),
                Route("/login", self._taken(self._log_in, is_open=True), methods=post),
                Route("/logout", self._taken(self._log_out), methods=post),
                Route("/logout", _leading("/")),
            ]
        return routes

    def _taken(
        self, do: Done, *, is_open: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return what does something if its form is ours, and sent for the first time.

        Parameters
        ----------
        is_open
            Also for somebody who is not known.
        """

        async def answer(request: Request) -> Response:
            asker = self._pages.asker_of(request)
            if asker.user is None and self._gate.asks_who and not is_open:
                return self._pages.turned_away(_without_next(request), asker)
            try:
                fields = await fields_of(request)
            except FormError as error:
                return self._refused(request, asker, _BAD, str(error))
            path = request.url.path
            is_ours = is_from_here(request, self._hosts) and self._tokens.take(
                fields.get("token", ""), asker.bound_to, path
            )
            if not is_ours:
                return self._refused(request, asker, _FORBIDDEN)
            return await do(request, asker, fields)

        return answer

    def _refused(
        self, request: Request, asker: Asker, status: int, detail: str = ""
    ) -> Response:
        return self._renderer.problem("form", request, asker, status, detail)

    async def _login_form(self, request: Request) -> Response:
        asker = self._pages.asker_of(request)
        return self._pages.in_language(request) or self._form(request, asker)

    def _form(self, request: Request, asker: Asker, **more: object) -> Response:
        wanted = safe_path(request.query_params.get("next", "/"))
        values = {"next": wanted, "is_wrong": False, **more}
        status = _WRONG_PASSWORD if values["is_wrong"] else 200
        return self._renderer.page("login", request, asker, values, status)

    async def _log_in(
        self, request: Request, asker: Asker, fields: Mapping[str, str]
    ) -> Response:
        name, password = fields.get("user", ""), fields.get("password", "")
        wanted = safe_path(fields.get("next", "/"))
        if self._logging_in >= _MOST_LOGINS:
            return self._renderer.problem("busy", request, asker, _BUSY)
        self._logging_in += 1
        try:
            loop = asyncio.get_running_loop()
            key = await loop.run_in_executor(
                self._hashing, self._gate.fits, name, password
            )
            if key is None:
                # Not the name: somebody may have typed his password there.
                log.warning("page_login_refused", address=address_of(request))
                tell_login(self._desk.auditor, request, NOBODY)
                await asyncio.sleep(_AFTER_WRONG_S)
                return self._form(request, asker, next=wanted, is_wrong=True)
        finally:
            self._logging_in -= 1
        log.event("page_user_logged_in", user=name, address=address_of(request))
        tell_login(self._desk.auditor, request, name)
        answer = RedirectResponse(wanted, SEE_OTHER)
        answer.set_cookie(
            COOKIE,
            self._gate.begin(name, key),
            httponly=True,
            samesite="strict",
            secure=urlsplit(request.headers.get("origin", "")).scheme == "https",
        )
        return answer

    async def _log_out(
        self, request: Request, asker: Asker, _fields: Mapping[str, str]
    ) -> Response:
        if asker.user is not None:
            self._gate.end(asker.user)
            log.event("page_user_logged_out", user=asker.user.name)
            auditor = self._desk.auditor
            tell_login(auditor, request, asker.user.name, is_login=False)
        answer = RedirectResponse("/", SEE_OTHER)
        answer.delete_cookie(COOKIE)
        return answer

    async def _echo(
        self, request: Request, asker: Asker, _fields: Mapping[str, str]
    ) -> Response:
        name = request.path_params["name"]
        if name not in {peer.name for peer in self._page.peers}:
            return self._renderer.problem("not_found", request, asker, _NOT_FOUND)
        echoed = await self._desk.echo(name)
        user = None if asker.user is None else asker.user.name
        state = "failed" if isinstance(echoed.took, Trouble) else "done"
        log.event("page_action", action="echo", user=user, peer=name, state=state)
        return RedirectResponse(f"/peers#{name}", SEE_OTHER)

    async def _act(
        self, request: Request, asker: Asker, _fields: Mapping[str, str]
    ) -> Response:
        if asker.user is None or not self._page.actions:
            return self._renderer.problem("not_allowed", request, asker, _FORBIDDEN)
        if request.path_params["verb"] not in set(Verb):
            return self._renderer.problem("not_found", request, asker, _NOT_FOUND)
        verb = Verb(request.path_params["verb"])
        told = await self._desk.told(request.path_params["job_id"])
        if told is None or isinstance(told, Trouble):
            return self._renderer.problem("not_found", request, asker, _NOT_FOUND)
        job_id = told.story.row.id
        tell = self._telling(request, asker.user, f"{verb.value} of job {job_id}")
        acted = await self._desk.act(asker.user.name, verb, job_id, tell)
        if acted.error_code:
            return await self._pages.job(request, asker, told, refused=acted.text)
        done = "under-way" if acted.is_under_way else verb.value
        return RedirectResponse(f"/jobs/{acted.job_id}?done={done}", SEE_OTHER)

    async def _retry_all(
        self, request: Request, asker: Asker, _fields: Mapping[str, str]
    ) -> Response:
        if asker.user is None or not self._page.actions:
            return self._renderer.problem("not_allowed", request, asker, _FORBIDDEN)
        tell = self._telling(request, asker.user, "retry of all failed jobs")
        acted = await self._desk.act(asker.user.name, Verb.RETRY, None, tell)
        if acted.error_code:
            return await self._pages.failures(request, asker, refused=acted.text)
        done = "under-way" if acted.is_under_way else "retry-all"
        return RedirectResponse(f"/failures?done={done}", SEE_OTHER)

    def _telling(
        self, request: Request, user: User, what: str
    ) -> Callable[[Acted], None]:
        """Return what tells of an action once it has ended."""
        tell = partial(tell_action, self._desk.auditor, request, user, what)
        return lambda acted: tell(failure=acted.error_code)


def _leading(to: str) -> Callable[[Request], Awaitable[Response]]:
    """Return what leads from the address of a form to the page on which it stands."""

    async def answer(request: Request) -> Response:
        names = {key: quote(text) for key, text in request.path_params.items()}
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(safe_path(to.format(**names) + query), SEE_OTHER)

    return answer


def _without_next(request: Request) -> Request:
    """Return a request that leads to the first page once its sender has logged in."""
    return Request({**request.scope, "path": "/", "query_string": b""})
