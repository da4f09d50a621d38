"""Triage as a durable workflow: real processes, a real database, real kill -9."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.errors import JobStateError
from dicom_node.jobs.dbos_setup import open_client
from dicom_node.jobs.dead_worker import MAX_LOSSES, Cause
from dicom_node.jobs.job_state import last_attempt
from dicom_node.jobs.triage_order import TriageOrder, attempt_of
from dicom_node.records import JobRow, JobState
from tests.support.peers import wait_until
from tests.support.toy_worker import Toy, toy_job


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """One worker for every test that does not kill it; each has its own series."""
    toy = Toy(tmp_path_factory.mktemp("running"))
    toy.start()
    yield toy
    toy.close()


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    toy = Toy(tmp_path)
    yield toy
    toy.close()


def order(name: str, folder: Path) -> TriageOrder:
    """Return the order to look at a series of one file, called by a name."""
    path = folder / f"{name}.dcm"
    path.touch()
    return TriageOrder(series=toy_job(name, paths=[path]).series)


def rows_of(toy: Toy, name: str) -> list[JobRow]:
    return [row for row in toy.queue.list() if row.digest == name]


def test_a_series_is_looked_at_once_and_its_job_takes_its_place(
    running: Toy, tmp_path: Path
) -> None:
    asked = order("plain", tmp_path)
    running.queue.enqueue_triage(asked)
    running.queue.enqueue_triage(asked)
    wait_until(
        lambda: [row.state for row in rows_of(running, "plain")] == [JobState.DONE],
        what="the job is done, and the only row of its series",
    )
    done = running.done()
    assert (done["triage plain"], done["analyse plain"]) == (1, 1)
    assert running.queue.show(asked.id).id == "plain"


def test_a_series_that_kills_its_worker_fails_and_the_others_go_on(
    toy: Toy, tmp_path: Path
) -> None:
    poison, good = order("bad", tmp_path), order("good", tmp_path)
    toy.has("poison-bad")
    toy.queue.enqueue_triage(poison)
    for _ in range(MAX_LOSSES - 1):  # the last two deaths are real
        toy.queue.lost_work.count(str(poison.workflow_id), Cause.WORKER_CRASHED)

    def given_up() -> bool:
        toy.tend()
        return toy.queue.show(poison.id).state is JobState.FAILED

    wait_until(given_up, what="the series is given up")
    row = toy.queue.show(poison.id)
    assert row.reason.startswith("worker_crashed: ")
    assert row.series_uid == poison.series.series_uid
    assert toy.done()["triage bad"] == 2
    assert [line["state"] for line in toy.events("job_settled")] == ["failed"]
    toy.queue.enqueue_triage(good)
    assert toy.settled(good.id).state is JobState.DONE
    # The cause is mended, and an operator asks for another try.
    toy.has_not("poison-bad")
    assert toy.queue.retry(poison.id, results_kept=False).state is not JobState.FAILED
    assert toy.settled(poison.id).state is JobState.DONE
    assert toy.queue.show(poison.id).id == "bad"


def test_what_waits_for_another_series_survives_a_restart_and_can_be_cancelled(
    toy: Toy, tmp_path: Path
) -> None:
    early, never = order("first", tmp_path), order("never", tmp_path)
    for one in (early, never):
        toy.has(f"early-{one.series.digest}")
        toy.queue.enqueue_triage(one)
    toy.start()
    toy.wait_done("triage first", times=2)
    row = toy.reaches(early.id, JobState.WAITING)
    assert row.id == early.id
    assert "waits for another" in row.reason
    toy.kill()
    toy.has_not("early-first")
    toy.start()
    assert toy.settled(early.id).state is JobState.DONE
    assert toy.queue.cancel(never.id).state is JobState.CANCELLED
    assert [row.state for row in rows_of(toy, "never")] == [JobState.CANCELLED]


def test_what_waits_for_too_long_is_a_failure_that_can_be_begun_again(
    tmp_path: Path,
) -> None:
    toy = Toy(tmp_path, is_hasty=True)
    try:
        asked = order("stuck", tmp_path)
        toy.has("early-stuck")
        toy.queue.enqueue_triage(asked)
        toy.start()
        row = toy.settled(asked.id)
        assert row.state is JobState.FAILED
        assert re.fullmatch(
            r"machine-trouble: given up after \S+ seconds and \d attempts: "
            "waits for another series",
            row.reason,
        )
        toy.has_not("early-stuck")
        toy.queue.retry(asked.id, results_kept=False)
        assert toy.settled(asked.id).state is JobState.DONE
    finally:
        toy.close()


def test_what_waits_for_long_leaves_few_attempts_in_the_database(
    running: Toy, tmp_path: Path
) -> None:
    asked = order("lasting", tmp_path)
    running.has("early-lasting")
    running.queue.enqueue_triage(asked)
    running.wait_done("triage lasting", times=5)
    running.has_not("early-lasting")
    running.settled(asked.id)
    client = open_client(running.url)
    try:
        left = client.list_workflows(workflow_id_prefix=asked.id)
    finally:
        client.destroy()
    # The first, by which the order is known, and those that may still be ending.
    assert len(left) <= 4
    assert attempt_of(last_attempt(left).workflow_id) > 5


def test_a_settled_job_is_looked_at_again_on_request(
    running: Toy, tmp_path: Path
) -> None:
    asked = order("again", tmp_path)
    running.queue.enqueue_triage(asked)
    running.settled(asked.id)
    looked = running.queue.rerun("again")
    running.settled(looked.id)
    done = running.done()
    # The second look arrives at the job that was there.
    assert (done["triage again"], done["analyse again"]) == (2, 1)
    assert [row.id for row in rows_of(running, "again")] == ["again"]


def test_a_job_that_is_not_settled_is_not_looked_at_again(
    running: Toy, tmp_path: Path
) -> None:
    running.has("early-patient")
    asked = order("patient", tmp_path)
    running.queue.enqueue_triage(asked)
    with pytest.raises(JobStateError, match="nothing to re-run"):
        running.queue.rerun(asked.id)


def test_of_the_failures_of_one_content_the_last_one_is_shown(
    running: Toy, tmp_path: Path
) -> None:
    running.has("broken-twice")
    asked = order("twice", tmp_path)
    for occasion in ("", "came again"):
        again = replace(asked, occasion=occasion)
        running.queue.enqueue_triage(again)
        assert running.settled(again.id).reason == "broken: is broken"
    (row,) = rows_of(running, "twice")
    assert row.state is JobState.FAILED
