"""SIGHUP: settings are read again, taken as a whole or refused, and nothing is lost."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom import Dataset
from pynetdicom.association import Association

from tests.support import variants
from tests.support.node_process import Node, node_for
from tests.support.peers import HOST, Archive, echo, free_port, send, wait_until
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.raw_association import opened
from tests.support.variants import Series, fresh

MR = "1.2.840.10008.5.1.4.1.1.4"
RESULTS = 3


@pytest.fixture(scope="module")
def little(demo_series: Path) -> Series:
    return variants.small(variants.read_bundled(demo_series))[:4]


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("held") / "held"


@pytest.fixture(scope="module")
def shared_node(
    archive: Archive, held: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("reload")
    installed = make_installed(folder / "installed")
    node = node_for(
        folder / "node",
        archive,
        analysis=NAME,
        environment={**installed, "PHANTOM_HELD": str(held)},
    )
    node.settings["peers"]["pacs"]["timeout_s"] = 30
    with node:
        yield node


@pytest.fixture
def node(shared_node: Node) -> Iterator[Node]:
    """Return the node, which goes by its first settings again after the test."""
    yield shared_node
    reload(shared_node, lambda settings: None)


def told(node: Node, *names: str) -> list[dict[str, Any]]:
    return [row for row in node.events() if row["event"] in names]


def signalled(node: Node) -> list[dict[str, Any]]:
    """Send SIGHUP, and return what the log says of it."""
    names = "settings_reloaded", "settings_refused"
    before = len(told(node, *names))
    node.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(told(node, *names)) > before, what="the log tells of it")
    return told(node, *names)[before:]


def reload(node: Node, change: Callable[[dict[str, Any]], None]) -> str:
    """Change the first settings, have them read, and return what has changed."""
    settings = deepcopy(node.settings)
    change(settings)
    node.config.write_text(yaml.safe_dump(settings, sort_keys=False))
    (row,) = signalled(node)
    assert row["event"] == "settings_reloaded", row
    reason: str = row["reason"]
    return reason


def pids(node: Node, name: str) -> list[int]:
    return [
        row["pid"] for row in told(node, "process_started") if row["process"] == name
    ]


def test_a_new_peer_and_a_new_route_come_into_force(
    node: Node, archive: Archive, little: Series
) -> None:
    acceptors = pids(node, "acceptor-0")
    with Archive(ae_title="NEW") as added:
        assert not echo(node.port, calling="NEW")

        def change(settings: dict[str, Any]) -> None:
            settings["peers"]["new"] = {
                "ae_title": "NEW",
                "host": HOST,
                "port": added.port,
            }
            settings["routes"][0]["deliver_to"] = ["new"]

        assert reload(node, change) == "peers, routes"
        wait_until(lambda: echo(node.port, calling="NEW"), what="NEW is accepted")
        series, before = fresh(little), len(archive.received)
        send(series, node.port, calling="NEW")
        (row,) = node.settled_jobs_of(str(series[0].SeriesInstanceUID))
        assert row["state"] == "done"
        assert len(added.results_of(series)) == RESULTS
        assert len(archive.received) == before
    assert pids(node, "acceptor-0") == acceptors


def wrong(key: str, value: object) -> Callable[[Node], None]:
    """Return what writes settings with one value wrong."""

    def write(node: Node) -> None:
        settings = deepcopy(node.settings)
        section, _, name = key.partition(".")
        settings.setdefault(section, {})[name] = value
        # What is right in them is not taken either.
        settings["peers"]["new"] = {"ae_title": "NEW", "host": HOST}
        node.config.write_text(yaml.safe_dump(settings, sort_keys=False))

    return write


def syntax(node: Node) -> None:
    node.config.write_text("version: 1\nnode: [unclosed\n")


def missing(node: Node) -> None:
    node.config.unlink()


def unreadable(node: Node) -> None:
    node.config.unlink(missing_ok=True)
    node.config.mkdir()


def not_text(node: Node) -> None:
    node.config.write_bytes(b"version: 1\nnode: \xff\xfe\n")


MISTAKES = (
    (syntax, "node.yaml:3 is not YAML"),
    (missing, "node.yaml: no such file or directory"),
    (unreadable, "node.yaml: is a directory"),
    (not_text, "node.yaml: is not UTF-8 text"),
    (wrong("node.titel", "X"), "node.titel"),
    (wrong("node.max_associations", "many"), "node.max_associations"),
    (wrong("node.tls", {"certificate_file": "a", "key_file": "b"}), "cannot be read"),
    (wrong("series.quiet_s", -1), "series.quiet_s"),
    (wrong("node.port", free_port()), "until the node is started again"),
    (wrong("work.processes", 2), "work.processes: is 1 until"),
)


def test_settings_with_any_mistake_are_refused_and_the_old_ones_hold(
    shared_node: Node,
) -> None:
    node = shared_node
    acceptors = pids(node, "acceptor-0")
    for write, expected in MISTAKES:
        write(node)
        try:
            rows = signalled(node)
        finally:
            if node.config.is_dir():
                node.config.rmdir()
        assert {row["event"] for row in rows} == {"settings_refused"}
        assert any(expected in row["reason"] for row in rows), rows
        assert {row["level"] for row in rows} == {"error"}
        assert echo(node.port)
        assert not echo(node.port, calling="NEW")
    assert pids(node, "acceptor-0") == acceptors


def stored(association: Association, instance: Dataset) -> bool:
    status = association.send_c_store(instance)
    return bool(status.Status == 0)


def test_an_association_that_is_open_over_a_reload_loses_nothing(
    node: Node, little: Series
) -> None:
    series = fresh(little)
    with opened(node.port, sop_class=MR) as association:
        assert association.is_established
        half = len(series) // 2
        for instance in series[:half]:
            assert stored(association, instance)

        def change(settings: dict[str, Any]) -> None:
            settings["peers"]["pacs"]["may_send"] = False
            settings["peers"]["pacs"]["answers_c_find"] = True
            settings["series"]["quiet_s"] = 0.5

        assert reload(node, change) == "peers, series"
        wait_until(lambda: not echo(node.port), what="PACS is accepted no more")
        for instance in series[half:]:
            assert stored(association, instance)
    rows = node.settled_jobs_of(str(series[0].SeriesInstanceUID))
    assert [(row["instances"], row["state"]) for row in rows] == [(len(series), "done")]


def starts(node: Node, uid: str) -> int:
    """Return how often the analysis of a series has begun."""
    return [row["series_uid"] for row in told(node, "job_started")].count(uid)


def test_an_analysis_ends_over_a_reload_and_is_not_begun_anew(
    node: Node, archive: Archive, held: Path, little: Series
) -> None:
    series = fresh(little)
    uid = str(series[0].SeriesInstanceUID)
    held.touch()
    try:
        send(series, node.port)
        wait_until(lambda: starts(node, uid) == 1, what="the analysis begins")
        workers = pids(node, "worker-0")

        def change(settings: dict[str, Any]) -> None:
            settings["jobs"]["retry_days"] = 3

        assert reload(node, change) == "jobs"
        # The next series waits for the next worker, and is not lost either.
        following = fresh(little)
        send(following, node.port)
        assert pids(node, "worker-0") == workers
    finally:
        held.unlink()
    for one in (series, following):
        (row,) = node.settled_jobs_of(str(one[0].SeriesInstanceUID))
        assert row["state"] == "done"
        assert len(archive.results_of(one)) == RESULTS
    assert starts(node, uid) == 1
    assert len(pids(node, "worker-0")) > len(workers)
    assert not told(node, "job_lost_its_worker")


def answers(port: int, status: int) -> bool:
    """Return whether `/ready` is answered so; 0 stands for no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=15)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == status
    except OSError:
        return status == 0
    finally:
        connection.close()


def test_health_over_http_is_switched_on_moved_and_off(shared_node: Node) -> None:
    node = shared_node
    first, second = free_port(), free_port()
    for port, other in ((first, second), (second, first)):
        assert reload(node, partial(dict.update, ops={"port": port})) == "ops"
        wait_until(partial(answers, port, 200), what="ready")
        wait_until(partial(answers, other, 0), what="the other port is closed")
    reload(node, lambda settings: None)
    wait_until(partial(answers, second, 0), what="no port is open")
