"""Health and metrics of a running node, as Prometheus, curl and an attacker ask."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dicom_node.cli.main import main
from dicom_node.ops.http_server import CONNECTION_S, MOST_CONNECTIONS
from tests.support import variants
from tests.support.frozen import freeze
from tests.support.node_process import Node, node_for
from tests.support.peers import (
    HOST,
    WITHIN_S,
    Archive,
    connected,
    free_port,
    send,
    wait_until,
)
from tests.support.phantom_plugin import NAME, make_installed
from tests.support.raw_association import opened
from tests.support.variants import Series, fresh

NOT_READY, UNREACHABLE = 1, 3
STOP_WITHIN_MS = 8500
"""Half a second less than the node gives a process that still has something to end."""
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def bundled(demo_series: Path) -> Series:
    return variants.read_bundled(demo_series)[:4]


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def shared_node(
    archive: Archive, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("ops")
    node = node_for(
        folder / "node",
        archive,
        analysis=NAME,
        environment=make_installed(folder / "site"),
        is_counted=True,
    )
    node.settings["ops"] = {"port": free_port(), "hosts": ["node.example"]}
    # Nobody is there: messages wait, as the metrics of them tell.
    node.settings["audit"] = {"host": HOST, "port": free_port(), "transport": "udp"}
    with node:
        yield node


@pytest.fixture
def node(shared_node: Node) -> Node:
    """Return the node, ready, and started again if a test has ended it."""
    if shared_node.process.poll() is not None:
        shared_node.start()
    wait_until(
        lambda: answer(shared_node, "/ready")[0] == 200, what="the node is ready"
    )
    return shared_node


def ops_port(node: Node) -> int:
    port: int = node.settings["ops"]["port"]
    return port


def answer(node: Node, path: str, **headers: str) -> tuple[int, str]:
    """Return status and body; 0 if nothing answers."""
    connection = http.client.HTTPConnection(HOST, ops_port(node), timeout=WITHIN_S)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def raw(node: Node, request: bytes) -> bytes:
    """Send bytes, and return all that comes until the connection is closed."""
    with connected(ops_port(node)) as connection:
        connection.sendall(request)
        told = b""
        try:
            while more := connection.recv(65536):
                told += more
        except ConnectionResetError:
            pass
        return told


def checks(node: Node) -> dict[str, dict[str, Any]]:
    _, body = answer(node, "/ready")
    return {check["name"]: check for check in json.loads(body)["checks"]}


def scraped(node: Node) -> Samples:
    """Return what is told; nothing if no one answers, as while the process starts."""
    _, text = answer(node, "/metrics")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples["lumbar_node_" + name, tuple(sorted(labels.items()))]


def status(
    running: Node, capsys: pytest.CaptureFixture[str], *words: str, **changes: Any
) -> tuple[int, str, str]:
    """Run `lumbar-node status` here; return its exit code and what it said."""
    # The phantom is installed for the node alone.
    routes = [{**one, "analysis": "lumbar-mri"} for one in running.settings["routes"]]
    settings = {**running.settings, "routes": routes, **changes}
    config = running.folder / "status.yaml"
    config.write_text(json.dumps(settings))
    code = main(["status", *words, "--config", str(config)])
    told = capsys.readouterr()
    return code, told.out, told.err


def ops_process(node: Node) -> psutil.Process:
    pids = [
        row["pid"]
        for row in node.events()
        if row["event"] == "process_started" and row["process"] == "ops"
    ]
    return psutil.Process(pids[-1])


def test_ready_tells_each_check_with_its_value_and_limit(node: Node) -> None:
    told: dict[str, dict[str, Any]] = {}

    def is_well() -> bool:
        told.update(checks(node))
        return {check["state"] for check in told.values()} == {"ok"}

    wait_until(is_well, what="each check is passed", every_s=0.5)
    assert list(told) == [
        "supervisor", "acceptors", "workers", "database", "disk", "jobs",
    ]  # fmt: skip
    assert told["supervisor"]["value"] < told["supervisor"]["limit"] == 30
    assert told["acceptors"]["value"] < told["acceptors"]["limit"] == 5
    assert told["workers"]["value"] < told["workers"]["limit"] == 60
    assert told["disk"]["value"] > told["disk"]["limit"] == round(0.01 * 2**30)
    assert told["jobs"]["limit"] == 4 * 3600
    assert answer(node, "/live")[0] == 200


def test_what_a_series_leaves_in_the_metrics(node: Node, bundled: Series) -> None:
    with opened(node.port, called="WRONG"):
        pass
    before = len(node.jobs())
    series = fresh(bundled)
    send(series, node.port)
    node.wait_settled(before + 1)

    def is_told() -> bool:
        # By the supervisor once a second, and from the database every five.
        told = scraped(node)
        stored = "lumbar_node_deliveries", (("peer", "pacs"), ("state", "stored"))
        sent = "lumbar_node_steps_total", (("step", "deliver"), ("verdict", "done"))
        loaded = any(name == "lumbar_node_analysis_info" for name, _ in told)
        return loaded and told.get(stored, 0) > before and told[sent] > 0

    wait_until(is_told, what="the delivery is counted", every_s=0.5)
    samples = scraped(node)
    assert value(samples, "instances_received_total", calling_ae="PACS") >= 4
    assert value(samples, "received_bytes_total", calling_ae="PACS") > 4 * 2**10
    reason = "called AE title not recognised"
    assert value(samples, "associations_rejected_total", reason=reason) == 1
    assert value(samples, "series_completed_total", evidence="released-and-quiet") >= 1
    for step in ("triage", "analyse", "encode", "deliver"):
        assert value(samples, "steps_total", step=step, verdict="done") >= 1
        assert value(samples, "step_seconds_count", step=step) >= 1
    assert value(samples, "step_seconds_bucket", step="triage", le="+Inf") >= 1
    assert value(samples, "delivery_attempts_total", peer="pacs", outcome="done") >= 1
    assert value(samples, "deliveries", peer="pacs", state="stored") >= 1
    assert value(samples, "oldest_undelivered_seconds") == 0
    assert value(samples, "process_starts_total", process="worker-0") >= 1
    for process in ("supervisor", "acceptor-0", "worker-0", "ops"):
        assert value(samples, "process_resident_bytes", process=process) > 2**20
    assert value(samples, "disk_free_bytes") > 0
    assert value(samples, "analysis_info", analysis=NAME, version="1") == 1
    _, text = answer(node, "/metrics")
    for secret in (
        series[0].StudyInstanceUID,
        series[0].SeriesInstanceUID,
        str(series[0].PatientName),
        str(series[0].PatientID),
    ):
        assert secret not in text
    assert not re.search(r"\d+\.\d+\.\d+\.\d+\.\d+", text)


def program(name: str) -> str:
    """Return where a program of the Debian package prometheus lies."""
    found = shutil.which(name)
    if found is None:
        missing = f"PEER MISSING: {name}; run `make peers`"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def dashboard_queries(root: Path) -> list[str]:
    """Return what the panels of the Grafana dashboard ask Prometheus."""
    path = root / "deploy" / "grafana" / "lumbar-node.json"
    return [
        target["expr"]
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]


def test_prometheus_scrapes_the_node_and_takes_rules_and_dashboard(
    node: Node, bundled: Series, root: Path, tmp_path: Path
) -> None:
    """Each panel has a value once a series was served and a stranger rejected."""
    with opened(node.port, calling="STRANGER"):
        pass
    before = len(node.jobs())
    send(fresh(bundled), node.port)
    node.wait_settled(before + 1)
    prometheus = program("prometheus")
    folder, port = root / "deploy" / "prometheus", free_port()
    queries = [
        query.replace("$__rate_interval", "1m").replace("$instance", ".*")
        for query in dashboard_queries(root)
    ]
    shutil.copy(folder / "alerts.yaml", tmp_path)
    text = (folder / "prometheus.yaml").read_text()
    for old, new in (("11180", str(ops_port(node))), ("15s", "1s")):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "prometheus.yaml").write_text(text)

    def asked(path: str) -> Any:
        connection = http.client.HTTPConnection(HOST, port, timeout=WITHIN_S)
        try:
            connection.request("GET", f"/api/v1/{path}")
            return json.loads(connection.getresponse().read())["data"]
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def scrape() -> list[Any]:
        found = asked("query?query=up%3D%3D1%20and%20on()%20lumbar_node_database_up")
        return found["result"] if found else []

    def has_value(query: str) -> bool:
        found = asked(f"query?{urlencode({'query': query})}")
        return bool(found and found["result"])

    with subprocess.Popen(
        [
            prometheus,
            "--config.file=prometheus.yaml",
            "--storage.tsdb.path=data",
            f"--web.listen-address={HOST}:{port}",
            "--log.level=error",
        ],
        cwd=tmp_path,
    ) as process:
        try:
            wait_until(lambda: len(scrape()) == 1, what="it scrapes", every_s=0.5)
            (target,) = asked("targets")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
            (group,) = asked("rules")["groups"]
            assert len(group["rules"]) == 13
            assert all(rule["health"] != "err" for rule in group["rules"])
            for query in queries:
                wait_until(
                    partial(has_value, query),
                    what=f"{query} has a value",
                    every_s=0.5,
                )
        finally:
            process.terminate()


def test_promtool_reads_the_metrics_and_the_alerts_name_no_other(
    node: Node, root: Path, bundled: Series
) -> None:
    if not node.jobs():  # some metrics are of jobs
        send(fresh(bundled), node.port)
    node.wait_settled(1)
    wait_until(
        lambda: (
            ("lumbar_node_jobs", (("reason", ""), ("state", "done"))) in scraped(node)
        ),
        what="the job is counted",
        every_s=0.5,
    )
    _, text = answer(node, "/metrics")
    lint = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
    rules = (root / "deploy" / "prometheus" / "alerts.yaml").read_text()
    named = set(re.findall(r"\blumbar_node_\w+", rules))
    assert len(named) == 13
    # Also one without a value, as of certificates where there are none.
    told = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    assert named <= told


def test_a_request_that_is_not_ours_is_refused(node: Node) -> None:
    assert answer(node, "/ready", Host="node.example:443")[0] == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "", "node.example.", "["):
        assert answer(node, "/ready", Host=host)[0] == 400, host
    port = ops_port(node)
    two = b"GET /live HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert b"HTTP/1.1 400" in raw(node, two)
    assert answer(node, "/live", Host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/", "/ready/", "//ready", "/../etc/passwd", "/ready/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd", "/metrics%00", "/node.yaml", "/static/..\\x",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file(node: Node, path: str) -> None:
    status, body = answer(node, path)
    assert status in {307, 404}
    assert "root:" not in body
    assert "ae_title" not in body


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /ready\r\n\r\n",
        b"GET /ready HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET /ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000,
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["tls", "no-version", "no-colon", "length", "header", "path"],
)
def test_a_malformed_or_oversized_request_gets_400(node: Node, request_: bytes) -> None:
    # What was not read when the connection is closed may reset it before the answer.
    assert raw(node, request_)[:12] in {b"HTTP/1.1 400", b""}
    assert answer(node, "/live")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_but_get_is_answered(node: Node, method: str) -> None:
    body = b"x" * 100_000
    told = raw(
        node,
        f"{method} /ready HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body,
    )
    assert told[:12] in {b"HTTP/1.1 405", b""}
    assert answer(node, "/live")[0] == 200


def still_takes(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


def test_a_slow_request_is_cut_and_hinders_nobody(node: Node) -> None:
    started_s = time.monotonic()
    with connected(ops_port(node)) as slow:
        slow.sendall(b"GET /ready HTTP/1.1\r\n")
        while still_takes(slow, b"X"):
            assert answer(node, "/live")[0] == 200
            time.sleep(1)
            assert time.monotonic() - started_s < 3 * CONNECTION_S
    assert time.monotonic() - started_s > CONNECTION_S - 1


def test_two_hundred_at_once_are_answered_and_more_cost_the_oldest(node: Node) -> None:
    with ThreadPoolExecutor(200) as threads:
        codes = list(threads.map(lambda _: answer(node, "/ready")[0], range(200)))
    assert codes == [200] * 200
    with ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS + 20):
            silent = connected(ops_port(node))
            stack.enter_context(silent)
        assert answer(node, "/live")[0] == 200


def test_the_status_command_says_what_ready_says(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, _ = status(node, capsys)
    assert code == 0
    assert re.search(r"^ok +supervisor ", told, re.M)
    code, told, _ = status(node, capsys, "--json")
    as_json = json.loads(told)
    assert as_json["ready"] is True
    assert [check["name"] for check in as_json["checks"]] == list(checks(node))


def test_the_status_command_sees_what_it_can_where_ops_is_off(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, wrong = status(node, capsys, "--json", ops=None)
    assert (code, wrong) == (0, "")
    states = {one["name"]: one["state"] for one in json.loads(told)["checks"]}
    assert states["supervisor"] == states["workers"] == "unknown"
    assert states["acceptors"] == states["database"] == states["disk"] == "ok"

    spool = {**node.settings["spool"], "min_free_gb": 10**6}
    code, told, _ = status(node, capsys, ops=None, spool=spool)
    assert code == NOT_READY
    assert re.search(r"^failed +disk .*GiB", told, re.M)
    assert told.endswith("NOT READY\n")

    nobody = {**node.settings["node"], "port": free_port()}
    code, told, _ = status(node, capsys, **{"ops": None, "node": nobody})
    assert code == UNREACHABLE
    assert "no answer to C-ECHO" in told


def test_its_process_is_frozen_and_killed_while_a_series_is_served(
    node: Node,
    bundled: Series,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dicom_node.ops.ask.TIMEOUT_S", 1.0)
    before = len(node.jobs())
    process = ops_process(node)
    freeze(process.pid)
    try:
        send(fresh(bundled), node.port)
        node.wait_settled(before + 1)
        # It says so, and looks for itself.
        code, told, wrong = status(node, capsys)
        assert code == 0
        assert "does not answer" in wrong
        assert re.search(r"^unknown +supervisor ", told, re.M)
    finally:
        process.send_signal(signal.SIGCONT)
    wait_until(lambda: answer(node, "/ready")[0] == 200, what="ready once it thaws")

    process.kill()
    send(fresh(bundled), node.port)
    node.wait_settled(before + 2)
    wait_until(lambda: answer(node, "/ready")[0] == 200, what="ready anew")
    assert value(scraped(node), "process_deaths_total", process="ops") == 1

    def is_whole() -> bool:
        """Tell whether what was counted before was not lost with it."""
        total = value(scraped(node), "instances_received_total", calling_ae="PACS")
        return total >= 2 * len(bundled)

    wait_until(is_whole, what="all instances are counted", every_s=0.5)
    assert not [row for row in node.events() if row["event"] == "supervisor_fault"]


def test_a_supervisor_that_hangs_is_told(node: Node) -> None:
    freeze(node.process.pid)
    try:
        wait_until(
            lambda: checks(node)["supervisor"]["value"] > 2,
            what="it is told",
            every_s=0.5,
        )
    finally:
        node.process.send_signal(signal.SIGCONT)


def test_requests_with_bytes_changed_at_random_break_nothing(node: Node) -> None:
    whole = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
    chance = random.Random(15)
    for _ in range(300):
        request = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            request[chance.randrange(len(request))] = chance.randrange(256)
        with connected(ops_port(node)) as one:
            one.sendall(request)
            one.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                told = one.recv(12)
                assert not told or told.startswith(b"HTTP/1.1 ")
    assert answer(node, "/ready")[0] == 200
    assert not [row for row in node.events() if row["event"] == "ops_fault"]


def test_a_frozen_process_does_not_hold_up_the_end_of_the_node(node: Node) -> None:
    process, told = ops_process(node), len(node.events())
    freeze(process.pid)
    assert node.stop() == 0
    ended = {row["event"]: row for row in node.events()[told:]}
    assert ended["process_killed"]["process"] == "ops"
    assert ended["node_stopped"]["duration_ms"] < STOP_WITHIN_MS
    assert not process.is_running()
