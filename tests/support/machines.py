"""Several machines of one node, as processes of their own under names of their own."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_node.jobs.machines import MachineRow, engine_for, machine_rows
from tests.support.node_process import Node
from tests.support.peers import free_port, listens, wait_until

TAKEN_OVER_WITHIN_S = 60.0
"""A promise: the others take over so soon."""


@dataclass
class MachineOfNode:
    """`receive` and `work` under one name, with logs of their own.

    Parameters
    ----------
    settings
        The same for all machines, but for the port: here they share one host.
    """

    name: str
    folder: Path
    settings: dict[str, Any]
    environment: dict[str, str]

    def __post_init__(self) -> None:
        settings = copy.deepcopy(self.settings)
        settings["node"]["port"] = free_port()
        self.receiver, self.worker = (
            Node(
                folder=self.folder / f"{self.name}-{part}",
                settings=settings,
                environment=self.environment,
                words=(part, "--machine", self.name),
            )
            for part in ("receive", "work")
        )

    @property
    def port(self) -> int:
        """Where it listens while it receives."""
        return self.receiver.port

    @property
    def receives(self) -> bool:
        """Whether it is the one that receives."""
        return listens(self.port)

    @property
    def parts(self) -> tuple[Node, Node]:
        """Its two process groups."""
        return self.receiver, self.worker

    def start(self) -> None:
        """Start both parts, without waiting for them."""
        for part in self.parts:
            part.start(wait=False)

    def kill(self) -> None:
        """Kill -9 all processes of the machine."""
        for part in self.parts:
            part.kill()

    def close(self) -> None:
        """Stop what runs of it, politely first."""
        for part in self.parts:
            part.__exit__(None, None, None)


def rows_of(url: str) -> dict[tuple[str, str], MachineRow]:
    """Return how all machines stand, by name and role."""
    engine = engine_for(url)
    try:
        return {(row.name, row.role): row for row in machine_rows(engine)}
    finally:
        engine.dispose()


def wait_receiving(*machines: MachineOfNode, within_s: float) -> MachineOfNode:
    """Return the machine that receives, once one does."""
    found: list[MachineOfNode] = []

    def receive() -> bool:
        found[:] = [one for one in machines if one.receives]
        return bool(found)

    wait_until(receive, within_s=within_s, what="a machine receives")
    (one,) = found
    return one
