"""The node serves an anatomy that it has never heard of, and survives a bad one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, echo, send
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.variants import AXIAL, SEGMENTATION, Series, fresh

GIVE_UP_AFTER_S = 1.0


@pytest.fixture(scope="module")
def bundled(demo_series: Path) -> Series:
    return variants.read_bundled(demo_series)


@pytest.fixture
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


def phantom_node(folder: Path, *archives: Archive, **environment: str) -> Node:
    installed = make_installed(folder / "site")
    node = node_for(
        folder / "node",
        *archives,
        analysis=NAME,
        environment={**installed, **environment},
        is_traced=True,
    )
    node.settings["jobs"] = {
        "retry_first_s": 0.5,
        "retry_longest_s": 0.5,
        "retry_days": GIVE_UP_AFTER_S / 86400,
    }
    return node


def test_a_plugin_is_served_and_a_poison_series_is_given_up(
    tmp_path: Path, archive: Archive, bundled: Series
) -> None:
    poison, good = fresh(bundled), fresh(bundled)
    axial = fresh(bundled, variants.turned(AXIAL, axis=2))
    uid = str(poison[0].SeriesInstanceUID)
    with phantom_node(tmp_path, archive, PHANTOM_POISON=uid) as node:
        send([*poison, *good, *axial], node.port)
        rows = {row["series_uid"]: row for row in node.wait_settled(3)}
        listed = node.command("jobs", "list", "--json")
        assert echo(node.port)
    assert {row["series_uid"]: row for row in json.loads(listed.stdout)} == rows
    assert rows[uid]["state"] == "failed"
    assert rows[uid]["reason"].startswith("worker_crashed")
    assert rows[str(good[0].SeriesInstanceUID)]["state"] == "done"
    assert rows[str(axial[0].SeriesInstanceUID)]["state"] == "rejected"
    # A process that never needs the lumbar science never imports it.
    kinds = archive.classes()
    assert kinds[0] == SEGMENTATION
    assert len(kinds) == 3


def test_one_peer_refuses_seg_and_aborts_and_the_other_has_it_all(
    tmp_path: Path, archive: Archive, bundled: Series
) -> None:
    series = fresh(bundled)
    with (
        Archive(ae_title="PICKY", refused_classes=(SEGMENTATION,)) as picky,
        phantom_node(tmp_path, archive, picky) as node,
    ):
        send(series, node.port)
        (row,) = node.wait_settled(1)
        assert row["state"] == "failed"
        assert row["deliveries"]["pacs"] == "stored"
        assert "seg.dcm: the peer accepts no such SOP class" in row["reason"]
        assert len(picky.received) == 2

        # The site mends its archive, which aborts half-way at first.
        picky.stop()
        picky.refused_classes = ()
        picky.abort_at, picky.requests = 1, 0
        picky.start()
        shown = node.command("jobs", "retry", row["id"][:8], "--json")
        assert json.loads(shown.stdout)["state"] == "delivering"
        node.wait_settled(1)
        picky.abort_at = None
        retried = node.command("jobs", "retry", row["id"])
        assert retried.returncode in {0, 1}, retried.stderr
        (row,) = node.wait_settled(1)
    assert row["state"] == "done"
    assert sorted(picky.classes()) == sorted(archive.classes())
    assert len(archive.received) == 3


def test_an_unsuitable_series_brings_a_note_where_the_route_asks_for_one(
    tmp_path: Path, archive: Archive, bundled: Series
) -> None:
    node = phantom_node(tmp_path, archive, PHANTOM_MIN_SLICES="100")
    node.settings["routes"][0]["when_unsuitable"] = "note"
    with node:
        send(fresh(bundled), node.port)
        (row,) = node.wait_settled(1)
        done = node.command("jobs", "show", row["id"])
    assert (row["state"], row["deliveries"]) == ("rejected", {"pacs": "stored"})
    assert "too_few_slices: 9 slices, 100 are needed" in done.stdout
    (note,) = archive.received
    assert note.SOPClassUID.name == "Secondary Capture Image Storage"


@pytest.mark.parametrize(
    "target", ["tests.support.nothing:Nothing", "tests.support.peers:Archive"]
)
def test_a_broken_plugin_fails_its_jobs_and_stops_nobody(
    tmp_path: Path, archive: Archive, bundled: Series, target: str
) -> None:
    environment = make_installed(tmp_path / "site", target=target)
    node = node_for(tmp_path / "node", archive, analysis=NAME, environment=environment)
    with node:
        send(fresh(bundled), node.port)
        (row,) = node.wait_settled(1)
        checked = node.command("check")
        assert echo(node.port)
    assert row["state"] == "failed"
    assert row["reason"].startswith("analysis-unavailable: ")
    assert checked.returncode == 1
    assert NAME in checked.stdout + checked.stderr
    assert archive.received == []
