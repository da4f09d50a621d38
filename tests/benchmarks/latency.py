"""How long after the last C-STORE response the last result is stored at the PACS.

`PYTHONPATH=. python tests/benchmarks/latency.py [REPEATS]` prints a Markdown table:
18 slices of 512 x 512, the quiet time subtracted, and the node's own account of it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from dicom_node.settings.sections import Series as Waits
from tests.support.clinical import clinical_series
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, send, wait_until
from tests.support.variants import Series, fresh

ROOT = Path(__file__).resolve().parents[2]
EXPECTED_RESULTS = 4  # SEG, SR and two captures


def once(node: Node, archive: Archive, series: Series, done: int) -> float:
    """Send one series and return the seconds to its last result."""
    send(series, node.port)
    answered_s = time.monotonic()
    # The log is looked at, for a command would take a core from what is measured.
    wait_until(lambda: settled(node) >= done, within_s=120, what="the job settles")
    quiet_s = float(node.settings["series"]["quiet_s"])
    return archive.last_stored_s - answered_s - quiet_s


def settled(node: Node) -> int:
    """Return how many jobs the log calls settled."""
    return sum(row["event"] == "job_settled" for row in node.events())


def stages(node: Node) -> dict[str, list[float]]:
    """Return the durations that the node logged, in ms, by stage."""
    durations: dict[str, list[float]] = defaultdict(list)
    for row in node.events():
        if "duration_ms" in row and ("stage" in row or row["event"] == "job_settled"):
            durations[row.get("stage", row["event"])].append(row["duration_ms"])
    return durations


def measure(series: Series, repeats: int) -> list[str]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder, Archive() as archive:
        node = node_for(Path(folder), archive)
        # What a site has: while it waits, the worker loads the science.
        node.settings["series"]["quiet_s"] = Waits().quiet_s
        with node:
            seconds = [
                once(node, archive, fresh(series), number + 1)
                for number in range(repeats)
            ]
        if len(archive.received) < EXPECTED_RESULTS * repeats:
            sys.exit(f"only {len(archive.received)} results came back")
        later = statistics.median(seconds[1:])
        rows = [
            f"| first series after the start | {seconds[0]:.2f} |",
            f"| median of the next {repeats - 1} | {later:.2f} |",
        ]
        for stage, values in stages(node).items():
            rows.append(f"| {stage}, median | {statistics.median(values) / 1000:.2f} |")
        return rows


def main() -> None:
    """Measure and print."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    series = clinical_series(ROOT / "deploy" / "demo" / "series")
    rows = measure(series, repeats)
    print(f"| {len(series)} slices of {series[0].Rows} x {series[0].Columns} | s |")
    print("| --- | --- |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
