"""What a toy worker does: the part of `toy_worker` that runs in its process.

It imports neither DICOM nor the peers of the tests, for a worker starts often.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dbos import DBOS, _dbos
from sqlalchemy.exc import OperationalError

from dicom_node import log
from dicom_node.jobs import job_workflow as workflow
from dicom_node.jobs.delivery_retry import RetryRule
from dicom_node.jobs.executor import Executor
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.step_outcome import (
    DeliveryOutcome,
    Outcome,
    ProofOrder,
    TriageOutcome,
    Verdict,
)
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.records import (
    Completion,
    Job,
    Proof,
    Reason,
    ReceivedSeries,
    StoredInstance,
)
from dicom_node.work.worker_messages import Reports

PEERS = ("alpha", "beta")
PAUSE_S = 0.2
LONG_S = 3600.0
PATIENT_TRIES, HASTY_TRIES = round(LONG_S / PAUSE_S), 3
GIVE_UP_AFTER_S = 3.0
_LOOK_S = 0.2
_MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def toy_job(
    name: str, *, rejection: tuple[str, str] | None = None, paths: Iterable[Path] = ()
) -> Job:
    """Return a job of a series of files, with its name as its id."""
    instances = tuple(
        StoredInstance(
            path=path,
            sop_class_uid=_MR_IMAGE_STORAGE,
            sop_instance_uid=f"1.2.3.4.{number}",
            study_uid="1.2.3",
            series_uid=f"1.2.3.{len(name)}",
            transfer_syntax_uid=_EXPLICIT_LITTLE_ENDIAN,
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

    def analyse_ahead(self, instances: tuple[StoredInstance, ...]) -> Outcome:
        self._note(f"analyse-ahead {len(instances)}")
        return Outcome(verdict=Verdict.DONE)

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
        proof = Proof.COMMITTED if self._has(f"proving-{peer}") else Proof.STORED
        return DeliveryOutcome(verdict=Verdict.DONE, stored=("1.1", "1.2"), proof=proof)

    def prove(
        self, job: Job, peer: str, stored: Sequence[str], order: ProofOrder
    ) -> DeliveryOutcome:
        self._note(f"prove {job.id} {peer} {','.join(stored)}")
        self._lose_database(f"prove-{job.id}")
        held = DeliveryOutcome(
            verdict=Verdict.DONE, stored=tuple(stored), proof=Proof.COMMITTED
        )
        if self._has(f"deaf-{peer}-{job.id}"):
            aged_s = 0.0 if self._has(f"aged-{peer}-{job.id}") else order.since_s
            return replace(
                held,
                verdict=Verdict.AGAIN,
                code="commitment-not-reported",
                text="none",
                following=replace(order, since_s=aged_s),
            )
        if self._has(f"losing-{peer}-{job.id}"):
            lost = replace(
                held, code="commitment-failed", text="lost 1.2", stored=("1.1",)
            )
            if order.resends:
                return replace(lost, verdict=Verdict.FAILED, proven=("1.1",))
            following = replace(order, is_resend=True, resends=1)
            return replace(
                lost, verdict=Verdict.AGAIN, following=following, pause_s=0.0
            )
        self._hold(job)
        return replace(held, proven=tuple(stored))

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


def _begin_late(folder: Path) -> None:
    start = DBOS.start_workflow

    def started(function: Any, record: Any, peer: str, *rest: Any) -> Any:
        if (folder / f"late-{peer}").exists():
            time.sleep(1)
        while (folder / f"last-{peer}").exists() and not _is_closed():
            time.sleep(0.01)
        return start(function, record, peer, *rest)

    setattr(DBOS, "start_workflow", started)  # noqa: B010 - a class of DBOS' own


def _is_closed() -> bool:
    """Return whether DBOS takes no workflow any more, while it is being stopped."""
    return _dbos._get_dbos_instance()._executor_field is None


def run_toy(pipe: Connection, folder: str, url: str, name: str, hasty: bool) -> None:
    """Run as the executor of this name, as the node's own worker does.

    Parameters
    ----------
    hasty
        It gives up what fails within seconds; else not while a test lasts, however slow
        the machine is.
    """
    with (Path(folder) / "worker.log").open("ab") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    log.configure()
    _begin_late(Path(folder))
    trouble_pauses_s = (PAUSE_S,) * (HASTY_TRIES if hasty else PATIENT_TRIES)
    setattr(workflow, "_TROUBLE_PAUSES_S", trouble_pauses_s)  # noqa: B010 - its own
    reports = Reports(pipe)
    executor = Executor(
        url,
        name=name,
        work=ToyWork(Path(folder), JobQueue(url)),
        rule=RetryRule(
            pauses_s=(PAUSE_S,), give_up_after_s=GIVE_UP_AFTER_S if hasty else LONG_S
        ),
        report=reports.send,
    )
    reports.start()
    executor.start()
    while not pipe.poll(_LOOK_S) and not executor.has_lost_a_record:
        pass
    executor.stop(drain_s=0)
    os._exit(0)
