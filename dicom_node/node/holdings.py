"""What a machine holds while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.node.role import Role

if TYPE_CHECKING:
    import socket

    from dicom_node.jobs.machines import Machines
    from dicom_node.jobs.node_lease import NodeLease
    from dicom_node.jobs.queue import JobQueue
    from dicom_node.node.spool_watch import SpoolWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Locks, port and database, for one role of one machine.

    Parameters
    ----------
    listener, lease
        None where it does not receive.
    machine
        Its name; empty where the node is this machine alone.
    machines
        The others; None where there are none.
    spool
        Of one of several.
    """

    queue: JobQueue
    listener: socket.socket | None = None
    lease: NodeLease | None = None
    role: Role = Role.SERVE
    machine: str = ""
    machines: Machines | None = None
    spool: SpoolWatch | None = None

    @property
    def loss(self) -> str:
        """What this machine no longer holds, in one sentence; empty if it has all."""
        if self.spool is not None and self.spool.is_lost:
            return (
                "the shared spool is gone here, and another machine can go on: this "
                "one ends, and begins anew; is spool.folder mounted?"
            )
        parts = (self.lease, self.machines)
        if not any(one is not None and one.is_lost for one in parts):
            return ""
        if self.machines is None:
            return "another node has taken the job database"
        return "other machines have taken over from this one: it begins anew"
