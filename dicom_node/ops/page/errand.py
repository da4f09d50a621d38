"""A process that is sent to do one thing, tells how it went, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

_MOST_AT_ONCE = 2
_MOST_WAITING = 8
_MOST_BYTES = 64 * 1024


class ErrandError(Exception):
    """It was not begun, took too long, or told nothing."""


class Errands:
    """Sends processes, two at a time.

    Parameters
    ----------
    within_s
        How long one may take; then it is ended.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)
        self._waiting = 0

    async def run(self, module: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Run a module with one line of JSON, and return the one that it tells.

        Parameters
        ----------
        module
            By name, so that nothing of what it needs is loaded here.

        Raises
        ------
        ErrandError
            If it told nothing.
        """
        if self._waiting >= _MOST_WAITING:
            message = "too much is being done at once"
            raise ErrandError(message)
        self._waiting += 1
        try:
            async with self._turn:
                return await self._told(module, asked)
        finally:
            self._waiting -= 1

    async def _told(self, module: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        # The path of this process, as `multiprocessing` hands it on, and not where we
        # stand, which `-P` leaves out.
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip
        try:
            told, _ = await asyncio.wait_for(
                process.communicate(json.dumps(asked).encode() + b"\n"), self._within_s
            )
        except TimeoutError as error:
            message = f"not done within {self._within_s:g} s"
            raise ErrandError(message) from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        try:
            answer = json.loads(told[:_MOST_BYTES].splitlines()[-1])
        except (ValueError, IndexError) as error:
            message = f"ended with exit code {process.returncode}"
            raise ErrandError(message) from error
        if not isinstance(answer, dict):
            message = "told nothing"
            raise ErrandError(message)
        return answer
