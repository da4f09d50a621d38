"""Associations that were refused, as audit messages: one for many of a kind."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from dicom_node.audit.auditor import Auditor
from dicom_node.audit.events import Peer, association_refused

_SILENT_S = 60.0
"""After one message of a caller, until the next: a sender that is refused tries again
every few seconds, and whoever scans ports much more often."""
_MOST_CALLERS = 1000
_MOST_A_MINUTE = 120
"""Of all callers: whoever gives himself a new title each time fills no spool."""


class RefusalAlerts:
    """Tells of refusals; safe in any thread.

    Parameters
    ----------
    clock
        Returns monotonic seconds.
    """

    def __init__(
        self, auditor: Auditor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._auditor = auditor
        self._clock = clock
        self._lock = threading.Lock()
        self._told_s: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def tell(self, of: Peer, *, called_ae: str, why: str) -> None:
        """Tell that an association was refused, unless that was told just now."""
        if self._auditor.is_wanted and self._is_due((of.ae_title, of.address, why)):
            title = self._auditor.ae_title
            message = association_refused(title, of, called_ae=called_ae, why=why)
            self._auditor.tell(message)

    def _is_due(self, caller: tuple[str, str, str]) -> bool:
        now_s = self._clock()
        with self._lock:
            if now_s - self._told_s.get(caller, float("-inf")) < _SILENT_S:
                return False
            recent = sum(now_s - told_s < _SILENT_S for told_s in self._told_s.values())
            if recent >= _MOST_A_MINUTE:
                return False
            self._told_s[caller] = now_s
            self._told_s.move_to_end(caller)
            while len(self._told_s) > _MOST_CALLERS:
                self._told_s.popitem(last=False)
        return True
