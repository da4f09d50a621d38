"""A machine that could receive, while another one does."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from dicom_node import log
from dicom_node.errors import StartError
from dicom_node.jobs.known_spool import STANDS_BY
from dicom_node.node.ops_child import OpsChild
from dicom_node.node.service_manager import ServiceManager
from dicom_node.node.settings_reload import SettingsReader, unchangeable
from dicom_node.node.tally import Tally
from dicom_node.node_report import ChildReport
from dicom_node.settings.ops_plan import ops_plan
from dicom_node.settings.sections import Settings
from dicom_node.supervisor_messages import SettingsRead, SettingsRefused

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from dicom_node.jobs.machines import Machines
    from dicom_node.jobs.node_lease import NodeLease
    from dicom_node.spool_identity import SpoolIdentity

_LOOK_S = 1.0
SEES_NO_SPOOL = f"{STANDS_BY}, sees no spool"
_OPS_WITHIN_S = 0.5


class Standby:
    """Waits for the lease of a node; it listens on no port but that of `ops`.

    Attributes
    ----------
    settings
        Those by which the machine is to receive: SIGHUP reads them again.
    """

    def __init__(
        self,
        settings: Settings,
        config: Path,
        lease: NodeLease,
        machines: Machines,
        spool: SpoolIdentity,
    ) -> None:
        self.settings = settings
        self._config = config
        self._reader = SettingsReader(config)
        self._lease = lease
        self._machines = machines
        self._spool = spool
        self._signalled = threading.Event()
        self._manager = ServiceManager()
        self._why = ""

    def waited(self) -> bool:
        """Return once the lease is had: true; false if the machine is to stop.

        Raises
        ------
        StartError
            If the other machines have given this one up.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: self._reader.ask())
        if not self._lease.try_take():
            return True
        ops = self._ops()
        if ops is not None:
            ops.child.start()
        self._manager.ready()
        try:
            return self._wait(ops)
        finally:
            self._reader.cancel()
            if ops is not None:
                ops.child.kill()
                ops.child.end(_OPS_WITHIN_S)

    def _wait(self, ops: OpsChild | None) -> bool:
        while not self._signalled.wait(_LOOK_S):
            now_s = time.monotonic()
            self._manager.alive(now_s)
            if ops is not None:
                ops.turn(now_s)
            self._follow(now_s)
            if self._machines.is_lost:
                message = "the other machines have given this one up: it begins anew"
                raise StartError(message)
            if self._spool.is_gone:
                # Nobody could receive here, and one who can would have to wait.
                self._stands_by(SEES_NO_SPOOL, "the shared spool is gone")
                continue
            holder = self._lease.try_take()
            if not holder:
                return True
            self._stands_by(STANDS_BY, f"{holder} receives")
        self._manager.stopping()
        return False

    def _stands_by(self, told: str, why: str) -> None:
        self._machines.told = told
        if why != self._why:
            self._why = why
            log.event("standing_by", pid=os.getpid(), reason=why)

    def _follow(self, now_s: float) -> None:
        """Take settings that have been read again, if they are right."""
        found = self._reader.turn(now_s)
        if found is None:
            return
        problems = found.problems if isinstance(found, SettingsRefused) else ()
        if isinstance(found, SettingsRead):
            new = Settings.model_validate_json(found.text)
            problems = tuple(
                unchangeable(self._config, self.settings, new, found.lines)
            )
            if not problems:
                self.settings = new
                log.event("settings_reloaded", reason="this machine stands by")
        for problem in problems:
            log.error("settings_refused", reason=problem)

    def _ops(self) -> OpsChild | None:
        if self.settings.ops is None:
            return None
        plan = replace(ops_plan(self.settings), receives=False, notify=None)
        return OpsChild(plan, Tally(), lambda: (_own_report(),))

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._signalled.set()


def _own_report() -> ChildReport:
    return ChildReport(name="supervisor", pid=os.getpid(), starts=1, deaths=0)
