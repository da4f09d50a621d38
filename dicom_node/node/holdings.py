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
    """

    queue: JobQueue
    listener: socket.socket | None = None
    lease: NodeLease | None = None
    role: Role = Role.SERVE
    machine: str = ""
    machines: Machines | None = None

    @property
    def is_lost(self) -> bool:
        """Whether others have taken what this machine held."""
        return any(
            one is not None and one.is_lost for one in (self.lease, self.machines)
        )
