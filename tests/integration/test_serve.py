"""`lumbar-node serve` starts, refuses to start, is supervised, and stops."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import variants
from tests.support.frozen import freeze
from tests.support.node_process import Node, node_for
from tests.support.peers import HOST, WITHIN_S, Archive, echo, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.variants import Series, fresh

FAILED = 1


@pytest.fixture(scope="module")
def little(demo_series: Path) -> Series:
    return variants.small(variants.read_bundled(demo_series))


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def shared_node(
    tmp_path_factory: pytest.TempPathFactory, archive: Archive
) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("site")
    environment = make_installed(folder / "installed")
    node = node_for(folder / "node", archive, analysis=NAME, environment=environment)
    with node:
        yield node


@pytest.fixture
def node(shared_node: Node) -> Node:
    """Return the node, started again if a test has ended it."""
    if shared_node.process.poll() is not None:
        shared_node.start()
    return shared_node


def pid_of(node: Node, name: str) -> int:
    """Return the id of the process that the node last started under a name."""
    pids = [
        event["pid"]
        for event in node.events()
        if event["event"] == "process_started" and event["process"] == name
    ]
    return int(pids[-1])


def test_a_port_that_is_taken_is_told_and_ends_the_start(tmp_path: Path) -> None:
    node = node_for(tmp_path, Archive())
    with socket.socket() as other:
        other.bind((HOST, node.port))
        other.listen()
        node.start(wait=False)
        assert node.process.wait(WITHIN_S) == FAILED
    said = node.log.read_text()
    assert f"lumbar-node: {HOST} port {node.port}: Address already in use" in said
    assert "Traceback" not in said


def test_a_second_node_on_the_same_spool_does_not_start(
    node: Node, tmp_path: Path
) -> None:
    second = node_for(tmp_path / "second", Archive(), analysis=NAME)
    second.environment = node.environment
    second.settings["spool"] = node.settings["spool"]
    second.start(wait=False)
    assert second.process.wait(WITHIN_S) == FAILED
    assert "the spool is in use by LUMBAR_AI on " in second.log.read_text()
    assert echo(node.port)


def test_a_second_sigterm_ends_the_node_at_once_with_its_processes(node: Node) -> None:
    left, told = node.processes(), len(node.events())
    # Suspended, it cannot drain, so the first signal alone would end it in 9 s, well.
    freeze(pid_of(node, "worker-0"))
    node.process.send_signal(signal.SIGTERM)
    wait_until(
        lambda: any(row["event"] == "node_stopping" for row in node.events()[told:]),
        what="the node stops",
    )
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(WITHIN_S) == FAILED
    assert "node_stopped" not in {row["event"] for row in node.events()[told:]}
    gone, alive = psutil.wait_procs(left, timeout=WITHIN_S)
    assert (len(gone), alive) == (len(left), [])


def test_every_child_that_dies_is_replaced_and_nothing_is_lost(
    node: Node, archive: Archive, little: Series
) -> None:
    series = fresh(little)
    half = len(series) // 2
    assert set(send(series[:half], node.port, release=False)) == {0x0000}
    before = {name: pid_of(node, name) for name in ("acceptor-0", "worker-0")}
    for pid in before.values():
        psutil.Process(pid).kill()
    wait_until(
        lambda: all(pid_of(node, name) != pid for name, pid in before.items()),
        what="both are replaced",
    )
    wait_until(lambda: echo(node.port), what="C-ECHO is answered")
    send(series[half:], node.port)
    # Whole, or in two revisions when the first half was called complete meanwhile.
    uid = str(series[0].SeriesInstanceUID)
    assert node.settled_whole(uid, len(series))["state"] == "done"


def test_a_node_that_loses_its_supervisor_leaves_no_process_behind(node: Node) -> None:
    everyone = node.processes()
    node.process.kill()
    _, alive = psutil.wait_procs(everyone, timeout=WITHIN_S)
    assert alive == []
