"""Actions about many jobs, of which others may do one meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dicom_node.errors import JobStateError
from dicom_node.jobs.job_actions import JobActions
from dicom_node.jobs.queue import JobQueue
from dicom_node.records import JobState
from dicom_node.spool_layout import SpoolLayout
from tests.support.job_database import BROKEN, JobDatabase


def test_a_job_that_another_has_begun_again_keeps_no_other_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = JobDatabase(tmp_path)
    retry = JobQueue.retry

    def raced(queue: JobQueue, job_id: str, **how: Any) -> object:
        if job_id == "second":
            raise JobStateError(job_id, state=JobState.WAITING, wanted="retry")
        return retry(queue, job_id, **how)

    monkeypatch.setattr(JobQueue, "retry", raced)
    try:
        for name in ("first", "second", "third"):
            database.job(name, outcome=BROKEN)
        actions = JobActions(database.queue, SpoolLayout(tmp_path))
        begun = actions.retry_all(is_failed=True)
    finally:
        database.close()
    assert {row.id for row in begun} == {"first", "third"}
