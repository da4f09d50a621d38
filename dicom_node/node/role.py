"""What one machine of a node does."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """All of it, or a part: several machines make one node."""

    SERVE = "serve"
    """The node is this machine alone."""
    RECEIVE = "receive"
    WORK = "work"

    @property
    def receives(self) -> bool:
        """Whether it has acceptors, assembler and housekeeping."""
        return self is not Role.WORK

    @property
    def works(self) -> bool:
        """Whether it has workers."""
        return self is not Role.RECEIVE
