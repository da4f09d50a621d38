"""A real browser, driven from a test: Chromium without a window."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import pytest

SCRIPT = Path(__file__).with_name("browse.cjs")
WITHIN_S = 120.0
"""Longest wait for anything on a page; a loaded machine is slow."""


class BrowserError(Exception):
    """A command to the browser failed."""


def built(root: Path, name: str) -> Path | None:
    """Return what `make peers` put into `build`, or None; the suite runs inside it."""
    places = (root / "build" / name, root.parent / name)
    return next((place for place in places if place.is_dir()), None)


def needed(root: Path, name: str) -> Path:
    """Return what `make peers` put into `build`, or end the test."""
    return built(root, name) or _end_without(name)


def _program(name: str) -> str:
    return shutil.which(name) or _end_without(name)


def _end_without(name: str) -> NoReturn:
    """Skip a test loudly for what this machine lacks; in CI it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is missing; run `make peers`")
    pytest.skip(f"PEER MISSING: {name}; run `make peers`")


def artefacts(root: Path) -> Path:
    """Return where tests keep what a person may want to look at."""
    build = root.parent if root.parent.name == "build" else root / "build"
    return build / "artefacts"


@dataclass
class Browser:
    """One page of a browser, which reaches nothing but this machine.

    Parameters
    ----------
    modules
        Where npm put playwright-core.
    failures
        Folder for pictures of the page at which something failed.
    size
        Width and height of the page (px).
    """

    modules: Path
    failures: Path
    size: tuple[int, int] = (1600, 1000)
    _driver: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._driver = subprocess.Popen(
            [_program("node"), SCRIPT, _program("chromium")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NODE_PATH": str(self.modules)},
        )
        self.ask("start", *self.size, WITHIN_S * 1000)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._driver is None:
            return
        try:
            self._driver.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._driver.kill()
            self._driver.communicate()

    def ask(self, command: str, *arguments: Any) -> Any:
        """Run one command of the driver, and return its answer.

        Raises
        ------
        BrowserError
            If it failed, or did not come about in time; names a picture of the page.
        """
        answer = self._answer(command, *arguments)
        if "error" in answer:
            message = f"{answer['error']}\n{self.seen()}"
            raise BrowserError(message)
        return answer["value"]

    def seen(self) -> str:
        """Keep what the page shows at a failure, and return where."""
        self.failures.mkdir(parents=True, exist_ok=True)
        path = self.failures / f"failure-{time.time_ns()}.png"
        answer = self._answer("picture", str(path))
        return f"the page then: {answer.get('error', path)}"

    def _answer(self, command: str, *arguments: Any) -> dict[str, Any]:
        driver = self._driver
        if driver is None or driver.stdin is None or driver.stdout is None:
            message = "the browser has not been started"
            raise BrowserError(message)
        driver.stdin.write(json.dumps([command, *arguments]) + "\n")
        driver.stdin.flush()
        line = driver.stdout.readline()
        answer: dict[str, Any] = json.loads(line or '{"error": "the driver ended"}')
        return answer
