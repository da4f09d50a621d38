"""A backup of a running node, restored elsewhere, owes exactly what was owed."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml

from dicom_node.node.backup_list import LIST
from tests.support import former_spool
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, free_port, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.variants import Series, fresh

KINDS = {"SEG": 1, "SR": 1, "OT": 1}
ACKNOWLEDGED, ARRIVING, SLICES = 3, 12, 5
PAUSE_S = 0.2


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Return the file that holds every analysis of the toy while it exists."""
    return tmp_path / "held"


@pytest.fixture
def archives() -> Iterator[tuple[Archive, Archive]]:
    """Return an archive that answers, and one that is down."""
    with Archive() as pacs:
        down = Archive(ae_title="DOWN")
        yield pacs, down
        down.stop()


@pytest.fixture
def node(
    tmp_path: Path, archives: tuple[Archive, Archive], held: Path
) -> Iterator[Node]:
    environment = make_installed(tmp_path / "installed")
    node = node_for(
        tmp_path / "here",
        *archives,
        analysis=NAME,
        environment={**environment, "PHANTOM_HELD": str(held)},
    )
    with node:
        yield node


def little() -> Series:
    return fresh(former_spool.series("waiting"))


def moved(node: Node, folder: Path) -> Node:
    """Return the node of another machine, with the same peers."""
    settings = {
        **node.settings,
        "node": {**node.settings["node"], "port": free_port()},
        "spool": {**node.settings["spool"], "folder": str(folder / "spool")},
        # Nobody will repeat what was arriving.
        "series": {**node.settings["series"], "max_wait_s": 3},
        "database": f"sqlite:///{folder / 'elsewhere' / 'jobs.sqlite'}",
    }
    return Node(folder=folder, settings=settings, environment=node.environment)


def kinds_of(archive: Archive, series: Series) -> Counter[str]:
    """Return the modalities of the distinct results of a series.

    A delivery that was cut off, as on a slow machine, repeats the same objects.
    """
    found = {str(one.SOPInstanceUID): one for one in archive.results_of(series)}
    return Counter(str(one.Modality) for one in found.values())


def uid_of(series: Series) -> str:
    return str(series[0].SeriesInstanceUID)


def is_settled(node: Node) -> bool:
    """Return whether every instance that lies there belongs to a settled job."""
    spool = Path(node.settings["spool"]["folder"])
    arrived = {path.parent for path in spool.glob("inbox/*/*.dcm")}
    owed = {path.parent for path in spool.glob("inbox/*/owed-*.json")}
    return arrived == owed and node.settled(len(owed))


@contextmanager
def sending(node: Node) -> Iterator[list[Series]]:
    """Send series one after another; yields a list of those that were begun."""
    begun: list[Series] = []
    ended = threading.Event()

    def send_on() -> None:
        while not ended.wait(PAUSE_S) and len(begun) < ARRIVING:
            begun.append(little())
            send(begun[-1], node.port)

    sender = threading.Thread(target=send_on)
    sender.start()
    wait_until(lambda: bool(begun), what="the sender begins")
    try:
        yield begun
    finally:
        ended.set()
        sender.join()


def first_delivered(node: Node, pacs: Archive) -> Series:
    """Return a series that one archive has, and the other does not."""
    series = little()
    send(series, node.port)
    wait_until(
        lambda: any(
            dict(job["deliveries"]).get("pacs") == "stored" for job in node.jobs()
        ),
        what="the first is delivered",
    )
    assert kinds_of(pacs, series) == KINDS
    return series


def analysing(node: Node) -> Series:
    """Return a series of which the analysis runs."""
    series = little()
    send(series, node.port)
    wait_until(
        lambda: any(
            row["event"] == "job_started" and row["series_uid"] == uid_of(series)
            for row in node.events()
        ),
        what="the analysis begins",
    )
    return series


def restored(node: Node, kept: Path) -> None:
    """Lay a backup into the spool of a node, once."""
    node.folder.mkdir()
    node.config.write_text(yaml.safe_dump(node.settings))
    done = node.command("restore", str(kept))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"; {len(node.jobs())} jobs are owed" in done.stdout
    again = node.command("restore", str(kept))
    assert again.returncode == 1
    assert "is not empty: restore into a new one" in again.stderr


