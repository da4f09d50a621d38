"""The demo that the README starts with: it runs, runs again, and cleans up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.support.line_coverage.uncounted import uncounted
from tests.support.peers import WITHIN_S


def demo(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "deploy" / "demo" / "demo.py")],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env=uncounted(),
    )


def left_running(root: Path) -> list[int]:
    """Return what still runs and names the demo's folder."""
    folder = str(root / ".demo")
    left = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(folder in word for word in words):
            left.append(process.pid)
    return left


def assert_shown(done: subprocess.CompletedProcess[str], root: Path) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "page for operators, while it runs: http://127.0.0.1:" in done.stdout
    for word in ("L4/L5", "SEG", "SR", "capture_01.png", "Height, Posterior"):
        assert word in done.stdout
    assert (root / ".demo" / "capture_01.png").stat().st_size > 0
    assert left_running(root) == []


def test_the_demo_passes_after_one_that_was_killed(root: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, str(root / "deploy" / "demo" / "demo.py")],
        stdout=subprocess.PIPE,
        text=True,
        env=uncounted(),
    )
    assert first.stdout is not None
    for line in first.stdout:
        if "sent by C-STORE" in line:
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    time.sleep(0.2)
    assert left_running(root) != []

    assert_shown(demo(root), root)
