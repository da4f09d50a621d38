"""The faults: which process is killed or frozen, for how long, and other mischief."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.peers import Peer
from tests.support.node_process import Node

_MOST_FROZEN_S = 4.0
"""Above the `timeout_s` of the peers and the quiet time of a series."""
_CLOCK_STEPS_S = (-45, -5, 5, 3600)
"""Backwards by less than a minute: a retry is due by the clock, and would wait."""
_FILL_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Fault:
    """Something that happens now, and is mended later.

    Parameters
    ----------
    name
        As the table lists it.
    begin, end
        `end` is called after `lasts_s`.
    """

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]
    lasts_s: float


class NodeProcesses:
    """Finds the node's processes by what they do, and signals them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.was_killed = False

    def all_pids(self) -> list[int]:
        """Return every process of the node that lives now."""
        group = self._node.process.pid
        return [pid for pid in _pids() if _group(pid) == group]

    def signal(self, kind: str, number: signal.Signals, chance: random.Random) -> None:
        """Send a signal to one process of a kind, or to all for `node`."""
        if kind in {"node", "supervisor"} and number in {
            signal.SIGKILL,
            signal.SIGTERM,
        }:
            self.was_killed = True
        if kind == "supervisor":
            _signal(self._node.process.pid, number)
        elif kind == "node":
            for pid in self.all_pids():
                _signal(pid, number)
        else:
            pids = [pid for pid in self._children(kind) if pid in self.all_pids()]
            if pids:
                _signal(chance.choice(pids), number)

    def thaw(self) -> None:
        """Let every process go on."""
        for pid in self.all_pids():
            _signal(pid, signal.SIGCONT)

    def _children(self, kind: str) -> list[int]:
        latest = {
            row["process"]: int(row["pid"])
            for row in self._node.events()
            if row.get("event") == "process_started"
            and str(row.get("process", "")).startswith(kind)
        }
        return sorted(latest.values())


def _pids() -> list[int]:
    return [
        int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()
    ]


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Disk:
    """A small disk of the spool, which can be filled."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Write until nothing more fits."""
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(_FILL_BYTES))
                except OSError as error:
                    if error.errno == errno.ENOSPC:
                        break
                    raise

    def free(self) -> None:
        """Remove what `fill` has written."""
        self._filler.unlink(missing_ok=True)


class Clock:
    """The time of day that the node sees (see clock.c)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset_s = 0
        self.step(0)

    def step(self, by_s: int) -> None:
        """Step it; monotonic clocks go on as before."""
        self._offset_s += by_s
        # In place: the node has mapped this very file.
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.write(struct.pack("=q", self._offset_s))


class Mischief:
    """Draws one fault a round.

    Parameters
    ----------
    disk, clock
        None where this machine cannot do it.
    """

    def __init__(
        self,
        processes: NodeProcesses,
        peers: Mapping[str, Peer],
        *,
        disk: Disk | None,
        clock: Clock | None,
    ) -> None:
        self._processes = processes
        self._peers = peers
        self._disk = disk
        self._clock = clock

    def draw(self, chance: random.Random) -> Fault:
        """Return the fault of one round."""
        kinds: dict[Callable[[random.Random], Fault], int] = {
            self._nothing: 3,
            self._node_killed: 3,
            self._node_frozen: 4,
            self._peer_killed: 4,
            self._peer_frozen: 4,
        }
        if self._disk is not None:
            kinds[self._disk_full] = 2
        if self._clock is not None:
            kinds[self._clock_stepped] = 2
        (kind,) = chance.choices(list(kinds), weights=list(kinds.values()))
        return kind(chance)

    def _nothing(self, _chance: random.Random) -> Fault:
        return Fault("nothing", _do_nothing, _do_nothing, 0.0)

    def _node_killed(self, chance: random.Random) -> Fault:
        kind, number = chance.choice(
            [
                ("node", signal.SIGKILL),
                ("supervisor", signal.SIGKILL),
                ("supervisor", signal.SIGTERM),
                ("acceptor", signal.SIGKILL),
                ("acceptor", signal.SIGKILL),
                ("worker", signal.SIGKILL),
                ("worker", signal.SIGKILL),
            ]
        )
        how = "stopped" if number is signal.SIGTERM else "killed"
        return Fault(
            f"{kind} {how}",
            lambda: self._processes.signal(kind, number, chance),
            _do_nothing,
            0.0,
        )

    def _node_frozen(self, chance: random.Random) -> Fault:
        kind = chance.choice(["supervisor", "acceptor", "worker"])
        return Fault(
            f"{kind} frozen",
            lambda: self._processes.signal(kind, signal.SIGSTOP, chance),
            self._processes.thaw,
            chance.uniform(0.2, _MOST_FROZEN_S),
        )

    def _peer_killed(self, chance: random.Random) -> Fault:
        peer = chance.choice(list(self._peers.values()))
        return Fault(
            f"{peer.name} killed",
            lambda: peer.signal(signal.SIGKILL),
            peer.start,
            chance.uniform(0.0, _MOST_FROZEN_S),
        )

    def _peer_frozen(self, chance: random.Random) -> Fault:
        peer = chance.choice(list(self._peers.values()))
        return Fault(
            f"{peer.name} frozen",
            lambda: peer.signal(signal.SIGSTOP),
            lambda: peer.signal(signal.SIGCONT),
            chance.uniform(0.2, _MOST_FROZEN_S),
        )

    def _disk_full(self, chance: random.Random) -> Fault:
        assert self._disk is not None
        return Fault(
            "disk full", self._disk.fill, self._disk.free, chance.uniform(0.2, 2.5)
        )

    def _clock_stepped(self, chance: random.Random) -> Fault:
        clock, step_s = self._clock, chance.choice(_CLOCK_STEPS_S)
        assert clock is not None
        way = "back" if step_s < 0 else "forward"
        return Fault(
            f"clock stepped {way}", lambda: clock.step(step_s), _do_nothing, 0.0
        )


def _do_nothing() -> None:
    return None
