"""Questions that may take long, asked one at a time and not more often than needed.

A disk or a database that hangs costs one thread, however often it is asked about.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from dicom_node.errors import NodeError

_T = TypeVar("_T")

_LONGEST_REST_S = 60.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """A question that got no answer, and why."""

    text: str


@dataclass(frozen=True, slots=True)
class Counting(Trouble):
    """The jobs of a large database that answers, not yet counted for the first time."""


class Probe(Generic[_T]):
    """One question, and its last answer.

    Parameters
    ----------
    ask
        Called in a thread; `OSError` and `NodeError` say that there is no answer.
    every_s
        How old an answer may be that is given again.
    within_s
        How long whoever asks waits at most.
    rest
        How many times as long as its processor time a question is not asked again, up
        to a minute: 100 for 1 % of a core.
    """

    def __init__(
        self,
        ask: Callable[[], _T],
        threads: Executor,
        *,
        every_s: float,
        within_s: float,
        rest: float = 100.0,
    ) -> None:
        self._ask = ask
        self._threads = threads
        self._every_s = every_s
        self._within_s = within_s
        self._rest = rest
        self._due_s = float("-inf")
        self._running: asyncio.Task[None] | None = None
        self._latest: _T | Trouble = Trouble("not asked yet")

    async def answer(self) -> _T | Trouble:
        """Return an answer that is young enough, or why there is none."""
        if self._running is None and time.monotonic() >= self._due_s:
            self._running = asyncio.create_task(self._ask_once())
        if self._running is not None:
            done, _ = await asyncio.wait({self._running}, timeout=self._within_s)
            if not done:
                return Trouble(f"no answer within {self._within_s:g} s")
            for one in done:
                one.result()
        return self._latest

    async def _ask_once(self) -> None:
        cost_s = 0.0

        def timed() -> _T:
            nonlocal cost_s
            started_s = time.thread_time()
            try:
                return self._ask()
            finally:
                cost_s = time.thread_time() - started_s

        loop = asyncio.get_running_loop()
        try:
            self._latest = await loop.run_in_executor(self._threads, timed)
        except OSError as error:
            self._latest = Trouble(error.strerror or str(error) or type(error).__name__)
        except NodeError as error:
            self._latest = Trouble(str(error))
        finally:
            rest_s = min(self._rest * cost_s, _LONGEST_REST_S)
            self._due_s = time.monotonic() + max(self._every_s, rest_s)
            self._running = None
