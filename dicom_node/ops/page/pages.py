"""The pages: which address shows what, and to whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node import log
from dicom_node.jobs.job_filter import JobFilter, moment
from dicom_node.jobs.job_verbs import Verb, verbs_for
from dicom_node.node_report import OpsPlan, PagePlan
from dicom_node.ops.checks import checks_of, is_ready
from dicom_node.ops.page.desk import Acted, Desk, Told
from dicom_node.ops.page.render import LANGUAGE_COOKIE, Asker, Renderer
from dicom_node.ops.page.user_trail import tell_shown
from dicom_node.ops.page.users import Gate
from dicom_node.ops.probe import Trouble
from dicom_node.ops.watch import Watch
from dicom_node.records import JobRow, JobState

SEE_OTHER = 303
_OK, _BAD, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _DOWN = 200, 400, 403, 404, 409, 503
_SPANS = ("1h", "1d", "7d")
_YEAR_S = 365 * 86400
_MOST_CHARS = 100
_FILTER = ("state", "peer", "since")
_PAGE_DIGITS = 6
_UNDER_WAY = "under-way"
"""Of `done`, where an action goes on after its answer."""

Shown = Callable[[Request, Asker], Awaitable[Response]]


class Pages:
    """Shows the node."""

    def __init__(
        self, watch: Watch, page: PagePlan, desk: Desk, gate: Gate, renderer: Renderer
    ) -> None:
        self._watch = watch
        self._ops: OpsPlan = watch.plan
        self.plan = page
        self._desk = desk
        self._gate = gate
        self.renderer = renderer

    def routes(self) -> list[Route]:
        """Return what is shown on GET."""
        return [
            Route("/", self.guarded(self._status)),
            Route("/jobs", self.guarded(self._jobs)),
            Route("/jobs/{job_id}", self.guarded(self._job)),
            Route("/failures", self.guarded(self._failures)),
            Route("/peers", self.guarded(self._peers)),
            Route("/style.css", self._style),
        ]

    def guarded(self, show: Shown) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers a request with a page, if it may be shown."""

        async def answer(request: Request) -> Response:
            asker = self.asker_of(request)
            if asker.user is None and self._gate.asks_who:
                return self.turned_away(request, asker)
            return self.in_language(request) or await show(request, asker)

        return answer

    def asker_of(self, request: Request) -> Asker:
        """Return who is asking."""
        return Asker(self._gate.user_of(request), self.renderer.words_for(request))

    def turned_away(self, request: Request, asker: Asker) -> Response:
        """Answer somebody who is not known."""
        if not self._gate.takes_passwords:
            return self.renderer.problem("no_user", request, asker, _FORBIDDEN)
        return RedirectResponse(
            f"/login?{urlencode({'next': here(request)})}", SEE_OTHER
        )

    def in_language(self, request: Request) -> Response | None:
        """Return what keeps the language that somebody has just chosen, if any."""
        language = request.query_params.get("lang", "")
        if language not in self.renderer.words:
            return None
        answer = RedirectResponse(here(request), SEE_OTHER)
        answer.set_cookie(
            LANGUAGE_COOKIE, language, max_age=_YEAR_S, httponly=True, samesite="strict"
        )
        return answer

    async def _style(self, _request: Request) -> Response:
        return Response(self.renderer.style, media_type="text/css")

    async def _status(self, request: Request, asker: Asker) -> Response:
        seen = await self._watch.look(with_echo=True)
        checks = checks_of(seen, self._ops)
        numbers, report = seen.numbers, seen.report
        states: dict[str, int] | None = None
        oldest_s: float | None = None
        if not isinstance(numbers, Trouble):
            states = {state.value: 0 for state in JobState}
            for (state_name, _), count in numbers.states.items():
                states[state_name] += count
            if numbers.oldest_unsettled_s is not None:
                oldest_s = max(seen.posix_s - numbers.oldest_unsettled_s, 0.0)
        disk = seen.disk
        values = {
            "checks": checks,
            "is_ready": is_ready(checks),
            "numbers": numbers,
            "states": states,
            "oldest_s": oldest_s,
            "disk": disk,
            "used": None
            if isinstance(disk, Trouble)
            else round(100 * (1 - disk[0] / max(disk[1], 1))),
            "limit_bytes": self._ops.min_free_bytes,
            "processes": () if report is None else report.children,
            "analyses": () if report is None else report.analyses,
        }
        return self.renderer.page("status", request, asker, values)

    async def _jobs(self, request: Request, asker: Asker) -> Response:
        chosen = {
            name: request.query_params.get(name, "")[:_MOST_CHARS] for name in _FILTER
        }
        try:
            wanted = filter_of(chosen)
            number = page_number_of(request.query_params.get("page", "1"))
        except ValueError as error:
            return self.renderer.problem("wrong", request, asker, _BAD, str(error))
        page = await self._desk.jobs(wanted, number)
        is_told = not isinstance(page, Trouble)

        def at(page_number: int) -> str:
            kept = {name: text for name, text in chosen.items() if text}
            return urlencode({**kept, "page": page_number})

        values = {
            "page": page if is_told else None,
            "problem": page,
            "chosen": chosen,
            "at": at,
            "number": number,
            "states": [state.value for state in JobState],
            "peers": _with([peer.name for peer in self.plan.peers], chosen["peer"]),
            "spans": _with(list(_SPANS), chosen["since"]),
        }
        return self.renderer.page(
            "jobs", request, asker, values, _OK if is_told else _DOWN
        )

    async def _job(self, request: Request, asker: Asker) -> Response:
        told = await self._desk.told(request.path_params["job_id"][:_MOST_CHARS])
        if isinstance(told, Trouble):
            return self.renderer.problem("database", request, asker, _DOWN, told.text)
        if told is None:
            return self.renderer.problem("not_found", request, asker, _NOT_FOUND)
        ended = self._ended_since(request, told.story.row.id)
        if ended is None:
            return await self.job(request, asker, told)
        verb, acted = ended
        if acted.error_code:
            return await self.job(request, asker, told, refused=acted.text)
        return RedirectResponse(f"/jobs/{acted.job_id}?done={verb.value}", SEE_OTHER)

    def _ended_since(
        self, request: Request, job_id: str | None
    ) -> tuple[Verb, Acted] | None:
        """Return how an action went that took longer than its answer could wait."""
        was_under_way = request.query_params.get("done") == _UNDER_WAY
        return self._desk.ended(job_id) if was_under_way else None

    async def job(
        self, request: Request, asker: Asker, told: Told, refused: str = ""
    ) -> Response:
        """Return the page of one job.

        Parameters
        ----------
        refused
            Why an action was not done; empty if none was refused.
        """
        row = told.story.row
        done = request.query_params.get("done", "")
        may_act = asker.user is not None and self.plan.actions
        values = {
            "row": row,
            "story": told.story,
            "warnings": told.warnings,
            "known": _known(row, asker),
            "buttons": [verb.value for verb in verbs_for(row)] if may_act else [],
            "done": done if asker.words.of(f"done.{done}") and not refused else "",
            "refused": refused,
            "patient": await self._patient(request, told, asker),
        }
        return self.renderer.page(
            "job", request, asker, values, _CONFLICT if refused else _OK
        )

    async def _patient(
        self, request: Request, told: Told, asker: Asker
    ) -> Mapping[str, str] | None:
        if not self.plan.patient_data or asker.user is None:
            return {}
        job_id = told.story.row.id
        log.event("page_patient_shown", user=asker.user.name, job_id=job_id)
        patient = await self._desk.patient(told.story)
        tell_shown(self._desk.auditor, request, asker.user, (told.story, patient or {}))
        return patient

    async def _failures(self, request: Request, asker: Asker) -> Response:
        ended = self._ended_since(request, None)
        if ended is None:
            return await self.failures(request, asker)
        _, acted = ended
        if acted.error_code:
            return await self.failures(request, asker, refused=acted.text)
        return RedirectResponse("/failures?done=retry-all", SEE_OTHER)

    async def failures(
        self, request: Request, asker: Asker, refused: str = ""
    ) -> Response:
        """Return the page of all jobs that failed.

        Parameters
        ----------
        refused
            Why an action was not done; empty if none was refused.
        """
        done = request.query_params.get("done", "")
        page = await self._desk.jobs(JobFilter(states=(JobState.FAILED.value,)))
        groups: dict[str, list[JobRow]] | None = None
        shown = more = 0
        if not isinstance(page, Trouble):
            groups = defaultdict(list)
            shown, more = len(page.rows), page.more
            for row in page.rows:
                groups[_codes(row)[0]].append(row)
        values = {
            "groups": groups,
            "problem": page,
            "shown": shown,
            "more": more,
            "done": done if asker.words.of(f"done.{done}") and not refused else "",
            "refused": refused,
        }
        status = _DOWN if groups is None else _CONFLICT if refused else _OK
        return self.renderer.page("failures", request, asker, values, status)

    async def _peers(self, request: Request, asker: Asker) -> Response:
        seen = await self._watch.look(with_echo=False)
        names = [peer.name for peer in self.plan.peers]
        counts: dict[str, dict[str, int]] = {name: {} for name in names}
        if not isinstance(seen.numbers, Trouble):
            for (peer, word), count in sorted(seen.numbers.deliveries.items()):
                if peer in counts:
                    counts[peer][word] = count
        values = {
            "peers": self.plan.peers,
            "counts": counts,
            "echoed": {name: self._desk.echoed.get(name) for name in names},
        }
        return self.renderer.page("peers", request, asker, values)


