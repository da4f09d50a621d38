"""A machine that stands by receives only where it sees the spool."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from dicom_node.jobs.machines import Machines
from dicom_node.jobs.node_lease import NodeLease
from dicom_node.node import standby
from dicom_node.node.standby import SEES_NO_SPOOL, Standby
from dicom_node.settings.sections import Settings
from dicom_node.spool_identity import SpoolIdentity


@pytest.fixture
def signals() -> Iterator[None]:
    numbers = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
    former = [signal.getsignal(one) for one in numbers]
    yield
    for number, handler in zip(numbers, former, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_without_the_spool_a_machine_that_stands_by_takes_nothing_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(standby, "_LOOK_S", 0.02)
    settings = Settings.model_validate(
        {
            "version": 1,
            "peers": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1"}},
            "spool": {"folder": "/var/lib/lumbar-node"},
            "routes": [{"name": "lumbar", "deliver_to": ["pacs"]}],
        }
    )
    told: list[str] = []

    class Lease:
        asked = 0

        def try_take(self) -> str:
            self.asked += 1
            return "north" if self.asked == 1 else ""

    class Spool:
        looks = 0

        @property
        def is_gone(self) -> bool:
            told.append(machines.told)
            self.looks += 1
            return self.looks < 4

    lease, spool = Lease(), Spool()
    machines = SimpleNamespace(told="", is_lost=False)
    waiting = Standby(
        settings,
        Path("node.yaml"),
        cast(NodeLease, lease),
        cast(Machines, machines),
        cast(SpoolIdentity, spool),
    )
    assert waiting.waited()
    assert (lease.asked, spool.looks) == (2, 4)
    assert told[-1] == SEES_NO_SPOOL
