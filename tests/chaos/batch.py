"""One life of a node: many series, many faults, then a look at every peer."""

from __future__ import annotations

import contextlib
import random
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dicom_node.jobs.queue import JobQueue
from dicom_node.records import Proof
from dicom_node.settings.load import load
from tests.chaos.faults import Clock, Disk, Fault, Mischief, NodeProcesses
from tests.chaos.peers import Peer
from tests.chaos.senders import CALLING_AE, Sender, SentSeries, Way, make_series
from tests.chaos.verdict import (
    PROVING,
    Held,
    Job,
    Tally,
    held_by_study,
    judge,
    settled_well,
)
from tests.support import phantom_plugin
from tests.support.node_process import Node, settings_for
from tests.support.peers import free_port

_SPOOL_MIB = 96
_LOOK_S = 0.05
_ASK_S = 0.5
_RESTART_S = 0.5
_SEND_WITHIN_S = 180.0
_SETTLE_WITHIN_S = 900.0
"""Long, because other work may have the processor."""
_PEER_TIMEOUT_S = 2
_PROOF_WAIT_S = 3
"""A report that came while the node was dead is lost, and asked for again."""
QUIET_S = 0.7
_WAYS = {
    Way.WHOLE: 6,
    Way.SPLIT: 2,
    Way.ABORTED: 2,
    Way.BROKEN: 2,
    Way.ABANDONED: 1,
    Way.CHANGED: 2,
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one batch does.

    Parameters
    ----------
    pace_s
        From one round to the next.
    clock_library
        The library of `clock.c`; None where it could not be built.
    node_port
        Where the node listens; the same in all batches, for a peer knows it.
    quiet_s
        `series.quiet_s` of the node.
    """

    seed: str
    rounds: int
    pace_s: float
    folder: Path
    clock_library: Path | None
    node_port: int
    quiet_s: float = QUIET_S


class Batch:
    """One node, and the rounds of its life."""

    def __init__(self, plan: Plan, peers: Mapping[str, Peer], tally: Tally) -> None:
        self._plan = plan
        self._peers = peers
        self._tally = tally
        self._chance = random.Random(plan.seed)
        self._due: list[tuple[float, Fault]] = []
        self._sent: list[tuple[SentSeries, Sender]] = []
        self._tends = threading.Event()
        self._starts_seen = 0

    def run(self) -> None:
        """Send, disturb, mend, wait, and look."""
        plan = self._plan
        with _small_disk(plan.folder / "disk") as disk, self._clock() as clock:
            node = self._node(clock)
            processes = NodeProcesses(node)
            mischief = Mischief(processes, self._peers, disk=disk, clock=clock)
            node.start()
            keeper = threading.Thread(
                target=self._keep_running, args=(node, processes), daemon=True
            )
            keeper.start()
            try:
                for number in range(plan.rounds):
                    self._round(number, node, mischief)
                self._mend(processes)
                self._look(node)
            finally:
                self._tends.set()
                keeper.join()
                processes.thaw()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    node.stop()
                node.kill()

    def _node(self, clock: Clock | None) -> Node:
        folder = self._plan.folder
        settings = settings_for(
            folder,
            node_port=self._plan.node_port,
            peers={one.name: (one.ae_title, one.port) for one in self._peers.values()},
            analysis=phantom_plugin.NAME,
        )
        for peer in settings["peers"].values():
            peer["timeout_s"] = _PEER_TIMEOUT_S
            peer["may_send"] = False
        for name in PROVING & settings["peers"].keys():
            settings["peers"][name] |= {
                "proof": Proof.COMMITTED.value,
                "proof_wait_s": _PROOF_WAIT_S,
            }
        sender = {"ae_title": CALLING_AE, "host": "127.0.0.1", "port": free_port()}
        settings["peers"] = {"sender": sender, **settings["peers"]}
        settings["spool"]["folder"] = str(folder / "disk" / "spool")
        settings["series"] |= {"quiet_s": self._plan.quiet_s, "max_wait_s": 6}
        settings["jobs"] = {"retry_first_s": 0.5, "retry_longest_s": 1}
        settings["node"] |= {"acceptors": 2, "idle_timeout_s": 5}
        environment = phantom_plugin.make_installed(folder / "site")
        if clock is not None:
            environment["LD_PRELOAD"] = str(self._plan.clock_library)
            environment["CHAOS_CLOCK"] = str(folder / "clock")
        return Node(folder=folder, settings=settings, environment=environment)

    @contextlib.contextmanager
    def _clock(self) -> Iterator[Clock | None]:
        if self._plan.clock_library is None:
            yield None
        else:
            yield Clock(self._plan.folder / "clock")

    def _round(self, number: int, node: Node, mischief: Mischief) -> None:
        chance = random.Random(f"{self._plan.seed} {number}")
        (way,) = chance.choices(list(_WAYS), weights=list(_WAYS.values()))
        series = make_series(self._plan.seed, number, way)
        # Of its own: it draws when it gets to it, and no fault must depend on that.
        of_sender = random.Random(f"{self._plan.seed} {number} sender")
        sender = Sender(series, node.port, of_sender)
        self._sent.append((series, sender))
        sender.start()
        self._tally.rounds += 1
        self._tally.ways[way] += 1
        self._pass_time(chance.uniform(0.0, self._plan.pace_s))
        fault = mischief.draw(chance)
        self._tally.faults[fault.name] += 1
        fault.begin()
        self._due.append((time.monotonic() + fault.lasts_s, fault))
        self._pass_time(chance.uniform(0.0, self._plan.pace_s))

    def _pass_time(self, for_s: float) -> None:
        end_s = time.monotonic() + for_s
        while True:
            now_s = time.monotonic()
            for entry in [one for one in self._due if one[0] <= now_s]:
                self._due.remove(entry)
                entry[1].end()
            if now_s >= end_s:
                return
            time.sleep(min(_LOOK_S, end_s - now_s))

    def _mend(self, processes: NodeProcesses) -> None:
        """End every fault, and let the senders get rid of what they have."""
        for _, fault in self._due:
            fault.end()
        self._due.clear()
        processes.thaw()
        for peer in self._peers.values():
            peer.start()
        for peer in self._peers.values():
            peer.wait()
        end_s = time.monotonic() + _SEND_WITHIN_S
        for series, sender in self._sent:
            sender.join(max(0.0, end_s - time.monotonic()))
            if sender.is_alive():
                sender.give_up()
                sender.join(30)
                self._tally.losses.append(f"series {series.number}: could not be sent")

    def _look(self, node: Node) -> None:
        jobs = self._settled_jobs(node)
        studies = [series.study_uid for series, _ in self._sent]
        held = {
            name: held_by_study(peer.objects(studies))
            for name, peer in self._peers.items()
        }
        for series, _ in self._sent:
            of_study = {
                name: found.get(series.study_uid, Held())
                for name, found in held.items()
            }
            judge(series, jobs[series.series_uid], of_study, self._tally)

    def _settled_jobs(self, node: Node) -> Mapping[str, list[Job]]:
        """Wait until every job has ended, and return them by series."""
        end_s = time.monotonic() + _SETTLE_WITHIN_S
        # Asked in this process, for a command takes the processor from what is
        # waited for; what is judged is what the command says.
        settings = load(node.config, analyses=[phantom_plugin.NAME])
        with JobQueue(settings.database_url) as queue:
            while time.monotonic() < end_s:
                jobs = _by_series(asdict(row) for row in queue.list())
                if all(
                    settled_well(series, jobs[series.series_uid])
                    for series, _ in self._sent
                ):
                    break
                time.sleep(_ASK_S)
        return _by_series(node.jobs())

    def _keep_running(self, node: Node, processes: NodeProcesses) -> None:
        """Start the node again when it has ended, as systemd does."""
        while not self._tends.wait(_LOOK_S):
            code = node.process.poll()
            if code is None:
                continue
            if not processes.was_killed:
                self._note_end(node, code)
            if self._tends.wait(_RESTART_S):
                return
            processes.was_killed = False
            self._starts_seen = self._starts(node)
            node.start(wait=False)

    def _note_end(self, node: Node, code: int) -> None:
        """Note that the node ended by itself: while it served, or before it could."""
        if self._starts(node) == self._starts_seen:
            self._tally.failed_starts += 1
            return
        told = node.log.read_text()[-300:]
        self._tally.ends.append(f"the node ended with {code}: {told}")

    def _starts(self, node: Node) -> int:
        return sum(row.get("event") == "node_started" for row in node.events())


def _by_series(rows: Iterable[Job]) -> Mapping[str, list[Job]]:
    jobs: dict[str, list[Job]] = defaultdict(list)
    for row in rows:
        jobs[str(row["series_uid"])].append(row)
    return jobs


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Disk | None]:
    """Mount a small tmpfs; an ordinary folder, and None, where that is forbidden."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SPOOL_MIB}m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
