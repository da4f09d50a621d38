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
from dicom_node.node.ops_child import OpsChild
from dicom_node.node.service_manager import ServiceManager
from dicom_node.node.tally import Tally
from dicom_node.node_report import ChildReport
from dicom_node.settings.ops_plan import ops_plan

if TYPE_CHECKING:
    from types import FrameType

    from dicom_node.jobs.machines import Machines
    from dicom_node.jobs.node_lease import NodeLease
    from dicom_node.settings.sections import Settings

_LOOK_S = 1.0
_OPS_WITHIN_S = 0.5


class Standby:
    """Waits for the lease of a node; it listens on no port but that of `ops`."""

    def __init__(
        self, settings: Settings, lease: NodeLease, machines: Machines
    ) -> None:
        self._settings = settings
        self._lease = lease
        self._machines = machines
        self._signalled = threading.Event()
        self._manager = ServiceManager()
        self._holder = ""

    def waited(self) -> bool:
        """Return once the lease is had: true; false if the machine is to stop.

        Raises
        ------
        StartError
            If the other machines have given this one up.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        # The settings are read when it begins to receive.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if not self._lease.try_take():
            return True
        ops = self._ops()
        if ops is not None:
            ops.child.start()
        self._manager.ready()
        try:
            return self._wait(ops)
        finally:
            if ops is not None:
                ops.child.kill()
                ops.child.end(_OPS_WITHIN_S)

    def _wait(self, ops: OpsChild | None) -> bool:
        while not self._signalled.wait(_LOOK_S):
            now_s = time.monotonic()
            self._manager.alive(now_s)
            if ops is not None:
                ops.turn(now_s)
            if self._machines.is_lost:
                message = "the other machines have given this one up: it begins anew"
                raise StartError(message)
            holder = self._lease.try_take()
            if not holder:
                return True
            if holder != self._holder:
                self._holder = holder
                self._machines.told = "stands by"
                log.event("standing_by", pid=os.getpid(), reason=f"{holder} receives")
        self._manager.stopping()
        return False

    def _ops(self) -> OpsChild | None:
        if self._settings.ops is None:
            return None
        plan = replace(ops_plan(self._settings), receives=False, notify=None)
        return OpsChild(plan, Tally(), lambda: (_own_report(),))

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._signalled.set()


def _own_report() -> ChildReport:
    return ChildReport(name="supervisor", pid=os.getpid(), starts=1, deaths=0)
