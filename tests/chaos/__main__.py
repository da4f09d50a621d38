"""`python -m tests.chaos --rounds N --seed S`: a real node, real peers, and no mercy.

Each round sends one series to a running node and brings about one fault: a process of
the node or a peer is killed or frozen, the disk of the spool fills up, the clock steps.
At the end of a batch the faults are mended, and every series that was acknowledged must
have exactly one result set at each peer, or a failure that `jobs list` shows.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL

from tests.chaos.batch import QUIET_S, Batch, Plan
from tests.chaos.machines import MachinesBatch, MachinesPlan
from tests.chaos.peers import OrthancPeer, Peer, RecordingPeer, StorescpPeer
from tests.chaos.verdict import Tally
from tests.support.peers import free_port

_BATCH = 40
"""Rounds in the life of one node."""
_MOST_SHOWN = 20


def main(arguments: Sequence[str]) -> int:
    """Run, write the table, and return 1 if anything was lost or came twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--pace", type=float, default=1.0, help="s between two rounds")
    parser.add_argument(
        "--quiet",
        type=float,
        default=QUIET_S,
        help="s until a series is complete; from 2 on it is analysed before",
    )
    parser.add_argument("--folder", type=Path, help="kept after a loss; else temporary")
    parser.add_argument(
        "--machines",
        type=int,
        choices=(1, 2),
        default=1,
        help="2: one node on two machines behind HAProxy, on PostgreSQL",
    )
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="sends nothing later"
    )
    chosen = parser.parse_args(arguments)
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="lumbar-node-chaos-"))
    started_s = time.monotonic()
    if chosen.machines > 1:
        return _on_two_machines(folder, chosen, started_s)
    tally = run(
        folder,
        rounds=chosen.rounds,
        seed=chosen.seed,
        pace_s=chosen.pace,
        quiet_s=chosen.quiet,
    )
    sys.stdout.write(table(tally, duration_s=time.monotonic() - started_s))
    return 0 if tally.is_clean else 1


def _on_two_machines(folder: Path, chosen: argparse.Namespace, started_s: float) -> int:
    """Run the rounds on two machines, either of which is killed at random."""
    tally = Tally()
    plan = MachinesPlan(
        seed=chosen.seed,
        rounds=chosen.rounds,
        pace_s=chosen.pace,
        folder=folder,
        ends_s=started_s + 60 * chosen.minutes,
    )
    with ExitStack() as stack:
        peers = _start_peers(folder / "peers", stack)
        batch = MachinesBatch(plan, peers, tally)
        batch.run()
    text = table(tally, duration_s=time.monotonic() - started_s)
    text += _rows(("take-over", ""), list(batch.took.rows()))
    sys.stdout.write(text)
    (folder / "table.md").write_text(text)
    return 0 if tally.is_clean else 1


def run(
    folder: Path, *, rounds: int, seed: str, pace_s: float, quiet_s: float = QUIET_S
) -> Tally:
    """Run all batches; the folders of those with a fault or a failure are kept.

    After each, `table.md` in the folder says how it stands.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clock_library = _build_clock(folder)
    tally, started_s = Tally(), time.monotonic()
    with ExitStack() as stack:
        node_port = free_port()
        peers = _start_peers(folder / "peers", stack, node_port=node_port)
        for first in range(0, rounds, _BATCH):
            plan = Plan(
                seed=f"{seed}-{first // _BATCH}",
                rounds=min(_BATCH, rounds - first),
                pace_s=pace_s,
                folder=folder / f"batch-{first // _BATCH}",
                clock_library=clock_library,
                node_port=node_port,
                quiet_s=quiet_s,
            )
            before = tally.gone_wrong + tally.named.total()
            Batch(plan, peers, tally).run()
            after = tally.gone_wrong + tally.named.total()
            _say(
                f"{tally.rounds} rounds, {tally.series} series, {tally.gone_wrong} "
                f"faults of ours, {tally.named.total()} named failures"
            )
            so_far = table(tally, duration_s=time.monotonic() - started_s)
            (folder / "table.md").write_text(so_far)
            if after == before:
                shutil.rmtree(plan.folder)
            for peer in peers.values():
                peer.clear()
    return tally


def _start_peers(
    folder: Path, stack: ExitStack, *, node_port: int | None = None
) -> Mapping[str, Peer]:
    """Start them; Orthanc is there where it knows the port of the node."""
    peers: list[Peer] = [
        RecordingPeer("recorder", "RECORDER", folder / "recorder"),
        StorescpPeer("storescp", "STORESCP", folder / "storescp"),
    ]
    if node_port is not None:
        peers.append(OrthancPeer("orthanc", folder / "orthanc", node_port=node_port))
    for peer in peers:
        stack.callback(peer.signal, SIGKILL)
        peer.start()
    for peer in peers:
        peer.wait()
    return {peer.name: peer for peer in peers}


def _build_clock(folder: Path) -> Path | None:
    """Build the clock that can be stepped; None, and a word, without a C compiler."""
    library = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    compiler = shutil.which("cc")
    if compiler is None:
        _say("NO C COMPILER: the clock is never stepped")
        return None
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)],
        check=True,
    )
    if os.geteuid() != 0:
        _say("NOT ROOT: the disk is never filled")
    return library


def table(tally: Tally, *, duration_s: float) -> str:
    """Return what `docs/reliability.md` shows."""
    rows = [
        ("rounds", tally.rounds),
        ("series acknowledged", tally.series),
        ("instances acknowledged", tally.instances),
        *(
            (f"result sets at {name}", n)
            for name, n in sorted(tally.result_sets.items())
        ),
        *(
            (f"instances that {name} has committed to", n)
            for name, n in sorted(tally.committed.items())
        ),
        ("named failures", sum(tally.named.values())),
        ("lost", len(tally.losses)),
        ("twins", len(tally.twins)),
        ("ends of the serving node by itself", len(tally.ends)),
        ("starts given up and repeated", tally.failed_starts),
        ("minutes", round(duration_s / 60)),
    ]
    text = _rows(("what", "count"), rows)
    text += _rows(("fault", "times"), _most(tally.faults))
    text += _rows(("how a series was sent", "times"), _most(tally.ways))
    if tally.named:
        text += _rows(("named failure", "series"), _most(tally.named))
    for line in [*tally.losses, *tally.twins, *tally.ends][:_MOST_SHOWN]:
        text += f"- {line}\n"
    return text


def _most(counter: Counter[str]) -> Sequence[tuple[str, int]]:
    return sorted(counter.items())


def _rows(head: tuple[str, str], rows: Sequence[tuple[str, int | str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "| --- | ---: |"]
    lines += [f"| {name} | {count} |" for name, count in rows]
    return "\n".join(lines) + "\n\n"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
