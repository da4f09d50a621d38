"""What is processed again when settings change or a series returns, and what is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.variants import Series, fresh, saying

RESULTS = 3
LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"


def restart(node: Node, **route: Any) -> None:
    """Stop the node, change its route, and start it."""
    assert node.stop() == 0
    node.settings["routes"][0].update(route)
    node.start()


def triages(node: Node) -> int:
    """Return how many triages have ended."""
    return sum(row["event"] == "series_triaged" for row in node.events())


def sent_again(node: Node, series: Series, jobs: int) -> list[dict[str, Any]]:
    """Send a series once more, and return its jobs once it was looked at."""
    before = triages(node)
    send(series, node.port)
    wait_until(lambda: triages(node) > before, what="the series is triaged")
    return settled(node, series, jobs)


def settled(node: Node, series: Series, jobs: int = 1) -> list[dict[str, Any]]:
    """Return the jobs of a series, the latest first, once so many are settled."""
    return node.settled_jobs_of(str(series[0].SeriesInstanceUID), jobs)


def by_uid(results: Sequence[Dataset]) -> dict[str, Dataset]:
    return {str(one.SOPInstanceUID): one for one in results}


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, archive: Archive) -> Iterator[Node]:
    """Return a node whose first route wants another body part than its second."""
    folder = tmp_path_factory.mktemp("node")
    node = node_for(
        folder / "node",
        archive,
        analysis=NAME,
        environment=make_installed(folder / "site"),
    )
    (route,) = node.settings["routes"]
    node.settings["routes"] = [
        {**route, "name": name, "accept": {"body_part": [body_part]}}
        for name, body_part in (("mended", "KNEE"), ("returned", "HIP"))
    ]
    with node:
        yield node


@pytest.fixture(scope="module")
def little(demo_series: Path) -> Series:
    return variants.small(variants.read_bundled(demo_series))


def forget_all(node: Node) -> None:
    """Let retention remove every job and every file."""
    assert node.stop() == 0
    node.settings["spool"]["keep_days"] = 1e-6
    node.start()
    wait_until(lambda: node.jobs() == [], what="all is forgotten")
    assert node.stop() == 0
    node.settings["spool"]["keep_days"] = 3
    node.start()


def kinds_of_segmentation(results: Mapping[str, Dataset]) -> set[str]:
    return {str(one.SOPClassUID) for one in results.values() if one.Modality == "SEG"}


def test_the_same_settings_owe_nothing_and_others_new_results(
    node: Node, archive: Archive, little: Series
) -> None:
    series = fresh(little, saying(BodyPartExamined="LSPINE"))
    send(series, node.port)
    (rejected,) = settled(node, series)
    assert rejected["state"] == "rejected"
    assert len(sent_again(node, series, 1)) == 1

    # The filter is mended, and the series is sent again.
    restart(node, accept={"body_part": ["LSPINE"]})
    rows = sent_again(node, series, 2)
    assert [row["state"] for row in rows] == ["done", "rejected"]
    first = by_uid(archive.results_of(series))
    assert len(first) == RESULTS
    sent_again(node, series, 2)
    looked = triages(node)
    asked = node.command("jobs", "rerun", rows[0]["id"])
    assert asked.returncode == 0, asked.stderr
    wait_until(lambda: triages(node) > looked, what="the re-run is triaged")
    again = settled(node, series, 2)
    assert {row["id"] for row in again} == {row["id"] for row in rows}
    assert len(archive.results_of(series)) == RESULTS

    # Another kind of segmentation is another result, under other UIDs.
    restart(node, segmentation="labelmap")
    asked = node.command("jobs", "rerun", rows[0]["id"][:8])
    assert asked.returncode == 0, asked.stderr
    settled(node, series, 3)
    other = by_uid(archive.results_of(series)[RESULTS:])
    assert len(other) == RESULTS
    assert first.keys().isdisjoint(other)
    assert kinds_of_segmentation(first) == {SegmentationStorage}
    assert kinds_of_segmentation(other) == {LABEL_MAP_STORAGE}
    (report,) = (one for one in other.values() if one.Modality == "SR")
    assert report.PredecessorDocumentsSequence


def test_a_series_that_comes_back_after_retention_gets_the_same_results(
    node: Node, archive: Archive, little: Series
) -> None:
    series = fresh(little, saying(BodyPartExamined="HIP"))
    send(series, node.port)
    settled(node, series)
    first = by_uid(archive.results_of(series))
    assert len(first) == RESULTS
    forget_all(node)
    send(series, node.port)
    (row,) = settled(node, series)
    assert row["state"] == "done"
    again = archive.results_of(series)[RESULTS:]
    assert len(again) == RESULTS
    assert by_uid(again) == first
    assert all(one.TimezoneOffsetFromUTC for one in first.values())
