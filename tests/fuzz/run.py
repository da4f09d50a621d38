"""A node, clients that send what is wrong, and one that sends what is right."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from dicom_node.jobs.queue import JobQueue
from dicom_node.settings.load import load
from dicom_node.spool_layout import write_synced
from tests.fuzz.cases import CALLING_AE, make_case
from tests.fuzz.datasets import good_series
from tests.fuzz.exchange import Answer, play
from tests.support import phantom_plugin
from tests.support.node_process import SETTLED, Node, node_for
from tests.support.peers import Archive, send, wait_until

_CLIENTS = 6
_AHEAD = 4 * _CLIENTS
_SAMPLE_S = 0.5
_SERVED_WITHIN_S = 1800.0
"""The analyses of what came before a good series end first."""
_MIB = 2**20
_MOST_JOBS = 500
"""That are looked at; the latest, which end last."""
_ANSWER_WITHIN_S = 600.0
"""That a PACS waits: long, for it sends again what was not answered. pynetdicom's own
30 s are less than an fsync takes on a disk that many share."""
_OBJECTS = 3
"""SEG, SR and capture of one good series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which cases are run.

    Parameters
    ----------
    good_every
        Cases from one good series to the next.
    progress
        Told of the number of cases that have ended.
    """

    seed: str
    numbers: range
    good_every: int
    progress: Callable[[int], object]


@dataclass
class Outcome:
    """What became of a run.

    Parameters
    ----------
    kinds, replies, jobs
        How many cases of each kind were sent, what was answered, and what became of the
        series that the node has taken.
    wrong
        What was wrong with the node's answer, by the number of the case.
    ended
        Processes that ended or are others than at the start, and threads that failed.
    peak_mib
        Most resident memory of all processes of the node together.
    longest_fsync_s
        Of a small file beside the spool.
    longest_send_s
        Of a good series.
    good
        Series in order that were sent.
    unserved
        What went wrong with them, and jobs that did not end.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    replies: Counter[str] = field(default_factory=Counter)
    wrong: dict[int, str] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    peak_mib: float = 0.0
    longest_fsync_s: float = 0.0
    longest_send_s: float = 0.0
    good: int = 0
    unserved: list[str] = field(default_factory=list)
    jobs: Counter[str] = field(default_factory=Counter)
    duration_s: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong; the memory is judged by whoever asks."""
        return not (self.wrong or self.ended or self.unserved)


def run(folder: Path, plan: Plan) -> Outcome:
    """Send the cases to one node, and a good series now and then."""
    outcome = Outcome()
    started_s = time.monotonic()
    archive = Archive()
    archive.start()
    node = _node(folder, archive)
    try:
        with node:
            before = _processes(node)
            with _Sampler(node, outcome):
                good = _GoodSeries(node, archive, outcome, plan.seed)
                _send_all(plan, node, outcome, good)
                good.wait_for_results()
                _wait_for_jobs(node, outcome)
            outcome.ended += _others(before, _processes(node))
    finally:
        archive.stop()
    outcome.ended += _told_by_log(node)
    outcome.duration_s = time.monotonic() - started_s
    return outcome


def _node(folder: Path, archive: Archive) -> Node:
    environment = phantom_plugin.make_installed(folder / "installed")
    node = node_for(
        folder / "node",
        archive,
        analysis=phantom_plugin.NAME,
        environment=environment,
    )
    node.settings["peers"]["fuzzer"] = {
        "ae_title": CALLING_AE,
        "host": "127.0.0.1",
        "port": archive.port,
    }
    node.settings["node"] |= {"acceptors": 2}
    node.settings["log"] = {"level": "error"}
    return node


def _send_all(plan: Plan, node: Node, outcome: Outcome, good: _GoodSeries) -> None:
    waiting: deque[tuple[int, Future[Answer]]] = deque()

    def settle() -> None:
        number, answer = waiting.popleft()
        heard = answer.result()
        outcome.replies.update(heard.replies)
        if heard.problem:
            outcome.wrong[number] = heard.problem
        plan.progress(1)

    with ThreadPoolExecutor(_CLIENTS) as clients:
        for sent, number in enumerate(plan.numbers):
            if sent % plan.good_every == 0:
                good.send()
            case = make_case(plan.seed, number)
            outcome.kinds[case.kind.value] += 1
            waiting.append((number, clients.submit(play, case, node.port)))
            while len(waiting) >= _AHEAD:
                settle()
        while waiting:
            settle()
    good.send()


class _GoodSeries:
    """Sends series in order between the others, and awaits their results."""

    def __init__(
        self, node: Node, archive: Archive, outcome: Outcome, seed: str
    ) -> None:
        self._node = node
        self._archive = archive
        self._outcome = outcome
        self._seed = seed
        self._studies: set[str] = set()

    def send(self) -> None:
        """Send the next one; every instance must be answered with success."""
        outcome = self._outcome
        outcome.good += 1
        instances = good_series(f"good {self._seed} {outcome.good}")
        self._studies.add(str(instances[0].StudyInstanceUID))
        started_s = time.monotonic()
        try:
            statuses = send(
                instances, self._node.port, answer_within_s=_ANSWER_WITHIN_S
            )
        except (OSError, RuntimeError) as error:
            took_s = time.monotonic() - started_s
            text = f"series {outcome.good}: {error} after {took_s:.0f} s"
            outcome.unserved.append(text)
            return
        took_s = time.monotonic() - started_s
        outcome.longest_send_s = max(outcome.longest_send_s, took_s)
        if set(statuses) != {0x0000}:
            text = " ".join(
                "none" if status is None else f"{status:#06x}" for status in statuses
            )
            outcome.unserved.append(f"series {outcome.good}: {text}")

    def wait_for_results(self) -> None:
        """Return when the archive holds the results of all, or time is over."""
        with suppress(TimeoutError):
            wait_until(
                lambda: not self._missing(),
                within_s=_SERVED_WITHIN_S,
                what="results of the good series",
                every_s=0.5,
            )
        for study, count in self._missing().items():
            text = f"study {study}: {count} results in the archive"
            self._outcome.unserved.append(text)

    def _missing(self) -> dict[str, int]:
        # A sender whose answer came too late sends an instance again.
        held = {
            (str(one.StudyInstanceUID), str(one.SOPInstanceUID))
            for one in self._archive.received
        }
        found = Counter(study for study, _ in held)
        return {
            study: found[study] for study in self._studies if found[study] != _OBJECTS
        }


def _wait_for_jobs(node: Node, outcome: Outcome) -> None:
    """Return when whatever was taken has come to an end, and count how."""
    with (
        JobQueue(
            load(node.config, analyses=[phantom_plugin.NAME]).database_url
        ) as queue,
        suppress(TimeoutError),
    ):
        wait_until(
            lambda: SETTLED.issuperset(_job_states(queue)),
            within_s=_SERVED_WITHIN_S,
            what="all jobs settle",
            every_s=2,
        )
        outcome.jobs.update(_job_states(queue))
    unsettled = {state: n for state, n in outcome.jobs.items() if state not in SETTLED}
    outcome.unserved += [f"{n} jobs {state}" for state, n in unsettled.items()]


def _job_states(queue: JobQueue) -> list[str]:
    return [row.state.value for row in queue.list(limit=_MOST_JOBS)]


class _Sampler(threading.Thread):
    """Looks at the memory of all processes of a node, and at the disk beside it.

    The disk, for a sender waits for the node's fsync: one that takes long here explains
    an answer that took long.
    """

    def __init__(self, node: Node, outcome: Outcome) -> None:
        super().__init__(daemon=True)
        self._node = node
        self._outcome = outcome
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Look until the end."""
        outcome = self._outcome
        while not self._ended.wait(_SAMPLE_S):
            with suppress(psutil.Error):
                used = sum(_resident(one) for one in self._node.processes()) / _MIB
                outcome.peak_mib = max(outcome.peak_mib, used)
            started_s = time.monotonic()
            write_synced(self._node.folder / "beside", b"x")
            took_s = time.monotonic() - started_s
            outcome.longest_fsync_s = max(outcome.longest_fsync_s, took_s)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0  # it has just ended


def _processes(node: Node) -> dict[int, str]:
    """Return the processes that live as long as the node, by their id."""
    main, *children = node.processes()
    direct = [one for one in children if one.ppid() == main.pid]
    return {one.pid: " ".join(one.cmdline())[:80] for one in (main, *direct)}


def _others(before: dict[int, str], after: dict[int, str]) -> list[str]:
    return [f"process {pid} has ended: {before[pid]}" for pid in before.keys() - after]


def _told_by_log(node: Node) -> list[str]:
    told = [
        f"{row['event']} {row.get('process', '')} {row.get('reason', '')}"
        for row in node.events()
        if row["event"] in ("process_ended", "association_failed")
        and row.get("status") != 0
    ]
    text = node.log.read_text()
    return told + (["a traceback in the log"] if "Traceback" in text else [])
