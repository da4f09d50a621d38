"""Numbers that are read without DBOS are those that an operator is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.changed_parts import ChangedParts
from dicom_node.jobs.job_numbers import JobNumbers, JobNumbersReader
from dicom_node.jobs.job_state import lacking_peers
from dicom_node.jobs.triage_order import TriageOrder
from tests.support.job_database import (
    AGAIN,
    AWAY,
    BROKEN,
    OUTCOME,
    REJECTED,
    JobDatabase,
)
from tests.support.toy_worker import toy_job


def numbers_of(database: JobDatabase) -> JobNumbers:
    with JobNumbersReader(database.url) as reader:
        return reader.read()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[JobDatabase]:
    database = JobDatabase(tmp_path)
    yield database
    database.close()


@pytest.mark.parametrize("name", ["a#b", "50% & more", "Spülung"])
def test_a_database_is_read_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    database = JobDatabase(tmp_path / name)
    try:
        database.job("waits", "ENQUEUED")
        assert sum(numbers_of(database).states.values()) == 1
    finally:
        database.close()


def test_the_numbers_are_those_of_the_rows_that_an_operator_sees(
    database: JobDatabase,
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
    numbers = numbers_of(database)

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
    database: JobDatabase,
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
    assert numbers_of(database).states == {("done", ""): 1}
    assert numbers_of(database).oldest_unsettled_s is None
    order = TriageOrder(series=toy_job("one", paths=[database.path]).series)
    assert database.queue.show(order.id).id == "made"


def test_nothing_is_owed_in_an_empty_database(database: JobDatabase) -> None:
    numbers = numbers_of(database)
    assert numbers.states == numbers.deliveries == {}
    assert numbers.oldest_unsettled_s is numbers.oldest_undelivered_s is None


def test_results_that_an_operator_gave_up_are_not_owed(database: JobDatabase) -> None:
    database.job("lacking", outcome=OUTCOME)
    database.delivery("lacking", "SUCCESS", AWAY)
    database.queue.cancel("lacking")
    numbers = numbers_of(database)
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


def test_it_is_counting_while_the_first_look_gets_answers(
    database: JobDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting: list[bool] = []
    now_s = 100.0
    monkeypatch.setattr("dicom_node.jobs.job_numbers._now_s", lambda: now_s)
    with JobNumbersReader(database.url) as reader:

        def refresh(_parts: object, _connection: object) -> Iterator[None]:
            nonlocal now_s
            counting.append(reader.is_counting)
            yield
            counting.append(reader.is_counting)
            now_s += 10.0  # the database is silent
            counting.append(reader.is_counting)
            yield
            counting.append(reader.is_counting)

        monkeypatch.setattr(ChangedParts, "refresh", refresh)
        reader.read()
        counting.append(reader.is_counting)
    assert counting == [False, True, False, True, False]
