"""The process that sends audit messages, as the supervisor sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dicom_node.audit.events import application_activity
from dicom_node.node.children import Child
from dicom_node.node.guarded_part import run_guarded
from dicom_node.settings.audit_plan import audit_plan, auditor_for

if TYPE_CHECKING:
    from dicom_node.settings.sections import Settings

_AUDIT = "dicom_node.audit.audit_process:run_audit"


class AuditChild:
    """Starts it, and asks nothing of it: killed or frozen, it costs the node nothing.

    Attributes
    ----------
    child
        The process: to be started and ended like any other.
    """

    def __init__(self, settings: Settings) -> None:
        plan, level = audit_plan(settings), settings.log.level

        def arguments(_start: int) -> tuple[Any, ...]:
            return plan, level

        self.child = Child("audit", _AUDIT, arguments)

    def turn(self, now_s: float) -> None:
        """Replace the process if it has died.

        Parameters
        ----------
        now_s
            Monotonic time.
        """
        self.child.tend(now_s)
        for _ in self.child.messages():
            pass  # it has nothing to say, and is ended if it does


def audit_child(settings: Settings) -> AuditChild | None:
    """Return it; None if nobody wants audit messages."""
    return None if settings.audit is None else AuditChild(settings)


def tell_activity(settings: Settings, *, is_start: bool) -> None:
    """Tell the repository that the node starts or stops; what breaks stops neither."""

    def tell(_now_s: float) -> None:
        message = application_activity(settings.node.ae_title, is_start=is_start)
        auditor_for(settings).tell(message)

    run_guarded(tell, time.monotonic())
