"""Whoever takes part in an event tells of it here; what fails here stops nobody."""

from __future__ import annotations

import threading
import time

from dicom_node import log
from dicom_node.audit.events import messages_lost
from dicom_node.audit.message import Message, to_xml
from dicom_node.audit.plan import AuditPlan
from dicom_node.audit.spool import AuditSpool, AuditSpoolFullError
from dicom_node.audit.syslog import syslog_message

_LOG_EVERY_S = 60.0


class Auditor:
    """Makes and spools messages; without a plan it does nothing.

    One a process; safe in any of its threads.
    """

    def __init__(self, plan: AuditPlan | None) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._lost = 0
        self._logged_at_s = float("-inf")
        self._spool = None if plan is None else AuditSpool(plan.folder, most=plan.most)

    @property
    def plan(self) -> AuditPlan | None:
        """Where messages go; None where nobody wants any."""
        return self._plan

    @property
    def is_wanted(self) -> bool:
        """Whether anybody wants to know of events."""
        return self._plan is not None

    @property
    def ae_title(self) -> str:
        """Of the node; empty where nobody wants to know."""
        return "" if self._plan is None else self._plan.ae_title

    def tell(self, message: Message) -> None:
        """Spool a message; one that cannot be is lost, and that is logged."""
        try:
            if self._lost:
                self._put(messages_lost(self.ae_title, self._lost))
                self._lost = 0
            self._put(message)
        except AuditSpoolFullError:
            self._lose("the spool of audit messages is full")
        except OSError as error:
            self._lose(error.strerror or type(error).__name__)

    def _put(self, message: Message) -> None:
        plan, spool = self._plan, self._spool
        if plan is None or spool is None:
            return
        now_s = time.time()
        xml = to_xml(
            message, source_id=plan.source_id, site_id=plan.site_id, at_s=now_s
        )
        spool.put(syslog_message(xml, at_s=now_s))

    def _lose(self, why: str) -> None:
        with self._lock:
            self._lost += 1
            now_s = time.monotonic()
            is_due = now_s - self._logged_at_s >= _LOG_EVERY_S
            if is_due:
                self._logged_at_s = now_s
        if is_due:
            log.error("audit_message_lost", reason=why, instances=self._lost)
