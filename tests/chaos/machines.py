"""One node on two machines behind HAProxy, either of which is killed at random."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.machines import engine_for
from dicom_node.jobs.queue import JobQueue
from tests.chaos.peers import Peer
from tests.chaos.senders import CALLING_AE, Sender, SentSeries, Way, make_series
from tests.chaos.verdict import Held, Job, Tally, held_by_study, judge, settled_well
from tests.support import phantom_plugin
from tests.support.haproxy import balancer
from tests.support.machines import MachineOfNode
from tests.support.node_process import settings_for
from tests.support.peers import free_port, listens
from tests.support.postgresql import programs, server

_WAYS = {Way.WHOLE: 6, Way.SPLIT: 2, Way.ABORTED: 2, Way.BROKEN: 2, Way.CHANGED: 2}
_KILLED_EVERY_S = (10.0, 40.0)
_DOWN_S = (0.5, 40.0)
"""Sometimes it is back before anyone has missed it, sometimes long after."""
_SEND_WITHIN_S = 240.0
_SETTLE_WITHIN_S = 1200.0
"""Long, because other work may have the processor."""
_LOOK_S = 0.2
_PEER_TIMEOUT_S = 5


@dataclass
class TakeOvers:
    """How long it took until a dead machine's work was another's, in seconds.

    Parameters
    ----------
    receiving
        From the death of the machine that received until a connection is accepted.
    working
        From the death of a machine until each workflow that it ran is in a queue, or
        runs elsewhere.
    """

    receiving: list[float] = field(default_factory=list)
    working: list[float] = field(default_factory=list)

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield what the table shows."""
        for name, times in (("receive", self.receiving), ("work", self.working)):
            if times:
                yield f"take-overs ({name})", str(len(times))
                middle, most = statistics.median(times), max(times)
                yield f"s to take over ({name}), median", f"{middle:.1f}"
                yield f"s to take over ({name}), longest", f"{most:.1f}"


@dataclass
class MachinesPlan:
    """What a run on two machines does."""

    seed: str
    rounds: int
    pace_s: float
    folder: Path
    ends_s: float = float("inf")


