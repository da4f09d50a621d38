"""kill -9 at each stage: after a restart the results arrive, once."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest

from tests.support import phantom_plugin, variants
from tests.support.node_process import Node, node_for
from tests.support.peers import WITHIN_S, Archive, send, wait_until
from tests.support.variants import Series, fresh

DEATHS = 6
"""More than the three times that a series is begun anew whose worker alone dies; twelve
take a minute and are told of in `docs/reliability.md`."""


@pytest.fixture(scope="module")
def bundled(demo_series: Path) -> Series:
    return variants.read_bundled(demo_series)


@pytest.fixture
def series(bundled: Series) -> Series:
    """Return a real series, whose analysis takes seconds."""
    return fresh(bundled)


@pytest.fixture
def little(bundled: Series) -> Series:
    """Return a series for the toy analysis, which takes no time."""
    return variants.small(bundled)


@pytest.fixture
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture
def node(tmp_path: Path, archive: Archive) -> Iterator[Node]:
    node = node_for(tmp_path, archive)
    with node:
        yield node


@pytest.fixture
def quick_node(tmp_path: Path, archive: Archive) -> Iterator[Node]:
    """Return a node whose analysis is the toy."""
    node = node_for(
        tmp_path,
        archive,
        analysis=phantom_plugin.NAME,
        environment={
            **phantom_plugin.make_installed(tmp_path / "installed"),
            "PHANTOM_HELD": str(tmp_path / "held"),
        },
    )
    with node:
        yield node


def state_of_only_job(node: Node) -> str:
    rows = node.jobs()
    return str(rows[0]["state"]) if rows else ""


def has_settled(node: Node, count: int) -> bool:
    """Return whether the log calls this many jobs settled."""
    settled = [row for row in node.events() if row["event"] == "job_settled"]
    return len(settled) >= count


def assert_results_arrived_once(node: Node, archive: Archive) -> None:
    """Check that one job is done and that no object came as two."""
    (job,) = node.wait_settled(1)
    assert job["state"] == "done"
    kinds = Counter(str(found.SOPClassUID.name) for found in archive.received)
    assert {"Segmentation Storage", "Comprehensive 3D SR Storage"} <= set(kinds)
    # A delivery that was cut off is repeated with the same objects: the archive may
    # see an instance again, but never a second one of its kind.
    distinct = Counter(
        {(str(f.SOPClassUID), str(f.SOPInstanceUID)) for f in archive.received}
    )
    assert Counter(kind for kind, _ in distinct)[variants.SEGMENTATION] == 1
    series = {(str(f.Modality), str(f.SeriesInstanceUID)) for f in archive.received}
    assert len(series) == len({modality for modality, _ in series})


def test_the_worker_dies_during_the_analysis(
    node: Node, archive: Archive, series: Series
) -> None:
    send(series, node.port)
    wait_until(lambda: state_of_only_job(node) == "running", what="job runs")
    for worker in node.workers():
        worker.send_signal(signal.SIGKILL)
    assert_results_arrived_once(node, archive)
    assert node.process.poll() is None


def test_the_node_dies_while_it_receives(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    send(little[:5], quick_node.port, release=False)
    quick_node.kill()
    quick_node.start()
    send(little[5:], quick_node.port)
    jobs = quick_node.wait_settled(1)
    # Whole, or in two revisions when the first half was called complete meanwhile.
    latest = max(jobs, key=lambda job: job["instances"])
    assert (latest["instances"], latest["state"]) == (len(little), "done")


def test_the_node_dies_before_the_series_is_complete_and_nothing_more_comes(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    send(little, quick_node.port)
    # What is frozen goes with the supervisor, too, and leaves the port to the next.
    started = {
        row["pid"] for row in quick_node.events() if row["event"] == "process_started"
    }
    for process in quick_node.processes():
        if process.pid in started:
            process.suspend()
    quick_node.process.kill()
    quick_node.process.wait(WITHIN_S)
    wait_until(
        lambda: quick_node.processes_left() == [],
        what="no process is left",
    )
    # Nobody knows whether the sender would have sent more.
    quick_node.settings["series"]["max_wait_s"] = 3
    quick_node.start()
    assert_results_arrived_once(quick_node, archive)
    assert quick_node.jobs()[0]["instances"] == len(little)


def test_the_node_dies_again_and_again_during_the_analysis(
    quick_node: Node, archive: Archive, little: Series, tmp_path: Path
) -> None:
    # A machine that reboots again and again: no death is the fault of the series.
    held = tmp_path / "held"
    held.touch()
    send(little, quick_node.port)

    def has_begun(times: int) -> bool:
        rows = [row for row in quick_node.events() if row["event"] == "job_started"]
        return len(rows) >= times

    for death in range(1, DEATHS + 1):
        what = f"the analysis begins, time {death}"
        wait_until(partial(has_begun, death), what=what)
        quick_node.kill()
        if death == DEATHS:
            held.unlink()
        quick_node.start(wait=False)
    assert_results_arrived_once(quick_node, archive)


def test_the_node_dies_during_the_delivery(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    archive.abort_at = 2
    send(little, quick_node.port)
    wait_until(lambda: archive.requests >= 2, what="delivery begins")
    quick_node.kill()
    archive.abort_at = None
    quick_node.start()
    assert_results_arrived_once(quick_node, archive)


def test_a_peer_that_is_down_gets_its_results_when_it_comes_up(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    archive.stop()
    send(little, quick_node.port)
    wait_until(
        lambda: state_of_only_job(quick_node) == "delivering",
        what="delivery begins",
    )
    archive.start()
    assert_results_arrived_once(quick_node, archive)


def test_late_instances_make_a_second_job_that_says_its_revision(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    send(little[:7], quick_node.port)
    quick_node.wait_settled(1)
    send(little[7:], quick_node.port)
    wait_until(lambda: len(quick_node.jobs()) == 2, what="a second job")
    jobs = quick_node.wait_settled(2)
    assert {job["instances"] for job in jobs} == {7, len(little)}
    reports = [found for found in archive.received if found.Modality == "SR"]
    assert len({str(found.SOPInstanceUID) for found in reports}) == 2
    assert any("rev 2" in str(found.SeriesDescription) for found in reports)


def test_content_that_comes_back_after_another_supersedes_it(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    other = deepcopy(little)
    for dataset in other:
        dataset.ImageComments = "the same instances with other content"
    for count, content in enumerate((little, other, little), start=1):
        send(content, quick_node.port)
        wait_until(partial(has_settled, quick_node, count), what=f"job {count}")
    latest, second, first = quick_node.jobs()
    assert [job["revision"] for job in (first, second, latest)] == [1, 2, 3]
    reports = [found for found in archive.received if found.Modality == "SR"]
    assert len({str(found.SOPInstanceUID) for found in reports}) == 3
    (predecessor,) = reports[2].PredecessorDocumentsSequence
    (series,) = predecessor.ReferencedSeriesSequence
    (replaced,) = series.ReferencedSOPSequence
    assert replaced.ReferencedSOPInstanceUID == reports[1].SOPInstanceUID
    assert "rev 3" in reports[2].SeriesDescription


def test_a_node_stopped_during_an_analysis_ends_in_time_and_goes_on_later(
    quick_node: Node, archive: Archive, little: Series, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    held.touch()
    send(little, quick_node.port)
    wait_until(
        lambda: any(row["event"] == "job_started" for row in quick_node.events()),
        what="the analysis begins",
    )
    start = time.monotonic()
    assert quick_node.stop() == 0
    assert time.monotonic() - start < 10  # the promise of the command line again
    assert "process_killed" not in {row["event"] for row in quick_node.events()}
    held.unlink()
    quick_node.start()
    assert_results_arrived_once(quick_node, archive)


def test_one_worker_ends_what_two_had_begun_when_the_node_was_killed(
    quick_node: Node, archive: Archive, little: Series, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    held.touch()
    quick_node.stop()
    quick_node.settings["work"] = {"processes": 2}
    quick_node.start()
    other = fresh(little)
    send([*little, *other], quick_node.port)

    def both_run() -> bool:
        rows = [row for row in quick_node.events() if row["event"] == "job_started"]
        return len({row["job_id"] for row in rows}) == 2

    wait_until(both_run, what="both analyses begin")
    quick_node.kill()
    held.unlink()
    quick_node.settings["work"] = {"processes": 1}
    quick_node.start()
    jobs = quick_node.wait_settled(2)
    assert [job["state"] for job in jobs] == ["done", "done"]
    for series in (little, other):
        assert len(archive.results_of(series)) == len(archive.received) / 2


def test_sigterm_ends_the_node_within_ten_seconds(quick_node: Node) -> None:
    start = time.monotonic()
    assert quick_node.stop() == 0
    # A promise of the command line, not a measurement.
    assert time.monotonic() - start < 10
    # Python's own resource tracker ends by itself, once it sees that the node has.
    wait_until(lambda: quick_node.processes_left() == [], what="no process is left")
