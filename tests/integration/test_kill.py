"""kill -9 at each stage: after a restart the results arrive, once."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicom_node.jobs.dead_worker import MAX_LOSSES
from dicom_node.records import Completion
from tests.support import phantom_plugin, variants
from tests.support.frozen import freeze
from tests.support.node_process import Node, node_for
from tests.support.peers import WITHIN_S, Archive, send, wait_until
from tests.support.variants import Series, fresh

DEATHS = 2
"""Twelve are told of in `docs/reliability.md`."""
STOPS_WITHIN_S = 10
"""A promise of the command line."""


@pytest.fixture(scope="module")
def bundled(demo_series: Path) -> Series:
    return variants.read_bundled(demo_series)


@pytest.fixture
def little(bundled: Series) -> Series:
    """Return a series for the toy analysis, which takes no time."""
    return variants.small(bundled)


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that holds every analysis of the toy while it exists."""
    return tmp_path_factory.mktemp("held") / "held"


@pytest.fixture(scope="module")
def toy_node(
    tmp_path_factory: pytest.TempPathFactory, archive: Archive, held: Path
) -> Iterator[Node]:
    """Return a node whose analysis is the toy; each test sends series of its own."""
    folder = tmp_path_factory.mktemp("toy")
    installed = phantom_plugin.make_installed(folder / "installed")
    node = node_for(
        folder,
        archive,
        analysis=phantom_plugin.NAME,
        environment={**installed, "PHANTOM_HELD": str(held)},
    )
    with node:
        yield node


@pytest.fixture
def quick_node(toy_node: Node, archive: Archive, held: Path) -> Node:
    """Return the node as if no test had been before, but for what it has done."""
    held.unlink(missing_ok=True)
    archive.abort_at, archive.requests = None, 0
    toy_node.settings["series"]["max_wait_s"] = 60
    if toy_node.process.poll() is not None:
        toy_node.start()
    return toy_node


def events_of(node: Node, event: str, series: Series) -> list[dict[str, Any]]:
    """Return what the node logged under a name about a series."""
    uid = str(series[0].SeriesInstanceUID)
    return [
        row
        for row in node.events()
        if row["event"] == event and row.get("series_uid") == uid
    ]


def jobs_of(node: Node, series: Series, *, settled: int) -> list[dict[str, Any]]:
    """Return the jobs of a series, the latest first, once so many are settled."""
    return node.settled_jobs_of(str(series[0].SeriesInstanceUID), settled)


def wait_begun(node: Node, *many: Series, times: int = 1) -> None:
    """Return once the analysis of each series has begun so many times."""
    wait_until(
        lambda: all(len(events_of(node, "job_started", one)) >= times for one in many),
        what=f"the analysis begins, time {times}",
    )


def results_of(archive: Archive, series: Series) -> list[Dataset]:
    """Return each result of a series that the archive has seen, in order, once.

    A delivery that was cut off is repeated with the same objects.
    """
    found = {str(one.SOPInstanceUID): one for one in archive.results_of(series)}
    return list(found.values())


def assert_results_arrived_once(
    node: Node, archive: Archive, series: Series
) -> dict[str, Any]:
    """Check that one job is done and that no object came as two."""
    (job,) = jobs_of(node, series, settled=1)
    assert (job["state"], job["instances"]) == ("done", len(series))
    results = results_of(archive, series)
    kinds = Counter(str(found.SOPClassUID.name) for found in results)
    assert {"Segmentation Storage", "Comprehensive 3D SR Storage"} <= set(kinds)
    assert kinds["Segmentation Storage"] == kinds["Comprehensive 3D SR Storage"] == 1
    distinct = {(str(f.Modality), str(f.SeriesInstanceUID)) for f in results}
    assert len(distinct) == len({modality for modality, _ in distinct})
    return job


def assert_stops_in_time(node: Node) -> None:
    """Check that SIGTERM ends the node as the command line promises, and all of it."""
    assert node.stop() == 0
    assert node.stop_took_s() < STOPS_WITHIN_S
    # Python's own resource tracker ends by itself, once it sees that the node has.
    wait_until(lambda: node.processes_left() == [], what="no process is left")


def test_the_worker_dies_during_the_analysis(
    quick_node: Node, archive: Archive, little: Series, held: Path
) -> None:
    held.touch()
    send(little, quick_node.port)
    wait_begun(quick_node, little)
    for worker in quick_node.workers():
        worker.send_signal(signal.SIGKILL)
    wait_begun(quick_node, little, times=2)
    held.unlink()
    assert_results_arrived_once(quick_node, archive, little)
    assert len(events_of(quick_node, "job_started", little)) == 2
    assert quick_node.process.poll() is None


def test_the_node_dies_with_a_series_at_every_stage(
    quick_node: Node, archive: Archive, little: Series, held: Path
) -> None:
    delivered, analysed, whole, half = (fresh(little) for _ in range(4))
    archive.abort_at = 2
    send(delivered, quick_node.port)
    wait_until(lambda: archive.requests >= 2, what="delivery begins")
    held.touch()
    send(analysed, quick_node.port)
    wait_begun(quick_node, analysed)
    send(whole, quick_node.port)
    send(half[:5], quick_node.port, release=False)
    kill_supervisor(quick_node)

    archive.abort_at = None
    held.unlink()
    # Nobody knows whether the sender would have sent more of the one that is whole.
    quick_node.settings["series"]["max_wait_s"] = 3
    quick_node.start()
    send(half[5:], quick_node.port)
    for series in (delivered, analysed, whole):
        assert_results_arrived_once(quick_node, archive, series)
    # Whole, or in two revisions when the first half was called complete meanwhile.
    uid = str(half[0].SeriesInstanceUID)
    assert quick_node.settled_whole(uid, len(half))["state"] == "done"


