"""`lumbar-node test`: through the running node, to nobody but its own sink."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from dicom_node.cli.exit_code import ExitCode
from dicom_node.cli.main import main
from dicom_node.cli.test_command import PATIENT_ID
from dicom_node.settings.self_test import TEST_PEER, TEST_TITLE
from tests.support.node_process import Node, node_for
from tests.support.peers import HOST, Archive, free_port
from tests.support.phantom_plugin import NAME, make_installed

pynetdicom_drops_its_socket = pytest.mark.filterwarnings(
    # It leaves a socket that could not be used to the garbage collector.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with Archive() as archive:
        yield archive


@pytest.fixture(scope="module")
def node(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("self test")
    environment = make_installed(folder / "site")
    node = node_for(folder / "node", archive, analysis=NAME, environment=environment)
    node.settings["node"]["test_port"] = free_port()
    with node:
        yield node


def ran(node: Node, capsys: Captured, *words: str) -> tuple[int, dict[str, Any]]:
    """Run the command here; return its exit code and what it printed."""
    # The phantom is installed for the node alone.
    routes = [{**one, "analysis": "lumbar-mri"} for one in node.settings["routes"]]
    config = node.folder / "test.yaml"
    config.write_text(json.dumps({**node.settings, "routes": routes}))
    code = main(["test", "--json", "--config", str(config), *words])
    return code, json.loads(capsys.readouterr().out or "{}")


def test_results_come_to_the_command_and_to_no_peer(
    node: Node, archive: Archive, capsys: Captured
) -> None:
    before = len(archive.received)
    code, told = ran(node, capsys)
    assert (code, told["passed"]) == (ExitCode.DONE, True)
    assert {one["modality"] for one in told["results"]} == {"SEG", "SR", "OT"}
    steps = ["sent", "complete", "triage", "analyse", "encode", "send", "all"]
    assert list(told["seconds"]) == steps
    assert told["seconds"]["all"] >= told["seconds"]["complete"] > 0
    (row,) = [row for row in node.jobs() if row["id"] == told["job_id"]]
    assert (row["calling_ae"], row["state"]) == (TEST_TITLE, "done")
    assert dict(row["deliveries"]) == {TEST_PEER: "stored"}
    assert len(archive.received) == before


def test_a_peer_gets_series_and_results_of_a_test_patient(
    node: Node, archive: Archive, capsys: Captured
) -> None:
    before = len(archive.received)
    code, told = ran(node, capsys, "--peer", "pacs")
    assert (code, told["archived"]) == (ExitCode.DONE, 9 + len(told["results"]))
    came = archive.received[before:]
    assert len(came) == told["archived"]
    assert {str(one.PatientID) for one in came} == {PATIENT_ID}
    assert len({str(one.StudyInstanceUID) for one in came}) == 1


def test_what_is_not_in_time_is_told_and_waits_for_no_sink(
    node: Node, capsys: Captured
) -> None:
    known = len(node.jobs())
    code, told = ran(node, capsys, "--within", "0.01")
    assert (code, told["passed"]) == (ExitCode.FAILED, False)
    assert "within 0.01 s" in told["reasons"][0] or "cancelled" in told["reasons"][0]
    node.wait_settled(known + 1)
    assert node.jobs()[0]["state"] in {"failed", "cancelled"}


@pynetdicom_drops_its_socket
def test_a_sink_whose_port_is_taken_is_told_by_its_setting(
    node: Node, capsys: Captured
) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, node.settings["node"]["test_port"]))
        other.listen()
        assert ran(node, capsys)[0] == ExitCode.FAILED


@pynetdicom_drops_its_socket
def test_a_node_that_is_not_there_ends_with_3(
    node: Node, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {**node.settings["node"], "port": free_port()}
    monkeypatch.setitem(node.settings, "node", changed)
    assert ran(node, capsys)[0] == ExitCode.UNREACHABLE
