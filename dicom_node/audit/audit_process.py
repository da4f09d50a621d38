"""The process that sends audit messages.

Killed, frozen or without a repository: the node goes on, and messages wait.
"""

from __future__ import annotations

import sys
import time
from multiprocessing.connection import Connection

from dicom_node import log
from dicom_node.audit.plan import AuditPlan
from dicom_node.audit.spool import AuditSpool
from dicom_node.audit.syslog import NotSentError, fits, send

_LOOK_S = 1.0
_BATCH = 200
_LONGEST_PAUSE_S = 60.0
_LOG_EVERY_S = 3600.0
_LAST_LOOK_S = 1.5
"""At the end: so long may what is left take; it waits for the next start else."""


def run_audit(pipe: Connection, plan: AuditPlan, log_level: str) -> None:
    """Send what waits until told to stop, and then once more.

    Parameters
    ----------
    pipe
        Any word means stop.
    """
    log.configure(level=log_level)
    sender = Sender(plan)
    pause_s = _LOOK_S
    while not _is_told(pipe, pause_s):
        pause_s = sender.turn()
    deadline_s = time.monotonic() + _LAST_LOOK_S
    while sender.waits and time.monotonic() < deadline_s:
        if sender.turn() > _LOOK_S:
            break
    sys.exit(0)


class Sender:
    """Sends what waits, and backs off while the repository is down."""

    def __init__(self, plan: AuditPlan) -> None:
        self._plan = plan
        self._spool = AuditSpool(plan.folder, most=plan.most)
        self._failures = 0
        self._logged_at_s = float("-inf")

    @property
    def waits(self) -> bool:
        """Whether a message waits."""
        return bool(self._count())

    def turn(self) -> float:
        """Send a batch, and return after what pause to go on.

        One that was sent in part is sent again as a whole: a message may come twice,
        and none is lost.
        """
        try:
            return self._turn()
        except OSError as error:
            return self._failed(error.strerror or type(error).__name__)

    def _turn(self) -> float:
        paths = self._spool.waiting(most=_BATCH)
        if not paths:
            return _LOOK_S
        messages = [path.read_bytes() for path in paths]
        carried = [message for message in messages if fits(message, self._plan)]
        if len(carried) < len(messages):
            log.error(
                "audit_message_lost",
                reason="too long for UDP",
                instances=len(messages) - len(carried),
            )
        try:
            send(carried, self._plan)
        except NotSentError as error:
            return self._failed(str(error))
        self._spool.remove(paths)
        if self._failures:
            log.event("audit_sent_again", instances=len(paths))
        self._failures, self._logged_at_s = 0, float("-inf")
        return 0.0 if len(paths) == _BATCH else _LOOK_S

    def _failed(self, why: str) -> float:
        self._failures += 1
        pause_s: float = min(_LOOK_S * 2**self._failures, _LONGEST_PAUSE_S)
        now_s = time.monotonic()
        if now_s - self._logged_at_s >= _LOG_EVERY_S:
            self._logged_at_s = now_s
            log.error(
                "audit_not_sent",
                address=self._plan.host,
                port=self._plan.port,
                reason=why,
                instances=self._count(),
            )
        return pause_s

    def _count(self) -> int | None:
        try:
            return self._spool.count()
        except OSError:
            return None


def _is_told(pipe: Connection, within_s: float) -> bool:
    """Tell whether to stop: by a word, or because the supervisor is dead."""
    return pipe.poll(within_s)
