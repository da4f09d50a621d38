"""Containers of the image, run by podman from the store that `make image` fills."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml

from tests.support.peers import WITHIN_S, wait_until

NODE = "localhost/lumbar-node:latest"
FORMER = "localhost/lumbar-node:former"
MACHINE = "localhost/lumbar-node:machine"
BASE = "python:3.11-slim-bookworm"
CONFIG = "/etc/lumbar-node/node.yaml"
SPOOL = "/var/lib/lumbar-node"

STORE = "LUMBAR_IMAGE_STORE"
"""Names the file that `make image` writes for podman; `make image-test` sets it."""

SHUT_IN = (
    "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp", "--cap-drop=ALL",
    "--security-opt=no-new-privileges", "--memory=4g", "--network=host",
)  # fmt: skip
"""As deploy/compose.yaml has it, but for the network."""

_NUMBER = count()


def environment() -> dict[str, str]:
    """Return the environment in which podman finds the store."""
    lines = Path(os.environ[STORE]).read_text().splitlines()
    return {**os.environ, **dict(line.split("=", 1) for line in lines)}


def podman(
    *words: str, program: str = "podman", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run podman, or what calls it, and return what it said."""
    return subprocess.run(
        [program, *words],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env=environment(),
        cwd=cwd,
    )


def told(*words: str) -> str:
    """Run podman, which must succeed, and return what it printed."""
    done = podman(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def inspected(kind: str, name: str) -> dict[str, Any]:
    """Return what podman knows of an image or a container."""
    found: list[dict[str, Any]] = json.loads(told(kind, "inspect", name))
    return found[0]


def size_bytes(image: str) -> int:
    """Return what all layers of an image hold."""
    size: int = inspected("image", image)["Size"]
    return size


def own_name(what: str) -> str:
    """Return a name that no other container or volume has."""
    return f"lumbar-{what}-{os.getpid()}-{next(_NUMBER)}"


@dataclass
class Container:
    """One container, removed at the end.

    Parameters
    ----------
    options
        Of `podman run`.
    """

    image: str
    options: Sequence[str] = SHUT_IN
    words: Sequence[str] = ()
    name: str = field(default_factory=lambda: own_name("node"))

    def start(self) -> None:
        """Run it in the background."""
        told("run", "--detach", f"--name={self.name}", *self.options, self.image,
             *self.words)  # fmt: skip

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return podman("exec", self.name, *words)

    def log(self) -> str:
        """Return its standard output and error."""
        done = podman("logs", self.name)
        return done.stdout + done.stderr

    def state(self) -> dict[str, Any]:
        """Return what podman says of its state."""
        state: dict[str, Any] = inspected("container", self.name)["State"]
        return state

    def stop(self, within_s: int) -> int:
        """Send the stop signal, SIGKILL after a time, and return the exit code."""
        told("stop", "--time", str(within_s), self.name)
        code: int = self.state()["ExitCode"]
        return code

    def healthy(self) -> bool:
        """Return what the health check of the image says."""
        return podman("healthcheck", "run", self.name).returncode == 0

    def processes(self) -> list[psutil.Process]:
        """Return its processes, the first one first."""
        main = psutil.Process(self.state()["Pid"])
        return [main, *main.children(recursive=True)]

    def wait_for(self, condition: str) -> None:
        """Wait until the log has a text."""
        wait_until(lambda: condition in self.log(), what=condition, every_s=0.5)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(self.log()[-4000:])  # noqa: T201 - pytest shows it with the failure
        podman("rm", "--force", "--time=1", self.name)


@dataclass
class Volume:
    """A volume for the spool, removed at the end."""

    name: str = field(default_factory=lambda: own_name("spool"))

    def __enter__(self) -> Self:
        told("volume", "create", self.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        podman("volume", "rm", "--force", self.name)


def settings_file(folder: Path, settings: dict[str, Any]) -> Path:
    """Write settings that another user may read."""
    path = folder / "node.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    path.chmod(0o644)
    return path


def confinement(process: psutil.Process) -> dict[str, str]:
    """Return user and privileges of a process, as the kernel has them."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    rows = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    kept = ("Uid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
    return {key: rows[key].split("\t")[0].lstrip("0") or "0" for key in kept}
