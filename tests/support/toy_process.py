"""Where the process of a toy worker begins."""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection


def run_toy(pipe: Connection, folder: str, url: str, name: str, hasty: bool) -> None:
    """Run as an executor, untraced: it is killed, and tells no coverage."""
    coverage = sys.modules.get("coverage")
    current = None if coverage is None else coverage.Coverage.current()
    if current is not None:
        current.stop()
    from tests.support.toy_work import run_toy as run

    run(pipe, folder, url, name, hasty)