class MachinesBatch:
    """Two machines, and the rounds of their life."""

    def __init__(
        self, plan: MachinesPlan, peers: Mapping[str, Peer], tally: Tally
    ) -> None:
        self._plan = plan
        self._peers = peers
        self._tally = tally
        self.took = TakeOvers()
        self._chance = random.Random(plan.seed)
        self._sent: list[tuple[SentSeries, Sender]] = []
        self._is_over = threading.Event()
        self._watchers: list[threading.Thread] = []

    def run(self) -> None:
        """Send, kill, start again, wait, and look."""
        found = programs()
        if found is None:
            message = "POSTGRESQL MISSING: no initdb on this machine"
            raise RuntimeError(message)
        with server(found) as url:
            prepare_database(url)
            self._url = url
            machines = self._machines(url)
            with balancer(*(one.port for one in machines)) as port:
                for machine in machines:
                    machine.start()
                killer = threading.Thread(target=self._kill, args=(machines,))
                killer.start()
                try:
                    self._send(port)
                finally:
                    self._is_over.set()
                    killer.join()
                try:
                    self._mend()
                    self._look()
                finally:
                    for machine in machines:
                        machine.close()

    def _machines(self, url: str) -> tuple[MachineOfNode, MachineOfNode]:
        folder = self._plan.folder
        settings = settings_for(
            folder,
            node_port=free_port(),
            peers={one.name: (one.ae_title, one.port) for one in self._peers.values()},
            analysis=phantom_plugin.NAME,
        )
        for peer in settings["peers"].values():
            peer |= {"timeout_s": _PEER_TIMEOUT_S, "may_send": False}
        sender = {"ae_title": CALLING_AE, "host": "127.0.0.1", "port": free_port()}
        settings["peers"] = {"sender": sender, **settings["peers"]}
        settings["series"] |= {"quiet_s": 0.7, "max_wait_s": 20}
        settings["jobs"] = {"retry_first_s": 0.5, "retry_longest_s": 1}
        settings["database"] = url
        environment = phantom_plugin.make_installed(folder / "site")
        north, south = (
            MachineOfNode(name, folder, settings, environment)
            for name in ("north", "south")
        )
        return north, south

    def _send(self, port: int) -> None:
        plan = self._plan
        for number in range(plan.rounds):
            if time.monotonic() > plan.ends_s:
                return
            chance = random.Random(f"{plan.seed} {number}")
            (way,) = chance.choices(list(_WAYS), weights=list(_WAYS.values()))
            series = make_series(plan.seed, number, way)
            sender = Sender(series, port, random.Random(f"{plan.seed} {number} sender"))
            self._sent.append((series, sender))
            sender.start()
            self._tally.rounds += 1
            self._tally.ways[way] += 1
            time.sleep(chance.uniform(0.5, 1.5) * plan.pace_s)

    def _kill(self, machines: Sequence[MachineOfNode]) -> None:
        """Kill one machine after the other, and start it again after a while."""
        time.sleep(self._chance.uniform(*_KILLED_EVERY_S))
        while not self._is_over.is_set():
            victim = self._chance.choice(machines)
            received = victim.receives
            kind = "the machine that receives" if received else "the one that stands by"
            self._tally.faults[f"{kind} killed"] += 1
            victim.kill()
            self._watch(victim, machines, received=received)
            self._is_over.wait(self._chance.uniform(*_DOWN_S))
            victim.start()
            self._is_over.wait(self._chance.uniform(*_KILLED_EVERY_S))

    def _watch(
        self,
        victim: MachineOfNode,
        machines: Sequence[MachineOfNode],
        *,
        received: bool,
    ) -> None:
        """Measure, beside what goes on, how long the work of a dead machine lies."""
        died_s = time.monotonic()

        def watch() -> None:
            engine = engine_for(self._url)
            left = _pending(engine, victim.name)
            waits = received
            while left or waits:
                still = left & _pending(engine, victim.name)
                if left and not still:
                    self.took.working.append(time.monotonic() - died_s)
                left = still
                if waits and any(listens(one.port) for one in machines):
                    waits = False
                    self.took.receiving.append(time.monotonic() - died_s)
                if time.monotonic() - died_s > _SEND_WITHIN_S:
                    self._tally.losses.append(f"{victim.name}: nobody takes over")
                    break
                time.sleep(_LOOK_S)
            engine.dispose()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        self._watchers.append(thread)

    def _mend(self) -> None:
        end_s = time.monotonic() + _SEND_WITHIN_S
        for series, sender in self._sent:
            sender.join(max(0.0, end_s - time.monotonic()))
            if sender.is_alive():
                sender.give_up()
                sender.join(30)
                self._tally.losses.append(f"series {series.number}: could not be sent")
        for thread in self._watchers:
            thread.join(_SEND_WITHIN_S)

    def _look(self) -> None:
        jobs = self._settled_jobs()
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
            judge(series, jobs.get(series.series_uid, []), of_study, self._tally)

    def _settled_jobs(self) -> Mapping[str, list[Job]]:
        end_s = time.monotonic() + _SETTLE_WITHIN_S
        jobs: dict[str, list[Job]] = {}
        with JobQueue(self._url) as queue:
            while time.monotonic() < end_s:
                jobs = _by_series([asdict(row) for row in queue.list(limit=2000)])
                if all(
                    settled_well(series, jobs.get(series.series_uid, []))
                    for series, _ in self._sent
                ):
                    break
                time.sleep(1.0)
        return jobs


def _pending(engine: sa.Engine, machine: str) -> set[str]:
    """Return the workflows that a machine's executors have taken and not ended."""
    query = (
        "SELECT workflow_uuid, owner_xid FROM dbos.workflow_status "
        "WHERE status = 'PENDING' AND executor_id LIKE :prefix"
    )
    with engine.connect() as connection:
        found = connection.execute(sa.text(query), {"prefix": f"{machine}/%"})
        # The token tells one that a machine has taken again from what it had before.
        return {f"{row.workflow_uuid} {row.owner_xid}" for row in found}


def _by_series(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Job]]:
    jobs: dict[str, list[Job]] = defaultdict(list)
    for row in rows:
        jobs[str(row["series_uid"])].append(row)
    return jobs
