"""Jobs that are read without DBOS are those that the commands tell."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.errors import JobDatabaseError, JobNotFoundError
from dicom_node.jobs.job_filter import JobFilter
from dicom_node.jobs.job_reader import JobReader, JobStory, warnings_of
from dicom_node.jobs.job_verbs import Verb, verbs_for
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.records import JobRow
from tests.support.job_database import (
    AGAIN,
    AWAY,
    BROKEN,
    OUTCOME,
    REJECTED,
    JobDatabase,
)
from tests.support.peers import wait_until
from tests.support.toy_work import toy_job
from tests.support.toy_worker import Toy


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobDatabase]:
    database = JobDatabase(tmp_path_factory.mktemp("jobs"))
    database.job("waits", "ENQUEUED")
    database.job("fell", "ERROR")
    database.job("refused", outcome=REJECTED)
    database.delivery("refused", "ENQUEUED")
    database.job("stored", outcome=OUTCOME)
    database.delivery("stored", "SUCCESS", OUTCOME)
    database.job("lacking", outcome=OUTCOME)
    database.delivery("lacking", "SUCCESS", AWAY)
    database.triage("new", "ENQUEUED")
    database.triage("made", outcome={**OUTCOME, "job_id": "stored"})
    database.triage("unread", outcome=BROKEN)
    database.triage("counted", outcome=AGAIN)
    yield database
    database.close()


def page(database: JobDatabase, most: int = 100, **wanted: object) -> list[JobRow]:
    with JobReader(database.url) as reader:
        found = reader.page(JobFilter(**wanted), most=most)  # type: ignore[arg-type]
    assert len(found.rows) <= most
    return list(found.rows)


def story(database: JobDatabase, job_id: str) -> JobStory:
    with JobReader(database.url) as reader:
        return reader.story(job_id)


def test_the_page_shows_the_rows_of_the_command(database: JobDatabase) -> None:
    rows = page(database)
    told = {row.id: row for row in database.queue.all_rows()}
    assert len(rows) == 8
    assert {row.id: row for row in rows} == told
    for row in rows:
        assert story(database, row.id).row == told[row.id]
    accepted = [row.accepted_at_s for row in rows]
    assert accepted == sorted(accepted, reverse=True)


def test_a_filter_takes_what_that_of_the_command_takes(database: JobDatabase) -> None:
    everything = database.queue.all_rows()
    for wanted in (
        {"states": ("failed",)},
        {"states": ("failed", "waiting")},
        {"peer": "pacs"},
        {"peer": "pacs", "states": ("delivering", "rejected")},
        {"since_s": time.time() + 60},
        {"peer": "nobody"},
    ):
        expected = {row.id for row in JobFilter(**wanted).of(everything)}
        assert {row.id for row in page(database, **wanted)} == expected


def test_a_page_is_bounded_and_says_how_many_are_left(database: JobDatabase) -> None:
    with JobReader(database.url) as reader:
        pages = [reader.page(JobFilter(), most=3, number=n) for n in (1, 2, 3, 4)]
    counts = [(one.before, len(one.rows), one.more) for one in pages]
    assert counts == [(0, 3, 5), (3, 3, 2), (6, 2, 0), (8, 0, 0)]
    listed = [row.id for one in pages for row in one.rows]
    assert sorted(listed) == sorted(row.id for row in page(database))


def test_the_id_of_a_triage_stands_for_the_job_that_it_made(
    database: JobDatabase,
) -> None:
    series = toy_job("made", paths=[database.path]).series
    assert story(database, TriageOrder(series=series).id).row.id == "stored"
    for unknown in ("", "store", "stored:pacs:1", "%", "st_red"):
        with pytest.raises(JobNotFoundError):
            story(database, unknown)


def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    with (
        JobReader(f"sqlite:///{tmp_path / 'none.sqlite'}") as reader,
        pytest.raises(JobDatabaseError),
    ):
        reader.page(JobFilter(), most=1)


def test_the_story_of_a_job_tells_each_step_and_attempt(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    toy.has("down-beta-one")
    started_s = time.time()
    try:
        toy.start()
        toy.queue.enqueue(toy_job("one"))
        wait_until(lambda: len(toy.attempts("one", "beta")) > 1, what="second attempt")
        toy.has_not("down-beta-one")
        toy.settled("one")
        with JobReader(toy.url) as reader:
            told = reader.story("one")
            assert told.row == toy.queue.show("one")
    finally:
        toy.close()
    names = [stage.name for stage in told.stages if not stage.peer]
    assert names == ["analyse", "encode"]
    to_beta = [stage for stage in told.stages if stage.peer == "beta"]
    assert [stage.verdict for stage in to_beta][-2:] == ["again", "done"]
    assert to_beta[-1].attempt > 1
    for stage in told.stages:
        assert started_s - 1 <= stage.started_s <= stage.ended_s <= time.time() + 1


def test_the_story_of_a_job_tells_when_the_next_attempt_is_due(
    tmp_path: Path,
) -> None:
    database = JobDatabase(tmp_path)
    database.job("away", outcome=OUTCOME)
    database.delivery("away", "SUCCESS", AGAIN, number=3)
    database.delivery("away", "ENQUEUED", number=4)
    database.put_off("away:pacs:4", 2_000_000_000.0)
    database.delivery("away", "ENQUEUED", peer="other")
    told = story(database, "away")
    database.close()
    assert told.due == (("pacs", 2_000_000_000.0),)


def test_the_buttons_for_a_job_are_what_the_commands_would_do(
    database: JobDatabase,
) -> None:
    expected = {
        "waits": {Verb.CANCEL},
        "fell": {Verb.RETRY, Verb.RERUN},
        "refused": {Verb.RERUN, Verb.CANCEL},
        "stored": {Verb.RESEND, Verb.RERUN},
        "lacking": {Verb.RETRY, Verb.RESEND, Verb.RERUN, Verb.CANCEL},
    }
    found = {row.id: set(verbs_for(row)) for row in page(database)}
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"warnings": [{"code": "revised", "text": "again"}]}, (("revised", "again"),)),
        ({"warnings": []}, ()),
        ({"warnings": ["revised"]}, ()),
        ([], ()),
    ],
)
def test_warnings_are_those_of_the_report(
    tmp_path: Path, content: object, told: tuple[tuple[str, str], ...]
) -> None:
    (tmp_path / "report.json").write_text(json.dumps(content))
    assert warnings_of(tmp_path) == told


def test_a_report_that_is_missing_or_broken_tells_no_warning(tmp_path: Path) -> None:
    assert warnings_of(tmp_path / "none") == ()
    for text in ("", "{", "[" * 100_000, "\x00"):
        (tmp_path / "report.json").write_text(text)
        assert warnings_of(tmp_path) == ()
