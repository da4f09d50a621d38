"""A spool and a job database as a former version left them when it was killed.

They lie in `tests/integration/former`, one archive a version, made by that version's
own code:

    git worktree add /tmp/former 4fb29bf
    .venv/bin/python -m tests.support.former_spool /tmp/former 0.1.0
    git worktree remove /tmp/former

Three series of a phantom were sent to it. One is analysed and waits for a peer that is
down; one was being analysed, and one had arrived and was not yet complete, when every
process was killed with -9.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom import Dataset

from analysis.contract.geometry import Frame
from tests.support.mr_series import build_series
from tests.support.node_process import Node, settings_for
from tests.support.peers import free_port, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed

FOLDER = Path(__file__).resolve().parents[1] / "integration" / "former"
SEEDS = ("waiting", "running", "arriving")
PEER = "pacs"
BACKOFF_S = 20

_SHAPE = (5, 16, 16)
_SAGITTAL = Frame(
    origin_mm=np.zeros(3),
    directions=np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    spacing_mm=np.array([4.0, 1.0, 1.0]),
)
_SLOW_PLUGIN = """\
import os, time
from tests.support.phantom_plugin import PhantomMri

class SlowOnOne(PhantomMri):
    def analyse(self, inputs, context):
        (volume,) = inputs.values()
        if volume.series_uid == os.environ["SLOW_SERIES"]:
            time.sleep(3600)
        return super().analyse(inputs, context)
"""


def series(seed: str) -> list[Dataset]:
    """Return one of the three series; the same whenever it is asked for."""
    pixels = np.random.default_rng(len(seed)).integers(0, 4096, _SHAPE)
    return [*build_series(pixels.astype(np.float32), _SAGITTAL, seed=seed)]


def unpack(version: str, folder: Path) -> Path:
    """Lay what a version left into a folder, as if it had been written there.

    Returns
    -------
    Path
        The spool.
    """
    with tarfile.open(FOLDER / f"{version}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    before = (folder / "was-at.txt").read_text()
    spool = folder / "spool"
    for manifest in spool.rglob("*.json"):
        manifest.write_text(manifest.read_text().replace(before, str(spool)))
    database = sqlite3.connect(spool / "node.sqlite")
    with database:
        for table, column in _text_columns(database):
            database.execute(
                f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                f'WHERE instr("{column}", ?)',
                (before, str(spool), before),
            )
    database.close()
    return spool


def make(worktree: Path, version: str) -> None:
    """Let a former version work, kill it, and pack what it leaves."""
    with tempfile.TemporaryDirectory(prefix="former-") as name:
        folder = Path(name)
        node = _node(folder, worktree)
        node.start()
        _work_and_die(node)
        _pack(folder, FOLDER / f"{version}.tar.gz")


def _node(folder: Path, worktree: Path) -> Node:
    site = folder / "site"
    make_installed(site, target="slow_on_one:SlowOnOne")
    (site / "slow_on_one.py").write_text(_SLOW_PLUGIN)
    settings = settings_for(
        folder,
        node_port=free_port(),
        peers={PEER: ("PACS", free_port())},
        analysis=NAME,
    )
    settings["jobs"] = {"attempts": 20, "backoff_s": [BACKOFF_S]}
    environment = {
        "PYTHONPATH": os.pathsep.join([str(site), str(worktree)]),
        "SLOW_SERIES": str(series("running")[0].SeriesInstanceUID),
    }
    return Node(folder=folder, settings=settings, environment=environment)


def _work_and_die(node: Node) -> None:
    send(series("waiting"), node.port)
    wait_until(lambda: _told(node, "delivery_attempted") == 1, what="delivery")
    send(series("running"), node.port)
    wait_until(lambda: _told(node, "job_started") == 2, what="analysis")
    send(series("arriving"), node.port)
    node.kill()


def _told(node: Node, event: str) -> int:
    return sum(row["event"] == event for row in node.events())


def _pack(folder: Path, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    spool = folder / "spool"
    (spool / "node.sqlite-shm").unlink()  # is made anew from the log beside it
    (folder / "was-at.txt").write_text(str(spool))
    with tarfile.open(path, "w:gz") as archive:
        for part in ("was-at.txt", "spool"):
            archive.add(folder / part, arcname=part)


def _text_columns(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    for (table,) in database.execute(tables).fetchall():
        for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{table}")'):
            if kind.upper() == "TEXT":
                yield table, column


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve(), sys.argv[2])
