"""A worker whose work is to append lines to a file: for tests of the jobs alone.

Its behaviour follows from files in its folder, so that a test changes it at any time:
`down-PEER-JOB` makes a peer unreachable for a job, `refusing-PEER-JOB` makes it refuse,
`slow-JOB` holds an analysis or a delivery, `held-PEER` every delivery to a peer,
`poison-JOB` kills the process, `short-JOB` lets the machine be short of something,
`proving-PEER` makes a peer owe a proof of what it stored, `deaf-PEER-JOB` send no
report, `aged-PEER-JOB` let the age of that be over and `losing-PEER-JOB` lose an
instance, `full-STEP-JOB` fills the database once, `broken-JOB` fails the job, `early-
JOB` lets its triage wait, `late-PEER` begins each delivery to a peer a second later, as
on a machine that has no time for it, and `last- PEER` while the worker is being
stopped.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_node.jobs.dbos_setup import (
    executor_id,
    open_client,
    prepare_database,
)
from dicom_node.jobs.queue import JobQueue
from dicom_node.node.children import Child
from dicom_node.node.worker_slot import WorkerSlot
from dicom_node.records import JobRow, JobState
from dicom_node.supervisor_messages import STOP
from tests.support.peers import wait_until
from tests.support.toy_work import (
    GIVE_UP_AFTER_S,
    HASTY_TRIES,
    PAUSE_S,
    toy_job,
)

__all__ = ["GIVE_UP_AFTER_S", "HASTY_TRIES", "PAUSE_S", "Toy", "toy_job"]

SETTLED = {JobState.DONE, JobState.REJECTED, JobState.FAILED, JobState.CANCELLED}


@dataclass
class Toy:
    """The jobs of one database, by default an SQLite file, and a worker on it.

    Parameters
    ----------
    is_hasty
        Whether it gives up soon what fails, which it else never does.
    """

    folder: Path
    url: str = ""
    slot: int = 0
    machine: str = ""
    time_limit_s: float = 3600.0
    is_hasty: bool = False
    _has_to_run: bool = False

    def __post_init__(self) -> None:
        self.url = self.url or f"sqlite:///{self.folder / 'jobs.sqlite'}"
        prepare_database(self.url)
        self.queue = JobQueue(self.url)
        name = executor_id(self.slot, self.machine)
        self.worker = WorkerSlot(
            Child(
                f"worker-{self.slot}",
                "tests.support.toy_work:run_toy",
                lambda _start: (str(self.folder), self.url, name, self.is_hasty),
            ),
            executor_id=name,
            work=self.queue.lost_work,
            time_limit_s=self.time_limit_s,
        )

    def start(self) -> None:
        """Start the worker of its slot, without waiting for it."""
        self.worker.child.start()
        self._has_to_run = True

    def kill(self) -> None:
        """Kill -9 the worker, with nobody there who counts its death."""
        self._has_to_run = False
        self.worker.child.kill()
        self.worker.child.end(10)

    def stop(self) -> None:
        """Stop the worker as a node that is shut down stops its own."""
        self._has_to_run = False
        self.worker.child.send(STOP)
        self.worker.child.end(10)

    def close(self) -> None:
        """End the worker and close the database."""
        self.kill()
        self.queue.close()

    def tend(self) -> None:
        """Do what the supervisor does again and again."""
        self.worker.tend(time.monotonic())

    def has(self, name: str) -> None:
        """Create one of the files by which the work behaves."""
        (self.folder / name).touch()

    def has_not(self, name: str) -> None:
        """Remove it again."""
        (self.folder / name).unlink()

    def done(self) -> Counter[str]:
        """Return what was done, and how often."""
        path = self.folder / "done.txt"
        return Counter(path.read_text().splitlines()) if path.exists() else Counter()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what the worker logged under a name."""
        lines = (self.folder / "worker.log").read_text().splitlines()
        rows = [json.loads(line) for line in lines if line.startswith("{")]
        return [row for row in rows if row["event"] == name]

    def attempts(self, job_id: str, peer: str) -> list[str]:
        """Return the attempts to deliver a job to a peer that the database holds."""
        client = open_client(self.url)
        try:
            prefix = f"{job_id}:{peer}:"
            found = client.list_workflows(workflow_id_prefix=prefix)
        finally:
            client.destroy()
        return [status.workflow_id for status in found]

    def wait_done(self, line: str, *, times: int = 1) -> None:
        """Return once something was done so many times."""
        wait_until(lambda: self.done()[line] >= times, what=line)

    def settled(self, job_id: str) -> JobRow:
        """Return a job once it has come to an end."""
        return self.reaches(job_id, *SETTLED)

    def tended_until_settled(self, job_id: str) -> JobRow:
        """Supervise the worker until a job has come to an end, and return it."""

        def is_settled() -> bool:
            self.tend()
            return self.queue.show(job_id).state in SETTLED

        wait_until(is_settled, what=f"{job_id} settles")
        return self.queue.show(job_id)

    def reaches(self, job_id: str, *states: JobState) -> JobRow:
        """Return a job once it is in one of the states.

        A worker ends where the database did not take a record, as one that was locked
        for too long, and its supervisor starts the next.
        """

        def is_reached() -> bool:
            if self._has_to_run and not self.worker.child.is_alive:
                self.worker.child.end(0)
                self.worker.child.start()
            return self.queue.show(job_id).state in states

        wait_until(
            is_reached, what=f"{job_id} reaches {[state.value for state in states]}"
        )
        return self.queue.show(job_id)
