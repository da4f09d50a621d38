"""Processes that are stopped in the middle of what they do, as by a debugger."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.peers import wait_until


def freeze(pid: int) -> None:
    """Stop a process, and return once it stands still.

    On a busy machine its threads go on for a while after the signal was sent.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(
        lambda: _stands_still(pid), what="the process stands still", every_s=0.01
    )


def _stands_still(pid: int) -> bool:
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    states = [task.read_text().rpartition(")")[2].split()[0] for task in tasks]
    return set(states) == {"T"}
