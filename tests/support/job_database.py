"""A job database as workers would leave it, without workers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient

from dicom_node.jobs import dbos_setup
from dicom_node.jobs.database_url import with_driver
from dicom_node.jobs.dbos_setup import prepare_database
from dicom_node.jobs.job_state import ACTIVE
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

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.path = folder / "jobs.sqlite"
        self.url = url or f"sqlite:///{self.path}"
        prepare_database(self.url)
        self._client: DBOSClient | None = None
        self._engine = sa.create_engine(with_driver(self.url), poolclass=sa.NullPool)
        self.path.touch()  # it stands for a file of a series, too
        self._table = "dbos.workflow_status" if url else "workflow_status"
        self.queue = JobQueue(self.url)

    def close(self) -> None:
        """Close the connections."""
        self.queue.close()
        self._engine.dispose()
        if self._client is not None:
            self._client.destroy()

    def job(self, name: str, status: str = "SUCCESS", outcome: object = None) -> None:
        self.queue.enqueue(toy_job(name))
        self.set(name, status, outcome)

    def delivery(
        self,
        of: str,
        status: str,
        outcome: object = None,
        *,
        number: int = 1,
        peer: str = "pacs",
    ) -> None:
        if self._client is None:
            self._client = dbos_setup.open_client(self.url)
        workflow_id = f"{of}:{peer}:{number}"
        self._client.enqueue(
            {
                "workflow_name": DELIVERY,
                "queue_name": dbos_setup.ANALYSES,
                "workflow_id": workflow_id,
            },
            to_record(toy_job(of)),
        )
        self.set(workflow_id, status, outcome)

    def triage(
        self, name: str, status: str = "SUCCESS", outcome: object = None, **more: Any
    ) -> None:
        series = toy_job(name, paths=[self.path]).series
        order = TriageOrder(series=series, **more)
        self.queue.enqueue_triage(order)
        self.set(order.workflow_id, status, outcome)

    def put_off(self, workflow_id: str, until_s: float) -> None:
        """Let a workflow wait until a POSIX time."""
        text = (
            f"UPDATE {self._table} SET status = 'DELAYED', "
            "delay_until_epoch_ms = :until WHERE workflow_uuid = :id"
        )
        values = {"until": round(until_s * 1000), "id": workflow_id}
        with self._engine.begin() as connection:
            assert connection.execute(sa.text(text), values).rowcount == 1

    def set(self, workflow_id: str, status: str, outcome: object) -> None:
        """Let a workflow have changed, as DBOS would write it down."""
        text = (
            f"UPDATE {self._table} SET status = :status, output = :output, "
            f"created_at = 1000 + (SELECT count(*) FROM {self._table}), "
            "updated_at = updated_at + 1, completed_at = :completed "
            "WHERE workflow_uuid = :id"
        )
        values = {
            "status": status,
            "output": json.dumps(outcome) if outcome else None,
            "completed": None if status in ACTIVE else round(time.time() * 1000),
            "id": workflow_id,
        }
        with self._engine.begin() as connection:
            changed = connection.execute(sa.text(text), values)
            assert changed.rowcount == 1
