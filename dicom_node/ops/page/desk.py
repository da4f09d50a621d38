"""What the page asks of the node and does to it; nothing of it waits for long."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from dicom_node import log
from dicom_node.audit.auditor import Auditor
from dicom_node.errors import JobNotFoundError
from dicom_node.jobs.job_filter import JobFilter
from dicom_node.jobs.job_reader import JobPage, JobReader, JobStory, warnings_of
from dicom_node.jobs.job_verbs import Verb
from dicom_node.node_report import OpsPlan, PagePlan
from dicom_node.ops.checks import ECHO_LIMIT_S
from dicom_node.ops.page.errand import ErrandError, Errands
from dicom_node.ops.probe import Probe, Trouble
from dicom_node.ops.reach import reach
from dicom_node.spool_layout import SpoolLayout

MOST_ROWS = 100
_EVERY_S = 2.0
_WITHIN_S = 6.0
_REST = 10.0
"""A tenth of a core at most, for each page that is looked at again and again."""
_MOST_KEPT = 64
_THREADS = 2
_ACTION_S = 60
"""Beyond all waits for the database."""
_ACTION_ON_ALL_S = 3600
"""After an outage thousands have failed; some ten to a hundred begin in a second."""
_PATIENT_S = 20.0
_ECHO_EVERY_S = 2.0
_ANSWER_S = 6.5
"""Less than a connection lasts; what is not done by then goes on without it."""
_ACTION = "dicom_node.jobs.action_process"
_PATIENT = "dicom_node.decode.patient_process"

_Key = TypeVar("_Key", bound=Hashable)
_T = TypeVar("_T")


class _Kept(Generic[_Key, _T]):
    """Answers to questions of one kind, each given again for a while."""

    def __init__(self, ask: Callable[[_Key], _T], threads: ThreadPoolExecutor) -> None:
        self._ask = ask
        self._threads = threads
        self._probes: OrderedDict[_Key, Probe[_T]] = OrderedDict()

    async def answer(self, key: _Key) -> _T | Trouble:
        if key not in self._probes:
            self._probes[key] = Probe(
                lambda: self._ask(key),
                self._threads,
                every_s=_EVERY_S,
                within_s=_WITHIN_S,
                rest=_REST,
            )
            while len(self._probes) > _MOST_KEPT:
                self._probes.popitem(last=False)
        self._probes.move_to_end(key)
        return await self._probes[key].answer()

    def forget(self) -> None:
        self._probes.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A job with the warnings in its report."""

    story: JobStory
    warnings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoed:
    """How a peer answered whether it is there.

    Parameters
    ----------
    at_s
        POSIX time of the question.
    took
        In seconds; or why there was no answer.
    """

    at_s: float
    took: float | Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """How an action went.

    Parameters
    ----------
    job_id
        The job to look at afterwards; None where it was about all that failed.
    error_code, text
        Why nothing was done; empty where it was.
    is_under_way
        It takes longer, and goes on.
    """

    job_id: str | None
    error_code: str = ""
    text: str = ""
    is_under_way: bool = False