def kill_supervisor(node: Node) -> None:
    """Kill the supervisor of frozen children: they go with it, and leave the port."""
    started = {row["pid"] for row in node.events() if row["event"] == "process_started"}
    for process in node.processes():
        if process.pid in started:
            freeze(process.pid)
    node.process.kill()
    node.process.wait(WITHIN_S)
    wait_until(lambda: node.processes_left() == [], what="no process is left")


def test_the_node_dies_again_and_again_during_the_analysis(
    quick_node: Node, archive: Archive, little: Series, held: Path
) -> None:
    # A machine that reboots again and again: no death is the fault of the series,
    # though a single death of its worker alone would be one too many here.
    held.touch()
    send(little, quick_node.port)
    wait_begun(quick_node, little)
    (begun,) = events_of(quick_node, "job_started", little)
    quick_node.count_deaths(begun["job_id"], MAX_LOSSES)
    for death in range(1, DEATHS + 1):
        wait_begun(quick_node, little, times=death)
        quick_node.kill()
        if death == DEATHS:
            held.unlink()
        quick_node.start(wait=False)
    assert_results_arrived_once(quick_node, archive, little)


def test_a_peer_that_is_down_gets_its_results_when_it_comes_up(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    archive.stop()
    send(little, quick_node.port)

    def is_delivering() -> bool:
        uid = str(little[0].SeriesInstanceUID)
        states = {row["series_uid"]: row["state"] for row in quick_node.jobs()}
        return states.get(uid) == "delivering"

    wait_until(is_delivering, what="delivery begins")
    archive.start()
    assert_results_arrived_once(quick_node, archive, little)


def test_late_instances_make_a_second_job_that_says_its_revision(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    send(little[:7], quick_node.port)
    jobs_of(quick_node, little, settled=1)
    send(little[7:], quick_node.port)
    jobs = jobs_of(quick_node, little, settled=2)
    assert [job["instances"] for job in jobs] == [len(little), 7]
    reports = [found for found in results_of(archive, little) if found.Modality == "SR"]
    assert len(reports) == 2
    assert "rev 2" in str(reports[1].SeriesDescription)


def test_content_that_comes_back_after_another_supersedes_it(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    other = deepcopy(little)
    for dataset in other:
        dataset.ImageComments = "the same instances with other content"
    for count, content in enumerate((little, other, little), start=1):
        send(content, quick_node.port)
        jobs_of(quick_node, little, settled=count)
    latest, second, first = jobs_of(quick_node, little, settled=3)
    assert [job["revision"] for job in (first, second, latest)] == [1, 2, 3]
    reports = [found for found in results_of(archive, little) if found.Modality == "SR"]
    assert len(reports) == 3
    (predecessor,) = reports[2].PredecessorDocumentsSequence
    (series,) = predecessor.ReferencedSeriesSequence
    (replaced,) = series.ReferencedSOPSequence
    assert replaced.ReferencedSOPInstanceUID == reports[1].SOPInstanceUID
    assert "rev 3" in reports[2].SeriesDescription


def test_a_node_stopped_during_an_analysis_ends_in_time_and_goes_on_later(
    quick_node: Node, archive: Archive, little: Series, held: Path
) -> None:
    held.touch()
    send(little, quick_node.port)
    wait_begun(quick_node, little)
    told = len(quick_node.events())
    assert_stops_in_time(quick_node)
    assert "process_killed" not in {row["event"] for row in quick_node.events()[told:]}
    held.unlink()
    quick_node.start()
    assert_results_arrived_once(quick_node, archive, little)


def test_a_node_stopped_before_a_series_is_quiet_does_not_wait_for_its_sender(
    quick_node: Node, archive: Archive, little: Series
) -> None:
    quiet_s = quick_node.settings["series"]["quiet_s"]
    try:
        assert_stops_in_time(quick_node)
        quick_node.settings["series"]["quiet_s"] = 5
        quick_node.start()
        send(little, quick_node.port)
        assert_stops_in_time(quick_node)
        assert not events_of(quick_node, "series_complete", little)
        quick_node.start()
        assert_results_arrived_once(quick_node, archive, little)
    finally:
        # Others hold an analysis, which may not begin while the series is quiet.
        quick_node.settings["series"]["quiet_s"] = quiet_s
        quick_node.stop()
        quick_node.start()
    (complete,) = events_of(quick_node, "series_complete", little)
    assert complete["completion"] == Completion.RELEASED_AND_QUIET.value


def test_one_worker_ends_what_two_had_begun_when_the_node_was_killed(
    quick_node: Node, archive: Archive, little: Series, held: Path
) -> None:
    assert_stops_in_time(quick_node)  # idle
    held.touch()
    quick_node.settings["work"] = {"processes": 2}
    quick_node.start()
    other = fresh(little)
    send([*little, *other], quick_node.port)
    wait_begun(quick_node, little, other)
    quick_node.kill()
    held.unlink()
    quick_node.settings["work"] = {"processes": 1}
    quick_node.start()
    jobs = [assert_results_arrived_once(quick_node, archive, little)]
    jobs.append(assert_results_arrived_once(quick_node, archive, other))
    assert len({job["id"] for job in jobs}) == 2
