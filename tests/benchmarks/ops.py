"""What `ops` costs: memory, processor at rest, and the supervisor's turn beside it.

`PYTHONPATH=. python tests/benchmarks/ops.py [SECONDS]` prints the rows of a Markdown
table, of a node with 1,000 settled jobs, once without `ops` and once with it: at rest,
scraped every 15 s, and scraped every second beside `/ready` and the pages while series
of four instances arrive one after another.
"""

from __future__ import annotations

import http.client
import json
import re
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil

from dicom_node.jobs import dbos_setup
from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.workflow_names import DELIVERY
from dicom_node.record_codec import to_record
from dicom_node.spool_layout import SpoolLayout
from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import HOST, Archive, free_port, send
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.toy_worker import toy_job
from tests.support.variants import fresh

ROOT = Path(__file__).resolve().parents[2]
JOBS, INSTANCES = 1000, 18
MIB = 2**20
SETTLE_S = 8.0
LIMIT = "0.05"


def fill(spool: Path) -> None:
    """Write settled jobs into the database of a node that has yet to start."""
    SpoolLayout(spool).prepare()
    url = f"sqlite:///{spool / 'node.sqlite'}"
    prepare_database(url)
    outcome = {"verdict": "done", "code": "", "text": ""}
    client = dbos_setup.open_client(url)
    with JobQueue(url) as queue:
        for number in range(JOBS):
            job = toy_job(f"{number:032x}", paths=[spool / "node.sqlite"] * INSTANCES)
            queue.enqueue(job)
            client.enqueue(
                {
                    "workflow_name": DELIVERY,
                    "queue_name": dbos_setup.DELIVERIES,
                    "queue_partition_key": "pacs",
                    "workflow_id": f"{job.id}:pacs:1",
                },
                to_record(job),
            )
    client.destroy()
    with closing(sqlite3.connect(spool / "node.sqlite")) as database, database:
        database.execute(
            "UPDATE workflow_status SET status = 'SUCCESS', output = ?",
            (json.dumps(outcome),),
        )


class Scraper(threading.Thread):
    """Asks for one path again and again."""

    def __init__(self, port: int, path: str, every_s: float) -> None:
        super().__init__(daemon=True)
        self._port, self._path, self._every_s = port, path, every_s
        self._ended = threading.Event()
        self.codes: list[int] = []

    def run(self) -> None:
        """Ask until it is told to stop."""
        while not self._ended.wait(self._every_s):
            self.codes.append(asked(self._port, self._path)[0])

    def end(self) -> None:
        """Stop asking."""
        self._ended.set()
        self.join()


def asked(port: int, path: str) -> tuple[int, str]:
    """Return status and body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=15)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def turns(port: int) -> tuple[int, int]:
    """Return how many turns there were, and how many of them within the limit."""
    _, text = asked(port, "/metrics")
    name = "lumbar_node_supervisor_turn_seconds"
    total = re.search(rf"^{name}_count ([\d.]+)$", text, re.M)
    within = re.search(rf'^{name}_bucket{{le="{LIMIT}"}} ([\d.]+)$', text, re.M)
    assert total is not None
    assert within is not None
    return round(float(total[1])), round(float(within[1]))


def pss_mib(processes: list[psutil.Process]) -> float:
    """Return the memory of processes, what they share divided among them (MiB)."""
    return sum(one.memory_full_info().pss for one in processes) / MIB


def ops_process(node: Node) -> psutil.Process:
    """Return the process of `ops`."""
    pids = [row["pid"] for row in node.events() if row.get("process") == "ops"]
    return psutil.Process(pids[-1])


def busy(process: psutil.Process, seconds: float) -> float:
    """Return which part of a core a process takes, in percent."""
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return 100 * (sum(process.cpu_times()[:2]) - before) / seconds


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    bundled = variants.read_bundled(ROOT / "deploy" / "demo" / "series")[:4]
    with tempfile.TemporaryDirectory() as folder, Archive() as archive:
        node = node_for(
            Path(folder) / "node",
            archive,
            analysis=NAME,
            environment=make_installed(Path(folder) / "site"),
        )
        fill(Path(node.settings["spool"]["folder"]))
        with node:
            time.sleep(SETTLE_S)
            print(f"| node without ops, PSS | {pss_mib(node.processes()):.0f} MiB |")
        port = free_port()
        node.settings["ops"] = {"port": port, "page": {}}
        with node:
            time.sleep(SETTLE_S)
            ops = ops_process(node)
            print(f"| node with ops, PSS | {pss_mib(node.processes()):.0f} MiB |")
            print(f"| ops at rest | {busy(ops, seconds):.2f} % of a core |")
            slow = Scraper(port, "/metrics", 15.0)
            slow.start()
            print(f"| scraped every 15 s | {busy(ops, seconds):.2f} % of a core |")
            slow.end()
            measure_turns(node, port, bundled, seconds)
            memory = ops.memory_full_info()
            print(f"| ops alone, RSS | {memory.rss / MIB:.0f} MiB |")
            print(f"| ops alone, PSS | {memory.pss / MIB:.0f} MiB |")


def measure_turns(
    node: Node, port: int, bundled: variants.Series, seconds: float
) -> None:
    """Tell the supervisor's turns while everything asks and series arrive."""
    ops = ops_process(node)
    paths = ("/metrics", "/ready", "/", "/jobs")
    scrapers = [Scraper(port, path, 1.0) for path in paths]
    for one in scrapers:
        one.start()
    before, before_within = turns(port)
    used = sum(ops.cpu_times()[:2])
    end_s, sent = time.monotonic() + seconds, 0
    started_s = time.monotonic()
    while time.monotonic() < end_s:
        send(fresh(bundled), node.port)
        sent += 1
        time.sleep(2)
    lasted_s = time.monotonic() - started_s
    used = sum(ops.cpu_times()[:2]) - used
    after, after_within = turns(port)
    for one in scrapers:
        one.end()
    codes = sorted({code for one in scrapers for code in one.codes})
    count, within = after - before, after_within - before_within
    share = 100 * used / lasted_s
    print(f"| scraped every second, /ready, status and queue | {share:.2f} % |")
    print(f"| series meanwhile | {sent}; HTTP {codes} |")
    share = 100 * within / count
    print(f"| turns within {LIMIT} s | {within} of {count} ({share:.2f} %) |")


if __name__ == "__main__":
    main()
