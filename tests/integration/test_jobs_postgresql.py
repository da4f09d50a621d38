"""The same promises on PostgreSQL, by changing one URL."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.main import main
from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.dbos_setup import executor_id, prepare_database
from dicom_node.jobs.job_numbers import JobNumbersReader
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.plugins.choose_route import Choice
from dicom_node.plugins.registry import Registry
from dicom_node.records import JobState, Reason
from dicom_node.settings.sections import Settings
from dicom_node.spool_layout import SpoolLayout
from dicom_node.work import triage
from tests.support import phantom_plugin
from tests.support.node_process import node_for
from tests.support.peers import WITHIN_S, Archive, echo
from tests.support.postgresql import programs, server
from tests.support.toy_worker import Toy, toy_job

_OWN = {"long", "left", "next"}
"""Jobs of one test; others have theirs in the same database."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    found = programs()
    if found is None:
        pytest.skip("POSTGRESQL MISSING: no initdb on this machine")
    with server(found) as url:
        yield url


def test_a_database_in_which_we_may_not_write_is_told_with_the_reason(url: str) -> None:
    closed = f"{url}&options=-c%20default_transaction_read_only%3Don"

    prepare_database(url)
    with pytest.raises(JobDatabaseError, match="in a read-only transaction"):
        prepare_database(closed)
    with JobQueue(closed) as queue, pytest.raises(JobDatabaseError) as refused:
        queue.enqueue(toy_job("refused"))
    assert "cannot execute INSERT in a read-only transaction" in str(refused.value)


