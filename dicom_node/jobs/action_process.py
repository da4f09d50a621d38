"""One action about one job, or about all that failed, in a process of its own.

The page's process neither loads DBOS nor waits for a database: it starts this one,
which ends itself whatever happens. One line of JSON comes in, and one goes out.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from dicom_node.errors import NodeError
from dicom_node.jobs.job_actions import JobActions
from dicom_node.jobs.job_verbs import Verb
from dicom_node.jobs.queue import JobQueue
from dicom_node.spool_layout import SpoolLayout


def main() -> None:
    """Do what standard input asks for, and say how it went."""
    asked = json.loads(sys.stdin.readline())
    signal.alarm(asked["limit_s"])  # by which it is ended
    layout = SpoolLayout(Path(asked["spool_folder"]))
    try:
        with JobQueue(asked["database_url"]) as queue:
            actions = JobActions(queue, layout)
            job_id = asked["job_id"]
            if job_id is None:
                actions.retry_all(is_failed=True)
            else:  # `rerun` makes another job
                job_id = actions.do(Verb(asked["verb"]), job_id).id
        told = {"job_id": job_id}
    except NodeError as error:
        told = {"error_code": error.code, "text": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
