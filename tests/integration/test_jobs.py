"""Jobs as durable workflows: real processes, a real database, real kill -9."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from dbos import EnqueueOptions

from dicom_node.errors import JobNotFoundError, JobStateError
from dicom_node.jobs import dbos_setup, workflow_names
from dicom_node.jobs.dbos_setup import open_client
from dicom_node.jobs.dead_worker import MAX_LOSSES, Cause
from dicom_node.jobs.queue import JobQueue
from dicom_node.record_codec import to_record
from dicom_node.records import JobState
from tests.support.frozen import freeze
from tests.support.peers import wait_until
from tests.support.small_disk import fill, small_disk
from tests.support.toy_worker import (
    GIVE_UP_AFTER_S,
    HASTY_TRIES,
    PAUSE_S,
    Toy,
    toy_job,
)

YEAR_S = 365 * 86400.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """One worker for every test that does not kill it; each has its own job."""
    toy = Toy(tmp_path_factory.mktemp("running"))
    toy.start()
    yield toy
    toy.close()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    """One worker that gives up within seconds what fails."""
    toy = Toy(tmp_path_factory.mktemp("hasty"), is_hasty=True)
    toy.start()
    yield toy
    toy.close()


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    toy = Toy(tmp_path)
    yield toy
    toy.close()


def test_a_job_is_analysed_encoded_and_delivered_to_each_peer_once(
    running: Toy,
) -> None:
    running.queue.enqueue(toy_job("plain"))
    running.queue.enqueue(toy_job("plain"))
    row = running.settled("plain")
    assert row.state is JobState.DONE
    assert dict(row.deliveries) == {"alpha": "stored", "beta": "stored"}
    done = {line: n for line, n in running.done().items() if " plain" in line}
    assert done == {
        "analyse plain": 1,
        "encode plain": 1,
        "deliver plain alpha": 1,
        "stored plain alpha": 1,
        "deliver plain beta": 1,
        "stored plain beta": 1,
    }
    running.queue.enqueue(toy_job("plain"))
    assert running.queue.show("plain").state is JobState.DONE


def test_results_are_sent_once_more_to_one_peer_or_to_all(running: Toy) -> None:
    running.queue.enqueue(toy_job("once"))
    running.settled("once")
    for peer, sent in (("beta", (1, 2)), (None, (2, 3))):
        assert running.queue.resend("once", peer=peer).state is JobState.DELIVERING
        row = running.settled("once")
        assert row.state is JobState.DONE
        done = running.done()
        # Those who hold the results already are sent all of them again.
        assert (done["stored once alpha"], done["stored once beta"]) == sent
    assert done["analyse once"] == 1
    with pytest.raises(JobStateError, match="is done: nothing to resend"):
        running.queue.resend("once", peer="gamma")


def test_a_rejected_job_ends_at_once_beside_one_that_runs(running: Toy) -> None:
    running.has("slow-long")
    running.queue.enqueue(toy_job("long"))
    running.wait_done("analyse long")
    running.queue.enqueue(toy_job("ct", rejection=("not_mr", "modality CT")))
    row = running.settled("ct")
    assert (row.state, row.reason) == (JobState.REJECTED, "not_mr: modality CT")
    assert running.queue.show("long").state is JobState.RUNNING
    running.has_not("slow-long")


def test_a_worker_killed_during_the_analysis_begins_it_anew(toy: Toy) -> None:
    toy.has("slow-one")
    toy.queue.enqueue(toy_job("one"))
    toy.start()
    toy.wait_done("analyse one")
    toy.kill()
    toy.has_not("slow-one")
    toy.start()
    assert toy.settled("one").state is JobState.DONE
    done = toy.done()
    assert (done["analyse one"], done["encode one"], done["stored one alpha"]) == (
        2, 1, 1,
    )  # fmt: skip


def test_a_worker_killed_during_the_delivery_does_not_analyse_again(toy: Toy) -> None:
    toy.queue.enqueue(toy_job("one"))
    toy.has("down-beta-one")
    toy.start()
    toy.wait_done("encode one")
    toy.has("slow-one")
    toy.has_not("down-beta-one")
    wait_until(
        lambda: toy.queue.show("one").state is JobState.DELIVERING,
        what="delivery",
    )
    toy.kill()
    toy.has_not("slow-one")
    toy.start()
    assert toy.settled("one").state is JobState.DONE
    assert (toy.done()["analyse one"], toy.done()["encode one"]) == (1, 1)


def test_a_peer_that_is_down_delays_no_other_and_is_served_when_it_is_up(
    running: Toy,
) -> None:
    running.has("down-beta-delayed")
    running.queue.enqueue(toy_job("delayed"))
    running.wait_done("stored delayed alpha")
    running.reaches("delayed", JobState.DELIVERING)
    running.has_not("down-beta-delayed")
    assert running.settled("delayed").state is JobState.DONE
    assert running.done()["deliver delayed alpha"] == 1


def test_a_peer_that_is_slow_gets_the_results_of_a_second_job_beside_the_first(
    running: Toy,
) -> None:
    running.has("held-beta")
    for name in ("busy-1", "busy-2"):
        running.queue.enqueue(toy_job(name))
        running.wait_done(f"deliver {name} beta")
        running.wait_done(f"stored {name} alpha")
    running.reaches("busy-1", JobState.DELIVERING)
    running.has_not("held-beta")
    for name in ("busy-1", "busy-2"):
        assert running.settled(name).state is JobState.DONE


def test_a_delivery_is_given_up_at_an_age_and_a_retry_sends_the_rest_only(
    hasty: Toy,
) -> None:
    hasty.has("down-beta-hopeless")
    hasty.queue.enqueue(toy_job("hopeless"))
    row = hasty.settled("hopeless")
    assert row.state is JobState.FAILED
    attempts = hasty.done()["deliver hopeless beta"]
    assert 1 < attempts <= 1 + (GIVE_UP_AFTER_S + PAUSE_S) / PAUSE_S
    assert re.fullmatch(
        rf"beta: down: given up after \S+ \w+ and {attempts} attempts: is down",
        row.reason,
    )
    # Of the attempts that failed, the last ones tell it all.
    assert len(hasty.attempts("hopeless", "beta")) <= 2

    hasty.has_not("down-beta-hopeless")
    assert hasty.queue.retry("hopeless", results_kept=True).state is JobState.DELIVERING
    assert hasty.settled("hopeless").state is JobState.DONE
    done = hasty.done()
    assert (done["analyse hopeless"], done["deliver hopeless alpha"]) == (1, 1)


def test_a_delivery_that_was_put_off_by_a_wrong_clock_is_not_put_off_for_a_year(
    toy: Toy,
) -> None:
    toy.has("down-beta-dated")
    toy.queue.enqueue(toy_job("dated"))
    toy.start()
    toy.wait_done("deliver dated beta", times=2)
    toy.kill()
    toy.has_not("down-beta-dated")
    with closing(sqlite3.connect(toy.folder / "jobs.sqlite")) as database, database:
        database.execute(
            "UPDATE workflow_status SET delay_until_epoch_ms = ?, status = 'DELAYED' "
            "WHERE name = 'delivery' AND status IN ('DELAYED', 'ENQUEUED', 'PENDING')",
            (round((time.time() + YEAR_S) * 1000),),
        )
    assert toy.queue.show("dated").state is JobState.DELIVERING
    toy.start()
    assert toy.settled("dated").state is JobState.DONE


def test_a_delivery_that_began_by_a_wrong_clock_is_given_up_all_the_same(
    hasty: Toy,
) -> None:
    hasty.has("down-beta-early")
    job = to_record(toy_job("early"))
    client = open_client(hasty.url)
    try:
        options: EnqueueOptions = {
            "workflow_name": workflow_names.DELIVERY,
            "queue_name": dbos_setup.DELIVERIES,
            "queue_partition_key": "beta",
            "workflow_id": "early:beta:1",
        }
        client.enqueue(options, job, "beta", 1, [], time.time() + YEAR_S)
        hasty.wait_done("deliver early beta", times=2)
        wait_until(
            lambda: any(
                one["job_id"] == "early" and "given up after" in one["reason"]
                for one in hasty.events("delivery_attempted")
            ),
            within_s=10 * GIVE_UP_AFTER_S,
            what="the delivery is given up",
        )
    finally:
        client.destroy()


def test_what_a_peer_lacks_is_found_by_its_name_and_can_be_given_up(
    running: Toy,
) -> None:
    for name in ("lacking-1", "lacking-2"):
        running.has(f"refusing-beta-{name}")
        running.queue.enqueue(toy_job(name))
        assert running.settled(name).state is JobState.FAILED
    lacking = {row.id for row in running.queue.lacking("beta")}
    assert {"lacking-1", "lacking-2"} <= lacking
    assert {row.id for row in running.queue.lacking("alpha")}.isdisjoint(lacking)
    running.queue.cancel("lacking-1")
    assert running.queue.show("lacking-1").state is JobState.CANCELLED
    assert "lacking-1" not in {row.id for row in running.queue.lacking("beta")}
    running.has_not("refusing-beta-lacking-1")
    running.queue.retry("lacking-1", results_kept=True)
    assert running.settled("lacking-1").state is JobState.DONE


def test_a_retry_for_one_peer_sends_nothing_to_another_that_lacks_results(
    running: Toy,
) -> None:
    for peer in ("alpha", "beta"):
        running.has(f"refusing-{peer}-both")
    running.queue.enqueue(toy_job("both"))
    assert running.settled("both").state is JobState.FAILED
    running.has_not("refusing-beta-both")
    running.queue.retry("both", results_kept=True, peer="beta")
    running.wait_done("stored both beta 1.1")
    running.has_not("refusing-alpha-both")
    running.queue.retry("both", results_kept=False, peer="alpha")
    assert running.settled("both").state is JobState.DONE
    done = running.done()
    assert (done["deliver both alpha"], done["deliver both beta"]) == (2, 2)


def test_a_peer_that_refused_is_retried_while_another_is_waited_for(
    running: Toy,
) -> None:
    running.has("refusing-alpha-halved")
    running.has("down-beta-halved")
    running.queue.enqueue(toy_job("halved"))
    running.wait_done("deliver halved alpha")
    wait_until(
        lambda: "halved" in {row.id for row in running.queue.lacking("alpha")},
        what="alpha lacks it",
    )
    assert running.queue.show("halved").state is JobState.DELIVERING
    assert "halved" not in {row.id for row in running.queue.lacking("beta")}
    running.has_not("refusing-alpha-halved")
    running.queue.retry("halved", results_kept=True, peer="alpha")
    running.has_not("down-beta-halved")
    assert running.settled("halved").state is JobState.DONE


def test_a_machine_that_is_short_of_something_is_waited_for(running: Toy) -> None:
    running.has("short-for-a-while")
    running.queue.enqueue(toy_job("for-a-while"))
    running.wait_done("encode for-a-while", times=2)
    running.has_not("short-for-a-while")
    assert running.settled("for-a-while").state is JobState.DONE
    assert running.done()["analyse for-a-while"] == 1


def test_a_machine_that_is_short_of_something_for_too_long_is_given_up(
    hasty: Toy,
) -> None:
    hasty.has("short-for-good")
    hasty.queue.enqueue(toy_job("for-good"))
    row = hasty.settled("for-good")
    assert (row.state, row.reason) == (JobState.FAILED, "short: no disk")
    assert hasty.done()["encode for-good"] == HASTY_TRIES + 1
    assert hasty.done()["analyse for-good"] == 1


def test_another_job_is_done_while_the_machine_is_short_of_something_for_one(
    running: Toy,
) -> None:
    running.has("short-starved")
    running.queue.enqueue(toy_job("starved"))
    running.wait_done("encode starved")
    running.queue.enqueue(toy_job("served"))
    running.wait_done("stored served alpha")
    assert running.queue.show("starved").state is not JobState.FAILED
    running.has_not("short-starved")
    assert running.settled("starved").state is JobState.DONE
    assert running.done()["analyse starved"] == 1


@pytest.mark.parametrize("step", ["analyse", "deliver"])
def test_a_database_that_is_full_within_a_step_fails_no_job(
    running: Toy, step: str
) -> None:
    job_id = f"full-{step}"
    running.has(f"full-{step}-{job_id}")
    running.queue.enqueue(toy_job(job_id))
    assert running.tended_until_settled(job_id).state is JobState.DONE


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: cannot mount a small disk")
def test_a_job_whose_step_cannot_be_recorded_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "small") as disk:
        toy = Toy(tmp_path, url=f"sqlite:///{disk / 'jobs.sqlite'}")
        try:
            toy.has("slow-one")
            toy.queue.enqueue(toy_job("one"))
            toy.start()
            toy.wait_done("analyse one")
            fill(disk)
            pid = toy.worker.child.pid
            toy.has_not("slow-one")
            wait_until(lambda: not toy.worker.child.is_alive, what="it gives way")
            (disk / "filler").unlink()
            assert toy.tended_until_settled("one").state is JobState.DONE
            assert toy.worker.child.pid != pid
        finally:
            toy.close()


def test_a_refusal_is_not_tried_again_but_a_retry_sends_what_is_missing(
    running: Toy,
) -> None:
    running.has("refusing-beta-refused")
    running.queue.enqueue(toy_job("refused"))
    row = running.settled("refused")
    assert (row.state, row.reason) == (JobState.FAILED, "beta: refused: no SEG")
    assert running.done()["deliver refused beta"] == 1
    running.has_not("refusing-beta-refused")
    running.queue.retry("refused", results_kept=True)
    assert running.settled("refused").state is JobState.DONE
    assert running.done()["stored refused beta 1.1"] == 1


def test_a_retry_without_results_makes_them_anew_for_the_peer_that_lacks_them(
    running: Toy,
) -> None:
    running.has("refusing-beta-anew")
    running.queue.enqueue(toy_job("anew"))
    running.settled("anew")
    running.has_not("refusing-beta-anew")
    running.queue.retry("anew", results_kept=False)
    assert running.settled("anew").state is JobState.DONE
    done = running.done()
    assert (done["analyse anew"], done["deliver anew alpha"]) == (2, 1)


def test_a_failed_job_is_retried_from_its_beginning_and_a_done_one_not_at_all(
    running: Toy,
) -> None:
    running.has("broken-broken")
    running.queue.enqueue(toy_job("broken"))
    row = running.settled("broken")
    assert (row.state, row.reason) == (JobState.FAILED, "broken: is broken")
    running.has_not("broken-broken")
    running.queue.retry("broken", results_kept=False)
    assert running.settled("broken").state is JobState.DONE
    with pytest.raises(JobStateError, match="done: nothing to retry"):
        running.queue.retry("broken", results_kept=True)


def test_a_job_that_kills_its_worker_is_given_up_and_the_others_go_on(
    toy: Toy,
) -> None:
    toy.has("poison-bad")
    toy.queue.enqueue(toy_job("bad"))
    toy.queue.enqueue(toy_job("good"))
    for _ in range(MAX_LOSSES - 1):  # the last two deaths are real
        toy.queue.lost_work.count("bad", Cause.WORKER_CRASHED)
    settled = {JobState.DONE, JobState.FAILED}

    def both_settled() -> bool:
        toy.tend()
        return {toy.queue.show("bad").state, toy.queue.show("good").state} <= settled

    wait_until(both_settled, what="both jobs settle")
    bad = toy.queue.show("bad")
    assert bad.state is JobState.FAILED
    assert bad.reason.startswith(f"worker_crashed: the worker ended {MAX_LOSSES + 1} ")
    assert toy.done()["analyse bad"] == 2
    assert toy.queue.show("good").state is JobState.DONE
    settled_lines = {row["job_id"]: row["state"] for row in toy.events("job_settled")}
    assert settled_lines == {"bad": "failed", "good": "done"}


def test_a_job_that_takes_too_long_fails_and_a_retry_begins_its_count_anew(
    toy: Toy,
) -> None:
    toy.has("slow-endless")
    toy.queue.enqueue(toy_job("endless"))
    for _ in range(MAX_LOSSES):
        toy.queue.lost_work.count("endless", Cause.TIMED_OUT)
    toy.start()
    toy.wait_done("analyse endless")
    pid = toy.worker.child.pid
    toy.worker.tend(time.monotonic() + toy.time_limit_s + 1)
    row = toy.tended_until_settled("endless")
    assert toy.worker.child.pid != pid
    assert row.state is JobState.FAILED
    assert row.reason.startswith("timed_out: ")
    toy.has_not("slow-endless")
    toy.queue.retry("endless", results_kept=False)
    assert toy.tended_until_settled("endless").state is JobState.DONE


def test_a_running_analysis_ends_when_its_job_is_cancelled_and_the_next_one_runs(
    toy: Toy,
) -> None:
    toy.has("slow-unwanted")
    toy.queue.enqueue(toy_job("unwanted"))
    toy.queue.enqueue(toy_job("next"))
    toy.start()
    toy.wait_done("analyse unwanted")
    pid = toy.worker.child.pid
    toy.queue.cancel("unwanted")
    cancelled_s = time.monotonic()
    for later_s in (2, 10):  # by the clock of the supervisor
        assert toy.worker.child.is_alive
        toy.worker.tend(cancelled_s + later_s)
    wait_until(lambda: not toy.worker.child.is_alive, what="the worker ends")
    assert toy.tended_until_settled("next").state is JobState.DONE
    assert toy.worker.child.pid != pid
    assert toy.queue.show("unwanted").state is JobState.CANCELLED
    assert toy.done()["analyse unwanted"] == 1


def test_a_worker_that_was_stopped_and_says_nothing_is_replaced(toy: Toy) -> None:
    toy.has("slow-one")
    toy.queue.enqueue(toy_job("one"))
    toy.start()
    toy.wait_done("analyse one")
    toy.tend()
    assert toy.worker.child.pid is not None
    freeze(toy.worker.child.pid)
    toy.has_not("slow-one")
    a_while_later_s = time.monotonic() + 120
    assert a_while_later_s - time.monotonic() < toy.time_limit_s
    toy.worker.tend(a_while_later_s)
    assert toy.tended_until_settled("one").state is JobState.DONE


def test_a_cancelled_job_is_not_begun_by_enqueueing_it_again(toy: Toy) -> None:
    toy.queue.enqueue(toy_job("one"))
    assert toy.queue.cancel("one").state is JobState.CANCELLED
    toy.queue.enqueue(toy_job("one"))
    toy.queue.enqueue(toy_job("two"))
    toy.start()
    assert toy.settled("two").state is JobState.DONE
    assert toy.queue.show("one").state is JobState.CANCELLED
    assert toy.done()["analyse one"] == 0
    toy.queue.retry("one", results_kept=False)
    assert toy.settled("one").state is JobState.DONE


def test_a_delivery_that_waits_for_its_peer_can_be_cancelled(running: Toy) -> None:
    running.has("down-alpha-patient")
    running.has("down-beta-patient")
    running.queue.enqueue(toy_job("patient"))
    running.wait_done("deliver patient beta")
    running.reaches("patient", JobState.DELIVERING)
    assert running.queue.cancel("patient").state is JobState.CANCELLED
    with pytest.raises(JobStateError, match="cancelled: nothing to cancel"):
        running.queue.cancel("patient")


def test_an_attempt_that_is_queued_during_a_cancellation_is_cancelled_too(
    running: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sequence[str]] = []
    listed = JobQueue._parts

    def at_first_too_early(queue: JobQueue, job_id: str) -> Sequence[str]:
        seen.append(listed(queue, job_id))
        return seen[-1] if len(seen) > 1 else []

    running.has("down-alpha-late")
    running.has("down-beta-late")
    running.queue.enqueue(toy_job("late"))
    running.reaches("late", JobState.DELIVERING)
    monkeypatch.setattr(JobQueue, "_parts", at_first_too_early)
    assert running.queue.cancel("late").state is JobState.CANCELLED
    assert len(seen) > 1


def test_settled_jobs_are_forgotten_and_others_stay(toy: Toy) -> None:
    toy.queue.enqueue(toy_job("waiting"))
    toy.queue.enqueue(toy_job("given-up"))
    toy.queue.cancel("given-up")
    in_a_day_s = toy.queue.show("waiting").accepted_at_s + 86400
    assert not any(toy.queue.prune(settled_before_s=0))
    (forgotten,) = filter(None, toy.queue.prune(settled_before_s=in_a_day_s))
    assert [row.id for row in forgotten] == ["given-up"]
    assert [row.id for row in toy.queue.list()] == ["waiting"]
    assert toy.queue.unsettled() == {"waiting": "waiting"}


def test_a_job_is_found_by_the_beginning_of_its_id_if_that_is_unique(toy: Toy) -> None:
    toy.queue.enqueue(toy_job("abc1"))
    toy.queue.enqueue(toy_job("abd2"))
    assert toy.queue.show("abc").id == "abc1"
    for unclear in ("ab", "x", ""):
        with pytest.raises(JobNotFoundError):
            toy.queue.show(unclear)


def test_one_line_of_the_log_settles_a_job_whichever_peer_is_last(
    running: Toy,
) -> None:
    running.has("refusing-alpha-line")
    running.queue.enqueue(toy_job("line"))
    running.queue.enqueue(toy_job("other-line"))
    running.settled("line")
    running.settled("other-line")
    states = [
        (row["job_id"], row["state"])
        for row in running.events("job_settled")
        if row["job_id"].endswith("line")
    ]
    assert sorted(states) == [("line", "failed"), ("other-line", "done")]


def test_a_stop_before_the_last_delivery_has_begun_fails_no_job(toy: Toy) -> None:
    toy.has("last-beta")
    toy.start()
    toy.queue.enqueue(toy_job("stopped"))
    toy.wait_done("stored stopped alpha")
    toy.stop()
    assert toy.queue.show("stopped").state is JobState.RUNNING
    toy.has_not("last-beta")
    toy.start()
    assert toy.settled("stopped").state is JobState.DONE
    done = toy.done()
    assert (done["analyse stopped"], done["stored stopped beta"]) == (1, 1)


def test_a_job_is_not_settled_before_its_last_delivery_has_begun(toy: Toy) -> None:
    toy.has("late-beta")
    toy.start()
    toy.queue.enqueue(toy_job("late"))
    toy.wait_done("stored late beta")
    toy.settled("late")
    alpha, beta = toy.events("delivery_settled")
    assert (alpha["peer"], beta["peer"]) == ("alpha", "beta")
    (settled,) = toy.events("job_settled")
    assert settled["time"] >= beta["time"]
