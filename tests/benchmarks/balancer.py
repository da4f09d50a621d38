"""Instances per second through HAProxy: `python -m tests.benchmarks.balancer`.

The machine that receives, on PostgreSQL, takes new instances of 256 x 256 in turn from
`dcmsend` to its own port and to that of HAProxy. The folder has to be on a real disk.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.ingest import Instances, rate
from tests.support import phantom_plugin
from tests.support.haproxy import balancer
from tests.support.machines import MachineOfNode, wait_receiving
from tests.support.node_process import settings_for
from tests.support.peers import WITHIN_S, free_port
from tests.support.postgresql import programs, server

_SIZE = 256
_SENDERS = (1, 4)


def main(arguments: list[str]) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.balancer")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--instances", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args(arguments)
    found = programs()
    if found is None:
        print("POSTGRESQL MISSING: no initdb on this machine")
        return 1
    with (
        tempfile.TemporaryDirectory(dir=chosen.folder) as name,
        server(found) as url,
    ):
        folder = Path(name)
        settings = settings_for(
            folder,
            node_port=free_port(),
            peers={"pacs": ("PACS", free_port())},
            analysis=phantom_plugin.NAME,
        )
        settings["node"] |= {"acceptors": 2, "accept_unknown_peers": True}
        settings["database"] = url
        environment = phantom_plugin.make_installed(folder / "site")
        north = MachineOfNode("north", folder, settings, environment)
        try:
            north.receiver.start(wait=False)
            wait_receiving(north, within_s=WITHIN_S)
            with balancer(north.port, free_port()) as port:
                _measure(folder, {"direct": north.port, "HAProxy": port}, chosen)
        finally:
            north.receiver.kill()
    return 0


def _measure(folder: Path, ports: dict[str, int], chosen: argparse.Namespace) -> None:
    instances, number = Instances(_SIZE), 0
    print("| senders | direct, instances/s | through HAProxy |")
    print("| ---: | ---: | ---: |", flush=True)
    for senders in _SENDERS:
        rates: dict[str, list[float]] = {way: [] for way in ports}
        for _ in range(chosen.repeats):
            for way, port in ports.items():
                number += 1
                place = folder / f"sent-{number}"
                paths = instances.write(place, chosen.instances, number)
                rates[way].append(rate(paths, port, senders))
        middle = [f"{statistics.median(rates[way]):.0f}" for way in ports]
        print(f"| {senders} | {' | '.join(middle)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
