"""What a worker that has ended leaves behind: counted against it, and handed over."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum

from dbos import DBOS, DBOSClient, WorkflowStatus

from dicom_node.jobs.database_errors import asks_database
from dicom_node.jobs.dbos_setup import executors_of
from dicom_node.jobs.step_outcome import Outcome, Verdict

MAX_LOSSES = 3
"""Work whose worker died in it is begun anew this often, then failed."""

_LOSSES = "losses"
_CAUSE = "cause"


class Cause(StrEnum):
    """Why a worker died in the middle of a step; the code of the failed job."""

    WORKER_CRASHED = "worker_crashed"
    TIMED_OUT = "timed_out"


_TEXTS = {
    Cause.WORKER_CRASHED: "the worker ended {times} times while it worked on this",
    Cause.TIMED_OUT: "the worker was ended {times} times, last because a step took "
    "longer than jobs.time_limit_s",
}


class LostWork:
    """What the supervisor does about work whose worker has ended.

    Only the supervisor counts, and only a death that it has lived to see: a power cut
    or a kill of the whole node is no fault of what was running.

    Raises
    ------
    JobDatabaseError
        By every method, if the database cannot be read or written.
    """

    def __init__(self, client: DBOSClient) -> None:
        self._client = client

    @asks_database
    def count(self, workflow_id: str, cause: Cause) -> int:
        """Count one more death of a worker in a workflow, and return how many."""
        found = self._client.list_workflows(
            workflow_ids=[workflow_id], load_input=False, load_output=False
        )
        if not found:
            return 0
        losses = losses_of(found[0]) + 1
        self._client.update_workflow_attributes(
            workflow_id, {_LOSSES: losses, _CAUSE: cause.value}, merge=True
        )
        return losses

    @asks_database
    def forgive(self, workflow_id: str) -> None:
        """Count from 0 again, for an operator retries the workflow."""
        self._client.update_workflow_attributes(workflow_id, {_LOSSES: 0}, merge=True)

    @asks_database
    def hand_over(self, executor_id: str | None = None) -> int:
        """Put what an executor was running back into its queues, for any executor.

        Parameters
        ----------
        executor_id
            One whose process has ended; None where no worker runs.

        Returns
        -------
        int
            How many workflows.
        """
        by_queue: dict[str | None, list[str]] = defaultdict(list)
        for left in self._client.list_workflows(
            status="PENDING",
            executor_id=executor_id,
            load_input=False,
            load_output=False,
        ):
            by_queue[left.queue_name].append(left.workflow_id)
        for queue_name, ids in by_queue.items():
            self._client.resume_workflows(ids, queue_name=queue_name)
        return sum(map(len, by_queue.values()))

    @asks_database
    def hand_over_machine(self, machine: str) -> int:
        """Put what the executors of a machine that has died were running back.

        Returns
        -------
        int
            How many workflows.
        """
        prefix = executors_of(machine)
        pending = self._client.list_workflows(
            status="PENDING", load_input=False, load_output=False
        )
        executors = {one.executor_id or "" for one in pending}
        dead = sorted(one for one in executors if one.startswith(prefix))
        return sum(self.hand_over(executor) for executor in dead)

    @asks_database
    def is_cancelled(self, workflow_id: str) -> bool:
        """Tell whether an operator, or a newer revision, has cancelled a workflow."""
        found = self._client.list_workflows(
            workflow_ids=[workflow_id], load_input=False, load_output=False
        )
        return bool(found) and found[0].status == "CANCELLED"


def losses_of(status: WorkflowStatus) -> int:
    """Return how often a worker died in a workflow."""
    return int((status.attributes or {}).get(_LOSSES, 0))


def cause_of(status: WorkflowStatus) -> Cause:
    """Return why the last worker died in a workflow."""
    return Cause((status.attributes or {}).get(_CAUSE, Cause.WORKER_CRASHED))


def given_up() -> Outcome | None:
    """Return, within a step, the failure of a workflow that lost too many workers.

    Within a step, because what a workflow itself asks is checkpointed, and would be
    answered with the count of its first start.
    """
    status = DBOS.get_workflow_status(str(DBOS.workflow_id))
    if status is None or losses_of(status) <= MAX_LOSSES:
        return None
    cause = cause_of(status)
    text = _TEXTS[cause].format(times=losses_of(status))
    return Outcome(verdict=Verdict.FAILED, code=cause.value, text=text)
