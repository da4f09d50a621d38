"""One node on two machines: whichever dies, the other ends its work, once."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.jobs.dbos_setup import prepare_database
from tests.support import phantom_plugin, variants
from tests.support.machines import (
    TAKEN_OVER_WITHIN_S,
    MachineOfNode,
    rows_of,
    wait_receiving,
)
from tests.support.node_process import settings_for
from tests.support.peers import WITHIN_S, Archive, free_port, send, wait_until
from tests.support.postgresql import programs, server
from tests.support.variants import Series, fresh


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    found = programs()
    if found is None:
        pytest.skip("POSTGRESQL MISSING: no initdb on this machine")
    with server(found) as url:
        prepare_database(url)
        yield url


@pytest.fixture
def little(demo_series: Path) -> Series:
    return variants.small(variants.read_bundled(demo_series))


@pytest.fixture
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Return the file that holds every analysis while it exists."""
    return tmp_path / "held"


@pytest.fixture
def machines(
    tmp_path: Path, url: str, archive: Archive, held: Path
) -> Iterator[tuple[MachineOfNode, MachineOfNode]]:
    settings = settings_for(
        tmp_path,
        node_port=free_port(),
        peers={"pacs": (archive.ae_title, archive.port)},
        analysis=phantom_plugin.NAME,
    )
    settings["database"] = url
    installed = phantom_plugin.make_installed(tmp_path / "site")
    environment = {**installed, "PHANTOM_HELD": str(held)}
    north, south = (
        MachineOfNode(name, tmp_path, settings, environment)
        for name in ("north", "south")
    )
    try:
        yield north, south
    finally:
        for one in (north, south):
            one.close()


def begun_on(machine: MachineOfNode) -> bool:
    return any(row["event"] == "job_started" for row in machine.worker.events())


def test_what_a_dead_machine_had_begun_or_received_is_ended_by_the_other_once(
    machines: tuple[MachineOfNode, MachineOfNode],
    url: str,
    archive: Archive,
    little: Series,
    held: Path,
) -> None:
    north, south = machines
    held.touch()
    north.start()
    wait_receiving(north, within_s=WITHIN_S)
    first, second = fresh(little), fresh(little)
    send(first, north.port, calling=archive.ae_title)
    wait_until(lambda: begun_on(north), what="the analysis begins")
    south.receiver.start(wait=False)
    wait_until(lambda: ("south", "receive") in rows_of(url), what="the other stands by")
    assert not south.receives
    south.receiver.process.send_signal(signal.SIGHUP)
    wait_until(
        lambda: (
            "settings_reloaded" in {row["event"] for row in south.receiver.events()}
        ),
        what="who stands by reads the settings again",
    )
    # One that comes in the very last moment: acknowledged, and not yet complete.
    send(second, north.port, calling=archive.ae_title)
    north.kill()
    died_s = time.monotonic()
    held.unlink()
    south.worker.start(wait=False)
    wait_receiving(north, south, within_s=TAKEN_OVER_WITHIN_S)
    send(second, south.port, calling=archive.ae_title)
    wait_until(
        lambda: begun_on(south), within_s=TAKEN_OVER_WITHIN_S, what="it is taken over"
    )
    assert time.monotonic() - died_s < TAKEN_OVER_WITHIN_S
    jobs = south.receiver.wait_settled(2)
    assert [job["state"] for job in jobs] == ["done", "done"]
    assert {job["worker"] for job in jobs} == {"south/worker-0"}
    for series in (first, second):
        found = {
            str(one.SOPInstanceUID): one.Modality for one in archive.results_of(series)
        }
        assert Counter(found.values())["SR"] == Counter(found.values())["SEG"] == 1
    rows = rows_of(url)
    assert not rows["north", "work"].is_alive
    assert rows["south", "work"].is_alive
    assert rows["south", "receive"].told == "receives"
    told = [
        line.split()[:3] for line in south.worker.command("status").stdout.splitlines()
    ]
    assert ["north", "work", "dead"] in told
    assert ["south", "receive", "alive"] in told
