"""A job database as workers would leave it, without workers."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from dicom_node.jobs import dbos_setup
from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.queue import JobQueue
from dicom_node.jobs.triage_order import TriageOrder
from dicom_node.jobs.workflow_names import DELIVERY
from dicom_node.record_codec import to_record
from tests.support.toy_work import toy_job

OUTCOME = {"verdict": "done", "code": "", "text": ""}
REJECTED = {"verdict": "rejected", "code": "too_few_slices", "text": "3 slices"}
BROKEN = {"verdict": "failed", "code": "encoding", "text": "of ours"}
AWAY = {"verdict": "failed", "code": "peer-unreachable", "text": "no association"}
AGAIN = {"verdict": "again", "code": "count", "text": "the peer counts"}


class JobDatabase:
    """A job database as workers would leave it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.sqlite"
        self.url = f"sqlite:///{self.path}"
        prepare_database(self.url)
        self.queue = JobQueue(self.url)

    def job(self, name: str, status: str = "SUCCESS", outcome: object = None) -> None:
        self.queue.enqueue(toy_job(name))
        self.set(name, status, outcome)

    def delivery(
        self, of: str, status: str, outcome: object = None, *, number: int = 1
    ) -> None:
        client = dbos_setup.open_client(self.url)
        workflow_id = f"{of}:pacs:{number}"
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
