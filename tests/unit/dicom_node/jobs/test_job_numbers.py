"""Numbers that are read without DBOS are those that an operator is shown."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs import dbos_setup
from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.job_numbers import JobNumbers, JobNumbersReader
from dicom_node.jobs.job_state import lacking_peers
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.jobs.workflow_names import DELIVERY
from dicom_node.record_codec import to_record
from tests.support.toy_worker import toy_job

OUTCOME = {"verdict": "done", "code": "", "text": ""}
REJECTED = {"verdict": "rejected", "code": "too_few_slices", "text": "3 slices"}
BROKEN = {"verdict": "failed", "code": "encoding", "text": "of ours"}
AWAY = {"verdict": "failed", "code": "peer-unreachable", "text": "no association"}
AGAIN = {"verdict": "again", "code": "count", "text": "the peer counts"}


class Database:
    """A job database as workers would leave it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.sqlite"
        self.url = f"sqlite:///{self.path}"
        prepare_database(self.url)
        self.queue = JobQueue(self.url)

    def job(self, name: str, status: str = "SUCCESS", outcome: object = None) -> None:
        self.queue.enqueue(toy_job(name))
        self.set(name, status, outcome)

    def delivery(self, of: str, status: str, outcome: object = None) -> None:
        client = dbos_setup.open_client(self.url)
        workflow_id = f"{of}:pacs:1"
        client.enqueue(
            {
                "workflow_name": DELIVERY,
                "queue_name": dbos_setup.ANALYSES,
                "workflow_id": workflow_id,
            },
            to_record(toy_job(of)),
        )
        client.destroy()
        self.set(workflow_id, status, outcome)

    def triage(
        self, name: str, status: str = "SUCCESS", outcome: object = None, **more: Any
    ) -> None:
        series = toy_job(name, paths=[self.path]).series
        order = TriageOrder(series=series, **more)
        self.queue.enqueue_triage(order)
        self.set(order.workflow_id, status, outcome)

    def set(self, workflow_id: str, status: str, outcome: object) -> None:
        with closing(sqlite3.connect(self.path)) as database, database:
            changed = database.execute(
                "UPDATE workflow_status SET status = ?, output = ?, "
                "created_at = 1000 + (SELECT count(*) FROM workflow_status) "
                "WHERE workflow_uuid = ?",
                (status, json.dumps(outcome) if outcome else None, workflow_id),
            )
            assert changed.rowcount == 1

    def numbers(self) -> JobNumbers:
        with JobNumbersReader(self.url) as reader:
            return reader.read()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    yield database
    database.queue.close()


def test_the_numbers_are_those_of_the_rows_that_an_operator_sees(
    database: Database,
) -> None:
    database.job("waits", "ENQUEUED")
    database.job("runs", "PENDING")
    database.job("fell", "ERROR")
    database.job("broken", outcome=BROKEN)
    database.job("refused", outcome=REJECTED)
    database.delivery("refused", "ENQUEUED")
    database.job("stored", outcome=OUTCOME)
    database.delivery("stored", "SUCCESS", OUTCOME)
    database.job("sending", outcome=OUTCOME)
    database.delivery("sending", "PENDING")
    database.job("lacking", outcome=OUTCOME)
    database.delivery("lacking", "SUCCESS", AWAY)
    database.job("odd", outcome={"of": "another version"})
    database.triage("new", "ENQUEUED")
    database.triage("made", outcome={**OUTCOME, "job_id": "stored"})
    database.triage("unread", outcome=BROKEN)
    database.triage("mended", outcome=BROKEN)
    database.triage("mended", outcome={**OUTCOME, "job_id": "stored"}, occasion="again")
    database.triage("counted", outcome=AGAIN)
    numbers = database.numbers()

    rows = [row for row in database.queue.all_rows() if row.id != "odd"]
    expected = Counter(row.state.value for row in rows)
    expected["failed"] += 1  # `odd`, which cannot be shown
    told: Counter[str] = Counter()
    for (state, _), count in numbers.states.items():
        told[state] += count
    assert told == expected
    assert numbers.states == {
        ("waiting", ""): 3,
        ("running", ""): 1,
        ("failed", "internal_error"): 1,
        ("failed", "encoding"): 2,
        ("rejected", "too_few_slices"): 1,
        ("done", ""): 1,
        ("delivering", ""): 1,
        ("failed", "peer-unreachable"): 1,
        ("failed", "unknown"): 1,
    }
    assert numbers.deliveries == {
        ("pacs", "waiting"): 1,
        ("pacs", "stored"): 1,
        ("pacs", "sending"): 1,
        ("pacs", "failed"): 1,
    }
    assert [row.id for row in rows if lacking_peers(row)] == ["lacking"]
    # `waits` was the first, and `refused` the first whose page a peer has yet to get.
    assert numbers.oldest_unsettled_s == pytest.approx(1.001)
    assert numbers.oldest_undelivered_s == pytest.approx(1.005)


def test_a_clock_that_was_set_back_between_two_attempts_shows_the_second(
    database: Database,
) -> None:
    """It has made the job; the first would wait for ever."""
    database.triage(
        "one", outcome={**OUTCOME, "job_id": "made"}, attempt=2, waits_for="the disk"
    )
    database.triage("one", outcome=AGAIN)
    database.job("made", outcome=OUTCOME)
    database.delivery("made", "SUCCESS", OUTCOME)
    for rows in (database.queue.all_rows(), database.queue.list()):
        assert [row.id for row in rows] == ["made"]
    assert database.numbers().states == {("done", ""): 1}
    assert database.numbers().oldest_unsettled_s is None
    order = TriageOrder(series=toy_job("one", paths=[database.path]).series)
    assert database.queue.show(order.id).id == "made"


def test_nothing_is_owed_in_an_empty_database(database: Database) -> None:
    numbers = database.numbers()
    assert numbers.states == numbers.deliveries == {}
    assert numbers.oldest_unsettled_s is numbers.oldest_undelivered_s is None


def test_results_that_an_operator_gave_up_are_not_owed(database: Database) -> None:
    database.job("lacking", outcome=OUTCOME)
    database.delivery("lacking", "SUCCESS", AWAY)
    database.queue.cancel("lacking")
    numbers = database.numbers()
    assert numbers.states == {("cancelled", ""): 1}
    assert numbers.oldest_undelivered_s is None


def test_a_database_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite"
    with (
        JobNumbersReader(f"sqlite:///{path}") as reader,
        pytest.raises(JobDatabaseError),
    ):
        reader.read()
    assert not path.exists()
