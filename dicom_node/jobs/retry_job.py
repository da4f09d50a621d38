"""What an operator's retry does: deliveries that failed, or the whole job."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from dbos import DBOSClient, EnqueueOptions, WorkflowStatus

from dicom_node.jobs import dbos_setup, workflow_names
from dicom_node.jobs.dead_worker import LostWork
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.job_state import DISCARDED, latest_attempts, verdict_of
from dicom_node.jobs.step_outcome import Verdict
from dicom_node.record_codec import to_record
from dicom_node.records import Job

_FIRST_ATTEMPT = 1


def undelivered(
    deliveries: Sequence[WorkflowStatus], peer: str | None = None
) -> Mapping[str, WorkflowStatus]:
    """Return the last attempt for each peer that was given up before it held all.

    Parameters
    ----------
    peer
        The only one that counts; None for all.
    """
    return {
        which.peer: attempt
        for which, attempt in latest_attempts(deliveries).items()
        if verdict_of(attempt) is Verdict.FAILED and peer in {None, which.peer}
    }


def delivered(
    deliveries: Sequence[WorkflowStatus], peer: str | None
) -> Sequence[WorkflowStatus]:
    """Return the last attempt for each peer, or for the only one that counts."""
    return [
        attempt
        for which, attempt in latest_attempts(deliveries).items()
        if peer in {None, which.peer}
    ]


def deliver_again(
    client: DBOSClient, job: Job, attempt: WorkflowStatus, *, is_whole: bool = False
) -> None:
    """Enqueue another delivery to the peer of an attempt.

    Parameters
    ----------
    is_whole
        Whether the peer gets all once more, and not what it does not hold alone.
    """
    which = DeliveryId.parse(attempt.workflow_id)
    stored = attempt.output["stored"] if isinstance(attempt.output, dict) else []
    if is_whole:
        stored = []
    options: EnqueueOptions = {
        "workflow_name": workflow_names.DELIVERY,
        "queue_name": dbos_setup.DELIVERIES,
        "queue_partition_key": which.peer,
        "workflow_id": str(which.next()),
    }
    client.enqueue(options, to_record(job), which.peer, _FIRST_ATTEMPT, stored)


def discard(client: DBOSClient, job_id: str, *, is_discarded: bool) -> None:
    """Note whether an operator has given up the results that a peer lacks."""
    client.update_workflow_attributes(job_id, {DISCARDED: is_discarded}, merge=True)


def begin_anew(
    client: DBOSClient,
    job_id: str,
    deliveries: Sequence[WorkflowStatus],
    owed: Container[str],
) -> None:
    """Run a job from its first step; only the peers that are owed results get them."""
    forgotten = [
        status.workflow_id
        for status in deliveries
        if DeliveryId.parse(status.workflow_id).peer in owed
    ]
    if forgotten:
        client.delete_workflows(forgotten)
    LostWork(client).forgive(job_id)
    client.rewind_workflow(job_id, queue_name=dbos_setup.ANALYSES)
