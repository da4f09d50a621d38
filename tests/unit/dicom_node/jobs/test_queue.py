"""What an operator asks of the jobs, of which a node has many."""

from __future__ import annotations

from pathlib import Path

from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.queue import JobQueue
from tests.support.toy_worker import toy_job

ABOVE_WHAT_ONE_QUERY_OF_SQLITE_TAKES = 1010


def test_more_jobs_are_listed_than_one_query_can_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    prepare_database(url)
    with JobQueue(url) as queue:
        for number in range(ABOVE_WHAT_ONE_QUERY_OF_SQLITE_TAKES):
            queue.enqueue(toy_job(f"{number:032x}"))
        listed = queue.list(limit=2 * ABOVE_WHAT_ONE_QUERY_OF_SQLITE_TAKES)
    assert len(listed) == ABOVE_WHAT_ONE_QUERY_OF_SQLITE_TAKES
