"""One worker slot: its process, what runs in it, and what becomes of that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dicom_node import log
from dicom_node.errors import JobDatabaseError
from dicom_node.jobs.dead_worker import MAX_LOSSES, Cause
from dicom_node.jobs.delivery_id import DeliveryId
from dicom_node.jobs.running_step import (
    Heartbeat,
    StepBegun,
    StepEnded,
    StepKind,
    WorkerMessage,
)
from dicom_node.node.tally import Tally
from dicom_node.node_report import Counted, Timed
from dicom_node.supervisor_messages import FINISH

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from dicom_node.jobs.dead_worker import LostWork
    from dicom_node.node.children import Child

_SILENT_S = 60.0
"""A worker sends a heartbeat every few seconds; one that was stopped does not."""
_LOOK_S = 1.0
BROKEN_OFF = "broken-off"
"""Stands for the verdict of a step that had none."""
_CANCEL_GRACE_S = 4.0
"""A step that was cancelled may end by itself; the worker need not be loaded anew."""


class WorkerSlot:
    """Supervises one worker.

    It ends a worker whose step takes too long or was cancelled, or that says nothing.
    When a worker has died, its death is counted against what ran in it, and what it
    left is put back into the queues, so that any worker takes it up.

    Parameters
    ----------
    executor_id
        By which the job database knows the worker of this slot.
    time_limit_s
        For each of triage, analysis and encoding. Deliveries have limits of their own.
    tally
        Is told of steps that have ended.

    Attributes
    ----------
    heard_at_s
        When any worker of this slot last gave a sign of life, on the monotonic clock;
        at first the time at which the slot was made.
    runtimes
        What computed the analyses that any worker of this slot has loaded last.
    """

    def __init__(
        self,
        child: Child,
        *,
        executor_id: str,
        work: LostWork,
        time_limit_s: float,
        tally: Tally | None = None,
    ) -> None:
        self.child = child
        self._executor_id = executor_id
        self._work = work
        self._time_limit_s = time_limit_s
        self._tally = tally or Tally()
        self.heard_at_s = time.monotonic()
        self.runtimes: tuple[str, ...] = ()
        self._steps: dict[str, StepBegun] = {}
        self._last_message_s: float | None = None
        self._look_at_s = 0.0
        self._cancelled_at_s: dict[str, float] = {}
        self._overdue: StepBegun | None = None
        self._is_killed_for_cancel = False
        self._is_to_finish = False

    @property
    def pipe(self) -> Connection | None:
        """What becomes ready when the worker says something."""
        return self.child.pipe

    def receive(self) -> None:
        """Take note of what the worker says."""
        for message in self.child.messages(StepBegun, StepEnded, Heartbeat):
            self._apply(message)

    def tend(self, now_s: float) -> None:
        """End the worker if it must not go on, and replace one that has ended.

        Parameters
        ----------
        now_s
            Monotonic time.
        """
        is_alive = self.child.is_alive
        self.receive()
        if is_alive and self._is_to_finish:
            self._is_to_finish = not self.child.send(FINISH)
        if is_alive and now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_S
            self._end_if_needed(now_s)
        if not is_alive and self.child.tend(now_s):
            self._is_to_finish = False
            self._settle()

    def renew(self, time_limit_s: float) -> None:
        """Let the worker end what it does, so that one with new settings follows."""
        self._time_limit_s = time_limit_s
        self._is_to_finish = self.child.is_alive
        self.child.start_soon()

    def _apply(self, message: WorkerMessage) -> None:
        self._last_message_s = self.heard_at_s = time.monotonic()
        if isinstance(message, StepBegun):
            self._steps[message.workflow_id] = message
        elif isinstance(message, StepEnded):
            begun = self._steps.pop(message.workflow_id, None)
            self._cancelled_at_s.pop(message.workflow_id, None)
            if begun is not None:
                self._count_end(begun, message)
        else:
            self._tally.loaded(message.analyses)
            self.runtimes = message.runtimes or self.runtimes

    def _count_end(self, begun: StepBegun, ended: StepEnded) -> None:
        tally, kind = self._tally, begun.kind.value
        tally.time(Timed.STEP, time.monotonic() - begun.at_s, kind)
        tally.count(Counted.STEPS, kind, ended.verdict or BROKEN_OFF)
        if begun.kind is StepKind.DELIVER:
            peer = DeliveryId.parse(begun.workflow_id).peer
            tally.count(Counted.DELIVERIES, peer, ended.verdict or BROKEN_OFF)

    def _analysing(self) -> list[StepBegun]:
        return [step for step in self._steps.values() if not step.kind.is_with_a_peer]

    def _end_if_needed(self, now_s: float) -> None:
        for step in self._analysing():
            if now_s - step.at_s > self._time_limit_s:
                self._overdue = step
                self._kill(
                    f"{step.kind.value} takes longer than {self._time_limit_s:g} s",
                    job_id=step.workflow_id or None,
                )
                return
            if not step.kind.is_owed or now_s - step.at_s <= _LOOK_S:
                continue
            if self._is_cancelled(step, now_s):
                self._is_killed_for_cancel = True
                self._kill(f"{step.kind.value} was cancelled", job_id=step.workflow_id)
                return
        if (
            self._last_message_s is not None
            and now_s - self._last_message_s > _SILENT_S
        ):
            self._kill(f"it has said nothing for {_SILENT_S:g} s")

    def _is_cancelled(self, step: StepBegun, now_s: float) -> bool:
        """Tell whether a step goes on although it was cancelled a while ago."""
        since_s = self._cancelled_at_s.get(step.workflow_id)
        if since_s is not None:
            return now_s - since_s > _CANCEL_GRACE_S
        try:
            if self._work.is_cancelled(step.workflow_id):
                self._cancelled_at_s[step.workflow_id] = now_s
        except JobDatabaseError as error:
            log.warning("cancellation_not_read", reason=str(error))
        return False

    def _kill(self, reason: str, *, job_id: str | None = None) -> None:
        log.warning(
            "worker_killed",
            process=self.child.name,
            pid=self.child.pid,
            job_id=job_id,
            reason=reason,
        )
        self.child.kill()

    def _settle(self) -> None:
        """Count the death that was just found, and hand over what the worker left."""
        guilty = [step for step in self._guilty() if step.kind.is_owed]
        cause = Cause.TIMED_OUT if self._overdue else Cause.WORKER_CRASHED
        self._steps.clear()
        self._cancelled_at_s.clear()
        self._last_message_s = self._overdue = None
        self._is_killed_for_cancel = False
        try:
            for step in guilty:
                self._count(step.workflow_id, cause)
            self._work.hand_over(self._executor_id)
        except JobDatabaseError as error:
            # The worker that starts next takes up what this one left.
            log.error("lost_work_not_settled", reason=str(error))

    def _guilty(self) -> list[StepBegun]:
        """Return the steps in which the worker died.

        A delivery in the same process is innocent of a death during an analysis.
        """
        if self._overdue is not None:
            return [self._overdue]
        if self._is_killed_for_cancel or self.child.exit_code == 0:
            return []  # it ended of its own accord, and left what it was doing
        return self._analysing() or list(self._steps.values())

    def _count(self, workflow_id: str, cause: Cause) -> None:
        times = self._work.count(workflow_id, cause)
        log.warning(
            "job_lost_its_worker",
            job_id=workflow_id,
            error_code=cause.value,
            attempt=times,
            reason=f"it is begun anew {MAX_LOSSES} times",
        )
