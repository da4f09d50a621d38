"""A worker whose work is to append lines to a file: for tests of the jobs alone.

Its behaviour follows from files in its folder, so that a test changes it at any time:
`down-PEER-JOB` makes a peer unreachable for a job, `refusing-PEER-JOB` makes it refuse,
`slow-JOB` holds an analysis or a delivery, `held-PEER` every delivery to a peer,
`poison-JOB` kills the process, `short-JOB` lets the machine be short of something,
`full-STEP-JOB` fills the database once, `broken-JOB` fails the job, `early-JOB` lets
its triage wait, and `late-PEER` begins each delivery to a peer a second later, as on a
machine that has no time for it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dbos import DBOS
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from sqlalchemy.exc import OperationalError

from dicom_node import log
from dicom_node.jobs import job_workflow as workflow
from dicom_node.jobs.dbos_setup import (
    executor_id,
    open_client,
    prepare_database,
)
from dicom_node.jobs.delivery_retry import RetryRule
from dicom_node.jobs.executor import Executor
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.step_outcome import (
    DeliveryOutcome,
    Outcome,
    TriageOutcome,
    Verdict,
)
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.node.children import Child
from dicom_node.node.worker_slot import WorkerSlot
from dicom_node.records import (
    Completion,
    Job,
    JobRow,
    JobState,
    Reason,
    ReceivedSeries,
    StoredInstance,
)
from dicom_node.supervisor_messages import STOP
from dicom_node.work.worker_messages import Reports
from tests.support.peers import wait_until

PEERS = ("alpha", "beta")
PAUSE_S = 0.2
TROUBLE_PAUSES_S = (0.2, 0.2, 0.2, 1.5, 1.5)
_LOOK_S = 0.2
GIVE_UP_AFTER_S = 3.0
SETTLED = {JobState.DONE, JobState.REJECTED, JobState.FAILED, JobState.CANCELLED}


def toy_job(
    name: str, *, rejection: tuple[str, str] | None = None, paths: Iterable[Path] = ()
) -> Job:
    """Return a job of a series of files, with its name as its id."""
    instances = tuple(
        StoredInstance(
            path=path,
            sop_class_uid=MRImageStorage,
            sop_instance_uid=f"1.2.3.4.{number}",
            study_uid="1.2.3",
            series_uid=f"1.2.3.{len(name)}",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            calling_ae="PACS",
            sha256="",
            size_bytes=path.stat().st_size,
            received_at_s=0.0,
        )
        for number, path in enumerate(paths)
    )
    series = ReceivedSeries(
        study_uid="1.2.3",
        series_uid=f"1.2.3.{len(name)}",
        calling_ae="PACS",
        instances=instances,
        digest=name,
        completion=Completion.RELEASED_AND_QUIET,
    )
    return Job(
        id=name,
        series=series,
        route="toy",
        analysis="toy",
        analysis_version="1",
        accepted_at_s=time.time(),
        rejection=None if rejection is None else Reason(*rejection),
    )


class ToyWork:
    """Writes down what it was asked to do."""

    def __init__(self, folder: Path, queue: JobQueue) -> None:
        self._folder = folder
        self._queue = queue

    def triage(self, order: TriageOrder) -> TriageOutcome:
        name = order.series.digest
        self._note(f"triage {name}")
        if self._has(f"poison-{name}"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._has(f"early-{name}"):
            return TriageOutcome(verdict=Verdict.AGAIN, text="waits for another series")
        if self._has(f"broken-{name}"):
            return TriageOutcome(
                verdict=Verdict.FAILED, code="broken", text="is broken"
            )
        self._queue.enqueue(replace(toy_job(name), series=order.series))
        return TriageOutcome(verdict=Verdict.DONE, job_id=name)

    def analyse(self, job: Job) -> Outcome:
        self._note(f"analyse {job.id}")
        self._lose_database(f"analyse-{job.id}")
        if self._has(f"poison-{job.id}"):
            os.kill(os.getpid(), signal.SIGKILL)
        self._hold(job)
        if self._has(f"broken-{job.id}"):
            return Outcome(verdict=Verdict.FAILED, code="broken", text="is broken")
        return Outcome(verdict=Verdict.DONE)

    def encode(self, job: Job, analysed: Outcome) -> Outcome:
        if analysed.verdict is not Verdict.DONE:
            return analysed
        self._note(f"encode {job.id}")
        if self._has(f"short-{job.id}"):
            return Outcome(verdict=Verdict.AGAIN, code="short", text="no disk")
        return Outcome(verdict=Verdict.DONE, deliver_to=PEERS)

    def deliver(self, job: Job, peer: str, stored: Sequence[str]) -> DeliveryOutcome:
        self._note(f"deliver {job.id} {peer}")
        self._lose_database(f"deliver-{job.id}")
        if self._has(f"down-{peer}-{job.id}"):
            return DeliveryOutcome(verdict=Verdict.AGAIN, code="down", text="is down")
        if self._has(f"refusing-{peer}-{job.id}"):
            return DeliveryOutcome(
                verdict=Verdict.FAILED, code="refused", text="no SEG", stored=("1.1",)
            )
        self._hold(job)
        while self._has(f"held-{peer}"):
            time.sleep(0.02)
        self._note(f"stored {job.id} {peer} {','.join(stored)}".strip())
        return DeliveryOutcome(verdict=Verdict.DONE, stored=("1.1", "1.2"))

    def _has(self, name: str) -> bool:
        return (self._folder / name).exists()

    def _lose_database(self, step: str) -> None:
        """Fail as a step does that asks a database which is full for a moment."""
        full = self._folder / f"full-{step}"
        if full.exists():
            full.unlink()
            statement, cause = "INSERT", OSError("disk is full")
            raise OperationalError(statement, {}, cause)

    def _hold(self, job: Job) -> None:
        while self._has(f"slow-{job.id}"):
            time.sleep(0.02)

    def _note(self, line: str) -> None:
        with (self._folder / "done.txt").open("a") as file:
            file.write(f"{line}\n")


@dataclass
class Toy:
    """The jobs of one database, by default an SQLite file, and a worker on it."""

    folder: Path
    url: str = ""
    slot: int = 0
    time_limit_s: float = 3600.0

    def __post_init__(self) -> None:
        self.url = self.url or f"sqlite:///{self.folder / 'jobs.sqlite'}"
        prepare_database(self.url)
        self.queue = JobQueue(self.url)
        self.worker = WorkerSlot(
            Child(
                f"worker-{self.slot}",
                "tests.support.toy_worker:run_toy",
                lambda _start: (str(self.folder), self.url, self.slot),
            ),
            executor_id=executor_id(self.slot),
            work=self.queue.lost_work,
            time_limit_s=self.time_limit_s,
        )

    def start(self) -> None:
        """Start the worker of its slot, without waiting for it."""
        self.worker.child.start()

    def kill(self) -> None:
        """Kill -9 the worker, with nobody there who counts its death."""
        self.worker.child.kill()
        self.worker.child.end(10)

    def stop(self) -> None:
        """Stop the worker as a node that is shut down stops its own."""
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
        """Return a job once it is in one of the states."""
        wait_until(
            lambda: self.queue.show(job_id).state in states,
            what=f"{job_id} reaches {[state.value for state in states]}",
        )
        return self.queue.show(job_id)


def _begin_late(folder: Path) -> None:
    start = DBOS.start_workflow

    def started(function: Any, record: Any, peer: str, *rest: Any) -> Any:
        if (folder / f"late-{peer}").exists():
            time.sleep(1)
        return start(function, record, peer, *rest)

    setattr(DBOS, "start_workflow", started)  # noqa: B010 - a class of DBOS' own


def run_toy(pipe: Connection, folder: str, url: str, slot: int) -> None:
    """Run in the worker of a slot, as the node's own worker does."""
    with (Path(folder) / "worker.log").open("ab") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    log.configure()
    _begin_late(Path(folder))
    setattr(workflow, "_TROUBLE_PAUSES_S", TROUBLE_PAUSES_S)  # noqa: B010 - its own
    reports = Reports(pipe)
    executor = Executor(
        url,
        slot=slot,
        work=ToyWork(Path(folder), JobQueue(url)),
        rule=RetryRule(pauses_s=(PAUSE_S,), give_up_after_s=GIVE_UP_AFTER_S),
        report=reports.send,
    )
    reports.start()
    executor.start()
    while not pipe.poll(_LOOK_S) and not executor.has_lost_a_record:
        pass
    executor.stop(drain_s=0)
    os._exit(0)
