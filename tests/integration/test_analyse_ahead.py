"""A series is analysed while it is quiet, before a job is owed for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import Archive, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.variants import Series, fresh

QUIET_S = 3.0
LIMIT_S = 5.0
ENDS_AT = 5
_TRIES = 5


@pytest.fixture(scope="module")
def little(demo_series: Path) -> Series:
    return variants.small(variants.read_bundled(demo_series))


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file while which exists the analysis has no end."""
    return tmp_path_factory.mktemp("held") / "held"


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, archive: Archive, held: Path
) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("ahead")
    environment = make_installed(folder / "site")
    environment |= {"PHANTOM_ENDS": str(ENDS_AT), "PHANTOM_HELD": str(held)}
    node = node_for(folder / "node", archive, analysis=NAME, environment=environment)
    node.settings["series"]["quiet_s"] = QUIET_S
    node.settings["jobs"]["time_limit_s"] = LIMIT_S
    with node:
        yield node


def named(node: Node, *names: str, of: Series) -> list[dict[str, Any]]:
    """Return what the node logged under these names of a series, in order."""
    uid = str(of[0].SeriesInstanceUID)
    rows = [row for row in node.events() if row["event"] in names]
    return [row for row in rows if row.get("series_uid") == uid]


def first_of(node: Node, wanted: str, other: str, *, of: Series) -> bool:
    """Return whether the first of two events that comes is the one that is wanted."""
    rows: list[dict[str, Any]] = []

    def came() -> bool:
        rows[:] = named(node, wanted, other, of=of)
        return bool(rows)

    wait_until(came, what=f"{wanted} or {other}")
    return bool(rows[0]["event"] == wanted)


def job_of(node: Node, series: Series) -> dict[str, Any]:
    """Return the job of a series once it is settled."""
    uid = str(series[0].SeriesInstanceUID)
    return node.settled_series({uid})[uid]


def analysed_ahead(node: Node, little: Series, *, part: slice = slice(None)) -> Series:
    """Send series until one, or this part of it, was analysed before it was complete.

    A worker that is still being loaded comes too late.
    """
    for _ in range(_TRIES):
        series = fresh(little)
        send(series[part], node.port)
        if first_of(node, "analysed_ahead", "series_complete", of=series):
            return series
        job_of(node, series)
    message = f"none of {_TRIES} series was analysed ahead"
    raise AssertionError(message)


def test_a_silent_series_is_analysed_before_it_is_complete_and_once(
    node: Node, archive: Archive, little: Series
) -> None:
    series = analysed_ahead(node, little)
    assert job_of(node, series)["state"] == "done"
    rows = named(node, "analysed_ahead", "series_complete", "job_started", of=series)
    assert [(row["event"], row.get("state")) for row in rows] == [
        ("analysed_ahead", "done"),
        ("series_complete", None),
        ("job_started", None),
    ]
    assert len(archive.results_of(series)) == 3


def test_what_comes_after_it_was_analysed_is_in_the_results(
    node: Node, archive: Archive, little: Series
) -> None:
    half = len(little) // 2
    series = analysed_ahead(node, little, part=slice(half))
    send(series[half:], node.port)
    # Where the machine was so slow that half was complete, that is a job as well.
    node.settled_whole(str(series[0].SeriesInstanceUID), len(series))
    seg = [one for one in archive.results_of(series) if one.Modality == "SEG"][-1]
    assert {
        str(item.ReferencedSOPInstanceUID)
        for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    } == {str(one.SOPInstanceUID) for one in series}


def test_a_worker_that_dies_of_it_is_not_counted_against_the_job(
    node: Node, little: Series
) -> None:
    job_of(node, analysed_ahead(node, little))
    before = len(deaths_of_workers(node))
    poison = fresh(little)[:ENDS_AT]
    send(poison, node.port)
    wait_until(lambda: len(deaths_of_workers(node)) > before, what="the worker dies")
    uid = str(poison[0].SeriesInstanceUID)
    assert not named(node, "series_complete", of=poison)
    assert not any(row["event"] == "job_lost_its_worker" for row in node.events())
    node.hasten_giving_up(uid)
    good = fresh(little)
    send(good, node.port)
    assert job_of(node, good)["state"] == "done"
    assert job_of(node, poison)["state"] == "failed"


def test_one_that_has_no_end_is_ended_and_the_job_is_done(
    node: Node, held: Path, little: Series
) -> None:
    job_of(node, analysed_ahead(node, little))
    series = fresh(little)
    held.touch()
    send(series, node.port)

    def is_killed() -> bool:
        rows = [row for row in node.events() if row["event"] == "worker_killed"]
        return any("analyse-ahead takes longer" in row["reason"] for row in rows)

    wait_until(is_killed, what="the worker is killed")
    held.unlink()
    assert job_of(node, series)["state"] == "done"


def deaths_of_workers(node: Node) -> list[dict[str, Any]]:
    rows = [row for row in node.events() if row["event"] == "process_ended"]
    return [row for row in rows if row["process"] == "worker-0" and row["status"]]
