"""A PostgreSQL server of our own, where the machine has one installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_USER = "postgres"


def programs() -> Path | None:
    """Return the folder of the server's programs; None if there is none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    return _INSTALLED[-1] if _INSTALLED else None


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """Run a server on a socket in a folder of its own, and give its URL."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    # The server refuses to run as root.
    user = _USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    shutil.chown(folder, user)

    def run(program: str, *words: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *words]
        subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)

    run("initdb", "-A", "trust", "-U", "lumbar", "--no-sync")
    options = f"-k {folder} -h '' -F"
    run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://lumbar@/jobs?host={folder}"
    finally:
        run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@contextmanager
def stopped(url: str) -> Iterator[None]:
    """Let the server of this URL end as by a crash, and start again at the end."""
    folder = Path(url.partition("host=")[2])
    found = programs()
    assert found is not None
    user = _USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    command = [str(found / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    options = ["-l", str(folder / "log"), "-o", f"-k {folder} -h '' -F"]

    def run(*words: str) -> None:
        subprocess.run(
            [*command, *words], check=True, capture_output=True, user=user, cwd=folder
        )

    run("-m", "immediate", "stop")
    try:
        yield
    finally:
        run(*options, "start")
