"""A worker process: the executor of one slot, which runs workflows until stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from dicom_node.loading import loading
from dicom_node.supervisor_messages import FINISH, WARM, AnalyseAhead

if TYPE_CHECKING:
    from dicom_node.jobs.executor import Executor
    from dicom_node.settings.sections import Settings

_DRAIN_S = 6
_RELEASE_AFTER_S = 60.0
"""A worker that has been idle this long ends, and a small one takes its place."""
_LOOK_S = 5.0
_FINISH_LOOK_S = 0.5
_DELIVERIES_S = 60.0
"""What a worker that finishes is still delivering when it has analysed nothing for so
long is left to the next one: an archive may take hours over it."""
_DAY_S = 86400


def limit_threads(threads: int) -> None:
    """Tell the numeric libraries, before they are imported, not to spin or overbook.

    A waiting OpenMP thread spins by default and takes a core from the receiver.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def run_worker(
    pipe: Connection, settings_json: str, slot: int, machine: str = ""
) -> None:
    """Run the jobs of one slot until told to stop, or until idle for long.

    Parameters
    ----------
    pipe
        Brings `WARM`, `FINISH` and `AnalyseAhead`; any other word, or SIGTERM, means
        stop.
    settings_json
        A `Settings` as JSON.
    slot
        Counted from 0; the same slot takes up what it left when it was killed.
    machine
        Of a node on several machines, the name of this one.
    """
    woken, wake = multiprocessing.Pipe(duplex=False)
    signal.signal(signal.SIGTERM, lambda *_: wake.send_bytes(b"x"))

    from dicom_node.settings.sections import Settings

    settings = Settings.model_validate_json(settings_json)
    limit_threads(settings.work.threads)
    _work(settings, (slot, machine), pipe, woken)


def _work(
    settings: Settings, place: tuple[int, str], pipe: Connection, woken: Connection
) -> None:
    with loading():
        # The libraries behind these read the environment when they are imported.
        from dicom_node import log
        from dicom_node.jobs.dbos_setup import executor_id
        from dicom_node.jobs.delivery_retry import retry_rule
        from dicom_node.jobs.executor import Executor
        from dicom_node.plugins.registry import Registry, installed
        from dicom_node.work.job_steps import JobSteps
        from dicom_node.work.worker_messages import Reports

    log.configure(level=settings.log.level, uids=settings.log.uids)
    steps = JobSteps(settings, Registry(installed()), is_one_of_several=bool(place[1]))
    reports = Reports(pipe, lambda: (steps.analyses, steps.runtimes))
    executor = Executor(
        settings.database_url,
        name=executor_id(*place),
        work=steps,
        rule=retry_rule(settings.jobs),
        report=reports.send,
    )
    reports.start()
    executor.start()
    is_alone = place == (0, "") and settings.work.processes == 1
    while woken not in (ready := wait([pipe, woken], timeout=_LOOK_S)):
        if pipe in ready:
            word = _received(pipe)
            if word is None:
                os._exit(1)
            if isinstance(word, AnalyseAhead):
                executor.analyse_ahead(word.instances, until_s=word.until_s)
                continue
            if word == FINISH:
                _finish(executor, pipe, woken)
            if word != WARM:
                break
            executor.expect()
            steps.warm()
        if is_alone:
            executor.rest()
        if steps.is_loaded and executor.idle_s() > _RELEASE_AFTER_S:
            break
        if executor.has_lost_a_record:
            log.error("step_not_recorded", reason="the job database took no record")
            break
    executor.stop(drain_s=_DRAIN_S)
    # What still runs is abandoned: its step is begun anew at the next start.
    os._exit(0)


def _finish(executor: Executor, pipe: Connection, woken: Connection) -> None:
    """Take nothing more, end what runs, and go; any word to stop cuts it short."""
    ending = threading.Thread(
        target=executor.stop, kwargs={"drain_s": _DAY_S}, daemon=True
    )
    ending.start()
    begun_s = time.monotonic()
    while ending.is_alive() and not executor.has_lost_a_record:
        only_delivers_s = min(executor.delivering_s(), time.monotonic() - begun_s)
        if only_delivers_s > _DELIVERIES_S:
            break
        ready = wait([pipe, woken], timeout=_FINISH_LOOK_S)
        if woken in ready or (pipe in ready and _is_to_stop(_received(pipe))):
            ending.join(_DRAIN_S)
            break
    os._exit(0)


def _is_to_stop(word: object) -> bool:
    return word not in {WARM, FINISH} and not isinstance(word, AnalyseAhead)


def _received(pipe: Connection) -> object:
    """Return what the supervisor says; None if it is dead."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None
