"""HAProxy in front of the machines of a node, as `deploy/haproxy` has it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.peers import HOST, free_port, listens, wait_until

CONFIGURATION = (
    Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
).resolve()


def program() -> str | None:
    """Return HAProxy; None where it is not installed."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


def environment(port: int, north: int, south: int) -> dict[str, str]:
    """Return what the configuration takes from its environment."""
    return {
        **os.environ,
        "LUMBAR_BIND": f"{HOST}:{port}",
        "LUMBAR_NORTH": f"{HOST}:{north}",
        "LUMBAR_SOUTH": f"{HOST}:{south}",
    }


@contextmanager
def balancer(north: int, south: int) -> Iterator[int]:
    """Run HAProxy in front of two ports, and give its own.

    Raises
    ------
    FileNotFoundError
        If it is not installed.
    """
    found = program()
    if found is None:
        message = "haproxy"
        raise FileNotFoundError(message)
    port = free_port()
    process = subprocess.Popen(
        [found, "-db", "-f", str(CONFIGURATION)],
        env=environment(port, north, south),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: listens(port), what="HAProxy listens")
        yield port
    finally:
        process.kill()
        process.wait()