class Desk:
    """Looks at jobs and peers, and hands on what a user wants done."""

    def __init__(self, plan: OpsPlan, page: PagePlan) -> None:
        self._plan = plan
        self.auditor = Auditor(plan.audit)
        self._layout = SpoolLayout(plan.spool_folder)
        self._reader = JobReader(plan.database_url)
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="page")
        self._pages: _Kept[tuple[JobFilter, int], JobPage] = _Kept(self._page, threads)
        self._stories: _Kept[str, Told | None] = _Kept(self._story, threads)
        peers = {peer.name: peer for peer in page.peers}
        # One thread each: a name server may hang for longer than the answer is waited.
        echoing = ThreadPoolExecutor(max(len(peers), 1), thread_name_prefix="echo")
        self._probes = {
            name: Probe(
                partial(
                    reach,
                    peer,
                    plan.ae_title,
                    min(peer.timeout_s, ECHO_LIMIT_S),
                ),
                echoing,
                every_s=_ECHO_EVERY_S,
                within_s=_WITHIN_S,
                rest=0.0,
            )
            for name, peer in peers.items()
        }
        self.echoed: dict[str, Echoed] = {}
        self._actions = {True: Errands(_ACTION_ON_ALL_S), False: Errands(_ACTION_S)}
        self._readings = Errands(_PATIENT_S)
        self._under_way: set[asyncio.Task[Any]] = set()
        self._ended: OrderedDict[str | None, tuple[Verb, Acted]] = OrderedDict()
        self._patients: OrderedDict[str, Mapping[str, str]] = OrderedDict()

    async def jobs(self, wanted: JobFilter, number: int = 1) -> JobPage | Trouble:
        """Return the jobs accepted last that pass a filter, or a later page of them."""
        return await self._pages.answer((wanted, number))

    async def told(self, job_id: str) -> Told | Trouble | None:
        """Return one job; None if there is none."""
        return await self._stories.answer(job_id)

    async def patient(self, story: JobStory) -> Mapping[str, str] | None:
        """Return attributes of the patient of a series, by keyword.

        Returns
        -------
        Mapping or None
            Empty if they cannot be read; None if that takes a little longer.
        """
        key = story.row.digest
        if key in self._patients or story.first_file is None:
            return self._patients.get(key, {})
        return await self._awaited(self._read_patient(key, story.first_file))

    async def _read_patient(self, key: str, path: Path) -> Mapping[str, str]:
        try:
            found = await self._readings.run(_PATIENT, {"path": str(path)})
        except ErrandError:
            return {}
        self._patients[key] = {name: str(text) for name, text in found.items()}
        while len(self._patients) > _MOST_KEPT:
            self._patients.popitem(last=False)
        return self._patients[key]

    async def _awaited(self, doing: Coroutine[Any, Any, _T]) -> _T | None:
        """Return what something ends with, or None after a while; it goes on."""
        running = asyncio.create_task(doing)
        self._under_way.add(running)
        running.add_done_callback(self._under_way.discard)
        done, _ = await asyncio.wait({running}, timeout=_ANSWER_S)
        return running.result() if done else None

    async def echo(self, name: str) -> Echoed:
        """Ask a peer whether it is there.

        Raises
        ------
        KeyError
            If none has this name.
        """
        at_s = time.time()
        echoed = Echoed(at_s=at_s, took=await self._probes[name].answer())
        self.echoed[name] = echoed
        return echoed

    async def act(
        self,
        user: str,
        verb: Verb,
        job_id: str | None,
        tell: Callable[[Acted], None],
    ) -> Acted:
        """Do something about a job, and log who did it.

        Parameters
        ----------
        job_id
            None to retry all jobs that failed.
        tell
            Is told how it went, however long that takes.
        """
        self._ended.pop(job_id, None)
        acted = await self._awaited(self._logged(user, verb, job_id, tell))
        return acted or Acted(job_id=job_id, is_under_way=True)

    def ended(self, job_id: str | None) -> tuple[Verb, Acted] | None:
        """Return the last action about a job, or about all that failed, and its end.

        None if there was none, or if it goes on.
        """
        return self._ended.get(job_id)

    async def _logged(
        self,
        user: str,
        verb: Verb,
        job_id: str | None,
        tell: Callable[[Acted], None],
    ) -> Acted:
        acted = await self._act(verb, job_id)
        self._ended[job_id] = verb, acted
        while len(self._ended) > _MOST_KEPT:
            self._ended.popitem(last=False)
        tell(acted)
        log.event(
            "page_action",
            action=verb.value,
            user=user,
            job_id=job_id,
            state="failed" if acted.error_code else "done",
            error_code=acted.error_code or None,
        )
        return acted

    async def _act(self, verb: Verb, job_id: str | None) -> Acted:
        is_on_all = job_id is None
        asked = {
            "limit_s": _ACTION_ON_ALL_S if is_on_all else _ACTION_S,
            "verb": verb.value,
            "job_id": job_id,
            "database_url": self._plan.database_url,
            "spool_folder": str(self._plan.spool_folder),
        }
        try:
            told = await self._actions[is_on_all].run(_ACTION, asked)
        except ErrandError as error:
            return Acted(job_id=job_id, error_code="not-done", text=str(error))
        finally:
            self._pages.forget()
            self._stories.forget()
        if "error_code" in told:
            code, text = str(told["error_code"]), str(told["text"])
            return Acted(job_id=job_id, error_code=code, text=text)
        return Acted(job_id=told["job_id"])

    def _page(self, asked: tuple[JobFilter, int]) -> JobPage:
        wanted, number = asked
        return self._reader.page(wanted, most=MOST_ROWS, number=number)

    def _story(self, job_id: str) -> Told | None:
        try:
            story = self._reader.story(job_id)
        except JobNotFoundError:
            return None
        warnings = warnings_of(self._layout.job_outbox(story.row.id))
        return Told(story=story, warnings=warnings)