def test_whoever_restores_owes_exactly_what_was_owed(
    node: Node, archives: tuple[Archive, Archive], held: Path, tmp_path: Path
) -> None:
    pacs, down = archives
    delivered = first_delivered(node, pacs)
    held.touch()
    owed = [delivered, analysing(node), *(little() for _ in range(ACKNOWLEDGED))]
    for series in owed[2:]:
        assert send(series, node.port) == [0] * len(series)
    kept = tmp_path / "kept"
    with sending(node) as arriving:
        done = node.command("backup", str(kept))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("saved ")
    assert (kept / "node.yaml").read_text() == node.config.read_text()
    refused = node.command("restore", str(kept))
    assert refused.returncode == 1
    assert "the spool is in use by LUMBAR_AI" in refused.stderr
    node.kill()
    shutil.rmtree(node.folder / "spool")
    pacs.received.clear()

    other = moved(node, tmp_path / "there")
    restored(other, kept)
    held.unlink()
    down.start()
    with other:
        jobs = other.settled_series([uid_of(one) for one in owed])
        wait_until(lambda: is_settled(other), what="all that was arriving settles")
        rows = other.jobs()
    assert {job["state"] for job in jobs.values()} == {"done"}
    assert kinds_of(pacs, delivered) == {}, "delivered twice"
    assert [kinds_of(pacs, one) for one in owed[1:]] == [KINDS] * len(owed[1:])
    assert [kinds_of(down, one) for one in owed] == [KINDS] * len(owed)
    whole = {row["series_uid"] for row in rows if row["instances"] == SLICES}
    for one in arriving:
        if uid_of(one) in whole:
            assert kinds_of(pacs, one) == kinds_of(down, one) == KINDS


def without_manifests(kept: Path) -> None:
    """Make a backup one in which series became complete after manifests were taken."""
    record = json.loads((kept / LIST).read_text())
    names = [one["name"] for one in record["files"]]
    (manifest,) = [name for name in names if "/owed-" in name]
    record["files"] = [one for one in record["files"] if one["name"] != manifest]
    (kept / LIST).write_text(json.dumps(record))


def triages_of(node: Node) -> list[tuple[str]]:
    path = node.settings["database"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as opened:
        return opened.execute(
            "SELECT workflow_uuid FROM workflow_status WHERE name = 'triage'"
        ).fetchall()


def test_a_series_of_which_the_database_alone_knows_the_job_owes_nothing_new(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "kept"
    with Archive() as pacs:
        node = node_for(
            tmp_path / "here",
            pacs,
            analysis=NAME,
            environment=make_installed(tmp_path / "site"),
        )
        with node:
            send(little(), node.port)
            (job,) = node.wait_settled(1)
        assert node.command("backup", str(kept)).returncode == 0
        received = len(pacs.received)
        without_manifests(kept)
        other = moved(node, tmp_path / "there")
        other.folder.mkdir()
        other.config.write_text(yaml.safe_dump(other.settings))
        done = other.command("restore", str(kept))
        assert "; 0 jobs are owed" in done.stdout, done.stderr
        triages = triages_of(other)
        with other:
            wait_until(lambda: is_settled(other), what="it is complete once more")
            assert triages_of(other) == triages
            assert [one["id"] for one in other.jobs()] == [job["id"]]
        assert len(pacs.received) == received


def test_what_a_former_version_owed_is_restored_elsewhere_and_finished(
    tmp_path: Path,
) -> None:
    here, kept, there = tmp_path / "here", tmp_path / "kept", tmp_path / "there"
    with Archive() as pacs:
        node = node_for(
            here, pacs, analysis=NAME, environment=make_installed(tmp_path / "site")
        )
        spool = former_spool.unpack("0.1.0", here)
        node.settings["spool"]["folder"] = str(spool)
        node.config.write_text(yaml.safe_dump(node.settings))
        schema = schema_of(spool / "node.sqlite")
        assert node.command("backup", str(kept)).returncode == 0
        shutil.rmtree(here)
        other = moved(node, there)
        there.mkdir()
        other.config.write_text(yaml.safe_dump(other.settings))
        done = other.command("restore", str(kept))
        assert "; 2 jobs are owed" in done.stdout, done.stderr
        assert schema_of(there / "elsewhere" / "jobs.sqlite") == schema
        with other:
            jobs = other.wait_settled(len(former_spool.SEEDS))
        assert [job["state"] for job in jobs] == ["done"] * len(jobs)
        for seed in former_spool.SEEDS:
            assert kinds_of(pacs, former_spool.series(seed)) == KINDS, seed


def schema_of(database: Path) -> list[tuple[str]]:
    """Return how the tables were made, which an upgrade of the database changes."""
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute("SELECT sql FROM sqlite_master ORDER BY sql").fetchall()
