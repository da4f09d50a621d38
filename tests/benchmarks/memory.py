"""Memory of all processes of the node: at rest, and the peak during an analysis.

`PYTHONPATH=. python tests/benchmarks/memory.py` prints a Markdown table. RSS counts
shared pages once per process, PSS shares them out; both are summed over the processes.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from tests.support.clinical import clinical_series
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, send

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20
REST_S = 8.0


def used_mib(node: Node) -> tuple[float, float]:
    """Return RSS and PSS of all processes of the node, in MiB."""
    rss = pss = 0
    for process in node.processes():
        try:
            memory = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        rss += memory.rss
        pss += memory.pss
    return rss / MIB, pss / MIB


class Peak(threading.Thread):
    """Keeps the highest values seen until it is told to stop."""

    def __init__(self, node: Node) -> None:
        super().__init__(daemon=True)
        self._node = node
        self._ended = threading.Event()
        self.highest = (0.0, 0.0)

    def run(self) -> None:
        """Look ten times a second."""
        while not self._ended.wait(0.1):
            rss, pss = used_mib(self._node)
            self.highest = (max(rss, self.highest[0]), max(pss, self.highest[1]))

    def end(self) -> tuple[float, float]:
        """Stop looking and return the highest RSS and PSS."""
        self._ended.set()
        self.join()
        return self.highest


def main() -> None:
    """Measure and print."""
    series = clinical_series(ROOT / "deploy" / "demo" / "series")
    with tempfile.TemporaryDirectory() as folder, Archive() as archive:
        node = node_for(Path(folder), archive)
        node.settings["node"]["acceptors"] = 2
        with node:
            time.sleep(REST_S)
            rows = [("at rest, before the first series", *used_mib(node))]
            peak = Peak(node)
            peak.start()
            send(series, node.port)
            node.wait_settled(1)
            rows.append(("peak during an analysis", *peak.end()))
            time.sleep(REST_S)
            rows.append(("at rest, after it", *used_mib(node)))
            count = len(node.processes())
    print(f"| {count} processes | RSS, MiB | PSS, MiB |")
    print("| --- | --- | --- |")
    for what, rss, pss in rows:
        print(f"| {what} | {rss:.0f} | {pss:.0f} |")
    sys.exit(0)


if __name__ == "__main__":
    main()
