"""Jobs that failed, and peers that take nothing, as the job database holds them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.job_troubles import JobTroublesReader
from dicom_node.records import JobState
from tests.support.job_database import AGAIN, AWAY, BROKEN, OUTCOME, JobDatabase


@pytest.fixture
def database(tmp_path: Path) -> Iterator[JobDatabase]:
    database = JobDatabase(tmp_path)
    yield database
    database.close()


def test_failed_jobs_are_those_that_an_operator_sees(database: JobDatabase) -> None:
    database.job("fell", "ERROR")
    database.job("broken", outcome=BROKEN)
    database.job("stored", outcome=OUTCOME)
    database.delivery("stored", "SUCCESS", OUTCOME)
    database.job("lacking", outcome=OUTCOME)
    database.delivery("lacking", "SUCCESS", AWAY)
    database.job("given-up", outcome=OUTCOME)
    database.delivery("given-up", "SUCCESS", AWAY)
    database.queue.cancel("given-up")
    database.triage("unread", outcome=BROKEN)
    database.triage("counted", outcome=AGAIN)
    with JobTroublesReader(database.url) as reader:
        failed = reader.read().failed
    rows = [row for row in database.queue.all_rows() if row.state is JobState.FAILED]
    assert failed.keys() == {row.id for row in rows}
    assert (failed["fell"], failed["broken"]) == ("internal_error", "encoding")
    assert failed["lacking"] == "peer-unreachable"


def test_a_peer_keeps_us_waiting_from_its_first_failure_on(
    database: JobDatabase,
) -> None:
    database.job("first", outcome=OUTCOME)
    database.delivery("first", "PENDING")
    with JobTroublesReader(database.url) as reader:
        assert reader.read().kept_waiting == {}
        database.job("again", outcome=OUTCOME)
        database.delivery("again", "SUCCESS", {**AWAY, "verdict": "again"})
        database.delivery("again", "DELAYED", number=2)
        assert reader.read().kept_waiting == {"pacs": "peer-unreachable"}
        database.queue.cancel("again")
        assert reader.read().kept_waiting == {}


def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.sqlite'}"
    with JobTroublesReader(url) as reader, pytest.raises(JobDatabaseError):
        reader.read()