def test_check_asks_the_server_and_repeats_no_password(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_database(url)
    strangers = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with strangers.connect() as connection:
        connection.execute(sa.text("CREATE ROLE stranger LOGIN"))
        connection.execute(sa.text("CREATE DATABASE new OWNER lumbar"))
    strangers.dispose()
    as_stranger = url.replace("lumbar@/jobs", "stranger:secret@/new")
    config = tmp_path / "node.yaml"

    def told(database: str) -> tuple[int, str]:
        settings = {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": str(tmp_path / "spool"), "min_free_gb": 0.01},
            "routes": [{"name": "lumbar", "deliver_to": ["pacs"]}],
            "database": database,
        }
        config.write_text(json.dumps(settings))
        code = main(["check", "--config", str(config)])
        captured = capsys.readouterr()
        lines = (captured.out + captured.err).splitlines()
        (line,) = (one for one in lines if " database: " in one)
        return code, line

    assert told(url)[1].startswith("ok    database: jobs in PostgreSQL ")
    closed = f"{url}&options=-c%20default_transaction_read_only%3Don"
    for database, why in (
        (closed, "as lumbar: it is read-only, as a server that stands by is"),
        (as_stranger, "as stranger: stranger may not make a schema"),
        (as_stranger.replace("/new", "/none"), 'database "none" does not exist'),
    ):
        code, line = told(database)
        assert code == ExitCode.FAILED
        assert line.startswith("WRONG database: ")
        assert why in line
        assert "secret" not in line


def test_two_workers_share_a_queue_and_one_takes_up_what_the_other_left(
    url: str, tmp_path: Path
) -> None:
    first, second = Toy(tmp_path, url=url), Toy(tmp_path, url=url, slot=1)
    try:
        for name in ("long", "left"):
            first.has(f"slow-{name}")
        first.queue.enqueue(toy_job("long"))
        first.start()
        first.wait_done("analyse long")
        # A worker analyses one at a time, so the next is the other's.
        first.queue.enqueue(toy_job("left"))
        second.start()
        second.wait_done("analyse left")
        second.kill()
        for name in ("long", "left"):
            first.has_not(f"slow-{name}")
        first.queue.enqueue(toy_job("next"))
        assert first.settled("long").state is JobState.DONE
        assert first.settled("next").state is JobState.DONE
        assert first.queue.show("left").state is JobState.RUNNING
        assert first.queue.lost_work.hand_over(executor_id(1)) == 1
        assert first.settled("left").state is JobState.DONE
        done = first.done()
        assert (done["analyse left"], done["stored left beta"]) == (2, 1)
        with JobNumbersReader(url) as reader:
            numbers = reader.read()
        rows = first.queue.all_rows()
        # Those of the other tests of this module are among them, in any order.
        states = Counter(
            (row.state.value, row.reason.partition(":")[0]) for row in rows
        )
        assert numbers.states == states
        assert numbers.deliveries["beta", "stored"] == states["done", ""] >= len(_OWN)
        assert {row.id for row in rows} >= _OWN
    finally:
        first.close()
        second.close()


def test_a_job_survives_kill_9_and_a_peer_that_is_down(
    url: str, tmp_path: Path
) -> None:
    toy = Toy(tmp_path, url=url, is_hasty=True)
    try:
        toy.has("slow-one")
        toy.has("down-beta-one")
        toy.queue.enqueue(toy_job("one"))
        toy.start()
        toy.wait_done("analyse one")
        toy.kill()
        toy.has_not("slow-one")
        toy.start()
        assert toy.settled("one").state is JobState.FAILED
        toy.has_not("down-beta-one")
        toy.queue.retry("one", results_kept=True)
        assert toy.settled("one").state is JobState.DONE
        assert toy.done()["encode one"] == 1
        assert "one" in {row.id for row in toy.queue.list()}
    finally:
        toy.close()


def test_a_second_node_on_the_database_is_refused_with_both_names(
    url: str, tmp_path: Path
) -> None:
    environment = phantom_plugin.make_installed(tmp_path / "site")
    with Archive() as archive:
        first, second = (
            node_for(
                tmp_path / name,
                archive,
                analysis=phantom_plugin.NAME,
                environment=environment,
            )
            for name in ("first", "second")
        )
        for node in (first, second):
            node.settings["database"] = url
        with first:
            second.start(wait=False)
            assert second.process.wait(WITHIN_S) == 1
            refusal = second.log.read_text()
            assert str(tmp_path / "first" / "spool") in refusal
            assert str(tmp_path / "second" / "spool") in refusal
            assert echo(first.port)
        with second:
            assert echo(second.port)


def test_of_two_contents_that_two_machines_triage_at_once_one_is_measured(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would else find no job of the other, and both would be delivered."""
    folder = tmp_path / "spool"
    settings = Settings.model_validate(
        {
            "version": 1,
            "database": url,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": str(folder)},
            "routes": [{"name": "toy", "analysis": "toy", "deliver_to": ["pacs"]}],
        }
    )
    SpoolLayout(folder).prepare()
    prepare_database(url)
    both_look = threading.Barrier(2)

    def choose(*_series: object, **_limits: object) -> Choice:
        # Whoever comes here has looked for jobs of the series.
        with contextlib.suppress(threading.BrokenBarrierError):
            both_look.wait(1.0)
        return Choice(route="toy", rejection=Reason("unfit", "of the test"))

    monkeypatch.setattr(triage, "verify_files", lambda _series: None)
    monkeypatch.setattr(triage, "drawn_in", lambda _series, _limits: None)
    monkeypatch.setattr(triage, "choose_from_headers", choose)
    series = toy_job("of two contents", paths=[Path(__file__)]).series
    contents = [
        replace(series, digest=digest, revision=number)
        for number, digest in enumerate(("former", "latter"), start=1)
    ]
    with JobQueue(url) as first, JobQueue(url) as second, ThreadPoolExecutor() as pool:
        machines = [
            triage.Triage(settings, Registry({}), queue) for queue in (first, second)
        ]
        orders = [TriageOrder(series=content) for content in contents]
        ended = [
            pool.submit(machine.run, order)
            for machine, order in zip(machines, orders, strict=True)
        ]
        assert [one.result().verdict for one in ended] == [Verdict.DONE] * 2
        rows = first.of_series(series.study_uid, series.series_uid)
    left = {row.digest for row in rows if row.state is not JobState.CANCELLED}
    assert left == {"latter"}