def here(request: Request) -> str:
    """Return the path of a request with its query, without the choice of language."""
    pairs = [(k, v) for k, v in request.query_params.multi_items() if k != "lang"]
    return safe_path(request.url.path + (f"?{urlencode(pairs)}" if pairs else ""))


def safe_path(text: str) -> str:
    """Return an address of ours, and the first page for any other one."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    is_plain = text.isascii() and text.isprintable() and "\\" not in text
    is_local = not parts.scheme and not parts.netloc and text.startswith("/")
    if not (is_plain and is_local) or text.startswith("//"):
        return "/"
    query = urlencode(parse_qsl(parts.query))
    return parts.path + (f"?{query}" if query else "")


def filter_of(chosen: Mapping[str, str]) -> JobFilter:
    """Return the filter of a query.

    Raises
    ------
    ValueError
        If a value is none.
    """
    state, since = chosen["state"], chosen["since"]
    if state and state not in set(JobState):
        message = f"{state} is no state of a job"
        raise ValueError(message)
    return JobFilter(
        states=(state,) if state else (),
        peer=chosen["peer"],
        # To the minute, so that the same question is asked again.
        since_s=moment(since) // 60 * 60 if since else None,
    )


def page_number_of(text: str) -> int:
    """Return the number of a page of the list.

    Raises
    ------
    ValueError
        If it is none.
    """
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if number < 1 or len(text) > _PAGE_DIGITS:
        message = f"page is a number from 1 to {10**_PAGE_DIGITS - 1}"
        raise ValueError(message)
    return number


def _with(words: list[str], chosen: str) -> list[str]:
    return words if not chosen or chosen in words else [*words, chosen]


def _codes(row: JobRow) -> list[str]:
    """Return the codes in the reason of a job: its own, or those of its deliveries."""
    peers = {peer for peer, _ in row.deliveries}
    codes = []
    for part in row.reason.split("; "):
        words = part.split(": ")
        code = words[1] if words[0] in peers and len(words) > 1 else words[0]
        if code not in codes:
            codes.append(code)
    return codes


def _known(row: JobRow, asker: Asker) -> list[str]:
    return [one for one in _codes(row) if asker.words.of(f"code.{one}.what")]
