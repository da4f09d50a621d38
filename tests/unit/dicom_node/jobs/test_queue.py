"""What an operator asks of the jobs, of which a node has many."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dicom_node.errors import JobDatabaseError
from dicom_node.jobs import dbos_setup, workflow_names
from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.job_state import lacking_peers
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.records import JobRow, JobState
from tests.support.toy_worker import toy_job

ABOVE_WHAT_ONE_QUERY_OF_SQLITE_TAKES = 1010
OFTENER_THAN_IS_LOOKED_AT = 60


def test_more_jobs_are_listed_than_one_query_can_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    prepare_database(url)
    with JobQueue(url) as queue:
        for number in range(ABOVE_WHAT_ONE_QUERY_OF_SQLITE_TAKES):
            queue.enqueue(toy_job(f"{number:032x}"))
        listed = queue.list(limit=2 * ABOVE_WHAT_ONE_QUERY_OF_SQLITE_TAKES)
    assert len(listed) == ABOVE_WHAT_ONE_QUERY_OF_SQLITE_TAKES


def test_a_process_that_holds_the_database_is_waited_for_only_briefly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbos_setup, "_LOCK_WAIT_S", 0.1)
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    prepare_database(url)
    with JobQueue(url) as queue:
        with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as frozen:
            frozen.execute("BEGIN IMMEDIATE")
            with pytest.raises(JobDatabaseError, match="another process holds it"):
                queue.enqueue(toy_job("one"))
            assert queue.list() == ()
        queue.enqueue(toy_job("one"))
        assert [row.id for row in queue.list()] == ["one"]


def test_a_record_that_cannot_be_read_hides_no_other_and_loses_no_result(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    prepare_database(url)
    with JobQueue(url) as queue:
        queue.enqueue(toy_job("good"))
        client = dbos_setup.open_client(url)
        try:
            for name, workflow_id in (
                (workflow_names.JOB, "odd"),
                (workflow_names.DELIVERY, "odd:pacs:1"),
                (workflow_names.TRIAGE, "odder"),
            ):
                client.enqueue(
                    {
                        "workflow_name": name,
                        "queue_name": dbos_setup.ANALYSES,
                        "workflow_id": workflow_id,
                    },
                    {"of": "another version"},
                )
        finally:
            client.destroy()
        assert queue.unsettled() == {"good": "good", "odd": ""}
        for rows in (queue.all_rows(), queue.list()):
            assert [row.id for row in rows] == ["good"]


def test_a_triage_that_has_waited_very_often_is_seen_as_it_stands_now(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    prepare_database(url)
    order = TriageOrder(series=toy_job("series", paths=[tmp_path]).series)
    with JobQueue(url) as queue:
        for _ in range(OFTENER_THAN_IS_LOOKED_AT):
            queue.enqueue_triage(order)
            told = f"has waited {order.attempt} times"
            order = order.again(waits_for=told, now_s=0.0)
        queue.enqueue_triage(order)
        assert queue.show(order.id).reason == order.waits_for
        assert queue.cancel(order.id).state is JobState.CANCELLED
        assert queue.retry(order.id, results_kept=False).state is JobState.WAITING


@pytest.mark.parametrize(
    ("told", "lacking"),
    [
        ("stored", ()),
        ("waiting", ()),
        ("sending", ()),
        ("cancelled", ("pacs",)),
        ("failed peer-unreachable: no association", ("pacs",)),
    ],
)
def test_a_peer_lacks_the_page_of_a_rejection_only_if_nobody_delivers_it(
    told: str, lacking: tuple[str, ...]
) -> None:
    row = JobRow(
        id="note",
        state=JobState.REJECTED,
        route="toy",
        series_uid="1.2",
        study_uid="1",
        calling_ae="PACS",
        instances=1,
        accepted_at_s=0.0,
        settled_at_s=1.0,
        reason="too_few_slices: 3 slices",
        digest="d",
        revision=1,
        deliveries=(("pacs", told),),
    )
    assert lacking_peers(row) == lacking
