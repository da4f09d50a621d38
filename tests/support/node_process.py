"""The node as a process of its own, as IT runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml

from dicom_node.cli.job_commands import plain
from dicom_node.jobs.dead_worker import MAX_LOSSES, Cause
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.triage_order import order_id
from dicom_node.settings.load import load
from dicom_node.settings.sections import Settings
from tests.support.line_coverage.uncounted import uncounted
from tests.support.peers import WITHIN_S, Archive, echo, free_port, wait_until

PROGRAM = str(Path(sys.executable).with_name("lumbar-node"))
SETTLED = {"done", "rejected", "failed", "cancelled"}

JobsByUid = dict[str, dict[str, Any]]


def settings_for(
    folder: Path,
    *,
    node_port: int,
    peers: dict[str, tuple[str, int]],
    analysis: str = "lumbar-mri",
) -> dict[str, Any]:
    """Return settings with short waits, but for the answers of peers.

    Parameters
    ----------
    peers
        AE title and port by the name of the peer; results go to all of them.
    """
    return {
        "version": 1,
        "node": {
            "ae_title": "LUMBAR_AI",
            "bind": "127.0.0.1",
            "port": node_port,
            "acceptors": 1,
        },
        "peers": {
            name: {
                "ae_title": title,
                "host": "127.0.0.1",
                "port": port,
                # Long, for a result that is sent twice because its peer was slow is
                # another test; a peer of pynetdicom now and then stalls for good.
                "timeout_s": 30,
            }
            for name, (title, port) in peers.items()
        },
        "spool": {"folder": str(folder / "spool"), "min_free_gb": 0.01},
        "series": {"quiet_s": 1, "max_wait_s": 60, "confirm_by_c_find": False},
        "routes": [{"name": "lumbar", "analysis": analysis, "deliver_to": list(peers)}],
        "jobs": {"retry_first_s": 1, "retry_longest_s": 1},
    }


@dataclass
class Node:
    """One `lumbar-node serve`, or another command that runs until it is stopped.

    Parameters
    ----------
    folder
        Its configuration, spool and log lie here.
    settings
        As in `node.yaml`.
    environment
        Added to that of the tests.
    is_counted
        Whether its processes tell the coverage what lines they ran, see `uncounted`.
    words
        Of the command.
    """

    folder: Path
    settings: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    is_counted: bool = False
    words: tuple[str, ...] = ("serve",)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.settings["node"]["port"]
        return port

    @property
    def config(self) -> Path:
        """Its `node.yaml`."""
        return self.folder / "node.yaml"

    @property
    def log(self) -> Path:
        """Its standard output and error."""
        return self.folder / "node.log"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process.

        Raises
        ------
        RuntimeError
            If it was not started.
        """
        if self._process is None:
            message = "the node was not started"
            raise RuntimeError(message)
        return self._process

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it answers C-ECHO."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, *self.words, "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )
        if wait:
            self._wait_for_echo()

    def _wait_for_echo(self) -> None:
        try:
            wait_until(self._answers, what="the node answers C-ECHO")
        except (TimeoutError, RuntimeError):
            self.kill()
            raise

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            message = f"the node ended: {self.log.read_text()[-2000:]}"
            raise RuntimeError(message)
        caller = next(iter(self.settings["peers"].values()))["ae_title"]
        return echo(self.port, calling=caller)

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)

    def stop_took_s(self) -> float:
        """Return how long its last stop took, but for the end of its interpreter.

        As it says itself: a machine that is busy otherwise takes long to end that.
        """
        stops = [row for row in self.events() if row["event"] == "node_stopped"]
        return float(stops[-1]["duration_ms"]) / 1000

    def kill(self) -> None:
        """Kill -9 every process of the node at once, and wait until they are gone."""
        self._kill_group()
        self.process.wait(WITHIN_S)
        # One that waits for the disk dies a little later, and holds the port so long.
        wait_until(lambda: not self.processes_left(), what="all end")

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        # Politely first: a process that is killed leaves no account of its coverage.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()
        self.kill()

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the node that live now."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Return the processes that run analyses."""
        pids = {
            row["pid"]
            for row in self.events()
            if str(row.get("process", "")).startswith("worker") and "pid" in row
        }
        return [process for process in self.processes() if process.pid in pids]

    def processes_left(self) -> list[int]:
        """Return the processes of its group that outlived it."""
        return [
            process.pid
            for process in psutil.process_iter()
            if process.pid != self.process.pid and _group(process) == self.process.pid
        ]

    def events(self) -> list[dict[str, Any]]:
        """Return what it logged, parsed."""
        rows = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                rows.append(json.loads(line))
        return [row for row in rows if isinstance(row, dict)]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command of `lumbar-node` on the same settings."""
        return subprocess.run(
            [PROGRAM, *words, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
            env=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        inherited = os.environ if self.is_counted else uncounted()
        return {**inherited, **self.environment}

    def jobs(self) -> list[dict[str, Any]]:
        """Return what `jobs list --json` says of all jobs.

        Asked in this process, for a command takes longer than most of what is waited
        for, and takes the processor from it.
        """
        with JobQueue(self._loaded().database_url) as queue:
            told = json.dumps([plain(row) for row in queue.list()])
        rows: list[dict[str, Any]] = json.loads(told)
        return rows

    def _loaded(self) -> Settings:
        analyses = [route["analysis"] for route in self.settings["routes"]]
        return load(self.config, analyses=analyses)

    def settled(self, count: int) -> bool:
        """Return whether this many jobs exist and all have come to an end."""
        states = [row["state"] for row in self.jobs()]
        return len(states) >= count and SETTLED.issuperset(states)

    def settled_series(self, uids: Collection[str]) -> JobsByUid:
        """Return the jobs of these series, by series UID, once all are settled."""
        rows: JobsByUid = {}

        def logged() -> bool:
            told = {
                row.get("series_uid")
                for row in self.events()
                if row["event"] == "job_settled"
            }
            return told.issuperset(uids)

        def settled() -> bool:
            found = {row["series_uid"]: row for row in self.jobs()}
            rows.update({uid: found[uid] for uid in uids if uid in found})
            return len(rows) == len(set(uids)) and all(
                row["state"] in SETTLED for row in rows.values()
            )

        what = f"the jobs of {len(uids)} series settle"
        wait_until(logged, what=what, every_s=0.3)
        wait_until(settled, what=what)
        return rows

    def settled_jobs_of(self, uid: str, count: int = 1) -> list[dict[str, Any]]:
        """Return the jobs of a series, the latest first, once so many are settled."""
        rows: list[dict[str, Any]] = []

        def are_settled() -> bool:
            rows[:] = [row for row in self.jobs() if row["series_uid"] == uid]
            states = [row["state"] for row in rows]
            return len(states) >= count and SETTLED.issuperset(states)

        what = f"{count} jobs of the series settle"
        wait_until(are_settled, what=what, every_s=0.5)
        return rows

    def settled_whole(self, uid: str, instances: int) -> dict[str, Any]:
        """Return the job of a series that has so many instances, once it is settled.

        Another one may come before, of what had arrived when the sender paused: on a
        slow machine a pause is soon long.
        """
        found: list[dict[str, Any]] = []

        def is_settled() -> bool:
            rows = [row for row in self.jobs() if row["series_uid"] == uid]
            found[:] = [row for row in rows if row["instances"] == instances]
            return bool(found) and SETTLED.issuperset(row["state"] for row in rows)

        what = f"a job of {instances} instances settles"
        wait_until(is_settled, what=what, every_s=0.5)
        return found[0]

    def hasten_giving_up(self, uid: str) -> None:
        """Count deaths of the worker in a series: all but the first and the last.

        Both are real; each one costs the start of a worker.
        """

        def lost() -> list[str]:
            ids = {
                str(row["job_id"])
                for row in self.events()
                if row["event"] == "job_lost_its_worker"
            }
            own = {row["id"] for row in self.jobs() if row["series_uid"] == uid}
            return [one for one in ids if order_id(one) in own]

        wait_until(lambda: bool(lost()), what="a worker dies in it", every_s=0.3)
        self.count_deaths(lost()[0], MAX_LOSSES - 1)

    def count_deaths(self, workflow_id: str, times: int) -> None:
        """Count deaths of the worker in a workflow that did not happen."""
        with JobQueue(self._loaded().database_url) as queue:
            for _ in range(times):
                queue.lost_work.count(workflow_id, Cause.WORKER_CRASHED)

    def wait_settled(self, count: int) -> list[dict[str, Any]]:
        """Return the jobs once this many exist and all have come to an end."""
        wait_until(
            lambda: self.settled(count),
            what=f"{count} jobs settle",
            every_s=0.7,
        )
        return self.jobs()


def _group(process: psutil.Process) -> int:
    """Return the process group of a process; 0 for one that has ended."""
    try:
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        return 0 if is_zombie else os.getpgid(process.pid)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return 0


def node_for(
    folder: Path,
    *archives: Archive,
    analysis: str = "lumbar-mri",
    environment: dict[str, str] | None = None,
    is_counted: bool = False,
) -> Node:
    """Return a node, not started, that takes from and delivers to these archives."""
    for archive in archives:
        archive.port = archive.port or free_port()
    peers = {
        archive.ae_title.lower(): (archive.ae_title, archive.port)
        for archive in archives
    }
    settings = settings_for(
        folder, node_port=free_port(), peers=peers, analysis=analysis
    )
    return Node(
        folder=folder,
        settings=settings,
        environment=environment or {},
        is_counted=is_counted,
    )
