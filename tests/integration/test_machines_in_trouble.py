"""What befalls several machines beside the death of one: a database, and clocks."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from dicom_node.errors import JobDatabaseError, StartError
from dicom_node.jobs.dbos_setup import executor_id, prepare_database
from dicom_node.jobs.known_spool import STANDS_BY, another_can
from dicom_node.jobs.machines import LOOKS, Machine, Machines
from dicom_node.jobs.node_lease import NodeIdentity, NodeLease
from dicom_node.jobs.queue import JobQueue
from dicom_node.node.start import receive, serve, work
from dicom_node.records import JobState
from dicom_node.settings.sections import Settings
from tests.support.machines import rows_of
from tests.support.postgresql import programs, server, stopped
from tests.support.toy_worker import Toy, toy_job

FAST_BY_S = 300
BEAT_S = 0.1
CLOCK = Path(__file__).parents[1] / "chaos" / "clock.c"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    found = programs()
    if found is None:
        pytest.skip("POSTGRESQL MISSING: no initdb on this machine")
    with server(found) as url:
        yield url


@pytest.fixture
def fast_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that are started from here on be five minutes ahead."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the clock cannot be set ahead")
    library = tmp_path / "clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(CLOCK)],
        check=True,
    )
    (tmp_path / "clock").write_bytes(struct.pack("=q", FAST_BY_S))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CHAOS_CLOCK", str(tmp_path / "clock"))


@pytest.mark.usefixtures("fast_clock")
def test_a_retry_of_a_machine_that_was_five_minutes_ahead_is_not_five_minutes_late(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Toy(tmp_path, url=url, machine="ahead")
    right = Toy(tmp_path, url=url, machine="right")
    try:
        ahead.has("down-beta-one")
        ahead.queue.enqueue(toy_job("one"))
        ahead.start()
        ahead.wait_done("deliver one beta", times=2)
        (event,) = ahead.events("job_started")
        its_own = datetime.fromisoformat(event["time"]).timestamp()
        assert its_own > time.time() + FAST_BY_S / 2
        ahead.kill()
        ahead.has_not("down-beta-one")
        monkeypatch.delenv("LD_PRELOAD")
        right.start()
        died_s = time.monotonic()
        right.queue.lost_work.hand_over_machine("ahead")
        assert right.settled("one").state is JobState.DONE
        assert time.monotonic() - died_s < FAST_BY_S / 2
    finally:
        ahead.close()
        right.close()


def test_a_database_that_restarts_in_the_middle_of_a_step_costs_no_job(
    url: str, tmp_path: Path
) -> None:
    toy = Toy(tmp_path, url=url, machine="north")
    try:
        toy.has("slow-two")
        toy.queue.enqueue(toy_job("two"))
        toy.start()
        toy.wait_done("analyse two")
        with stopped(url):
            toy.has_not("slow-two")
        assert toy.settled("two").state is JobState.DONE
        assert {"stored two alpha", "stored two beta"} <= set(toy.done())
    finally:
        toy.close()


def machine(name: str, *, host: str = "here", spool: str = "spool") -> Machine:
    return Machine(name=name, role="work", host=host, spool_id=spool)


def test_machines_are_called_dead_by_their_count_and_never_by_a_database_that_was_away(
    url: str, tmp_path: Path
) -> None:
    toy = Toy(tmp_path, url=url)
    queue = JobQueue(url)
    dead = Machines(url, machine("dead"), queue.lost_work, beat_s=3600)
    alive = Machines(url, machine("alive"), queue.lost_work, beat_s=3600)
    try:
        dead.__enter__()
        alive.__enter__()
        for _ in range(LOOKS - 1):
            alive.turn()
        with stopped(url), pytest.raises(JobDatabaseError):
            alive.turn()
        for _ in range(LOOKS):
            alive.turn()
        assert rows_of(url)["dead", "work"].is_alive
        alive.turn()
        assert not rows_of(url)["dead", "work"].is_alive
        assert rows_of(url)["alive", "work"].is_alive
        dead.turn()
        assert dead.is_lost
    finally:
        for one in (alive, dead):
            one.__exit__(None, None, None)
        toy.close()
        queue.close()


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (machine("twin", host="elsewhere"), "another machine named twin"),
        (machine("new", spool="another"), "has another spool"),
    ],
)
def test_a_second_machine_of_one_name_or_with_another_spool_is_refused(
    url: str, tmp_path: Path, other: Machine, why: str
) -> None:
    toy = Toy(tmp_path, url=url)
    with JobQueue(url) as queue:
        first = Machines(url, machine("twin"), queue.lost_work, beat_s=BEAT_S)
        second = Machines(url, other, queue.lost_work, beat_s=BEAT_S)
        with first, pytest.raises(StartError, match=why):
            second.__enter__()
        assert not first.is_lost
    toy.close()
    assert executor_id(1, "twin") == "twin/worker-1"


def settings_on(url: str, folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": str(folder / "spool")},
            "routes": [{"name": "toy", "analysis": "toy", "deliver_to": ["pacs"]}],
            "database": url,
        }
    )


@pytest.mark.parametrize("run", [receive, work])
def test_where_the_shared_spool_is_not_mounted_no_spool_begins_anew(
    url: str, tmp_path: Path, run: Callable[..., None]
) -> None:
    settings = settings_on(url, tmp_path)
    prepare_database(url)
    # All machines have ended since, in order or not.
    with NodeLease(url, NodeIdentity(id="shared/north", name="north")):
        pass
    with pytest.raises(StartError, match="not the one of this job database"):
        run(settings, tmp_path / "node.yaml", machine="south")
    assert not settings.spool.folder.exists()


def test_a_node_of_one_machine_is_refused_on_the_database_of_several(
    url: str, tmp_path: Path
) -> None:
    prepare_database(url)
    with (
        JobQueue(url) as queue,
        Machines(url, machine("north"), queue.lost_work),
        pytest.raises(StartError, match="in use by machine north"),
    ):
        serve(settings_on(url, tmp_path), tmp_path / "node.yaml")


def test_who_has_lost_the_spool_asks_whether_another_can_go_on(
    url: str, tmp_path: Path
) -> None:
    prepare_database(url)

    def one(name: str, role: str) -> Machine:
        return Machine(name=name, role=role, host="here", spool_id="spool")

    with (
        JobQueue(url) as queue,
        Machines(url, one("north", "work"), queue.lost_work),
        Machines(url, one("south", "receive"), queue.lost_work, beat_s=3600) as south,
    ):
        assert another_can(url, "south", "work")
        assert not another_can(url, "north", "work")  # itself alone
        assert not another_can(url, "north", "receive")  # nobody stands by
        south.told = STANDS_BY
        south.turn()
        assert another_can(url, "north", "receive")
