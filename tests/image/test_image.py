"""The image as podman runs it: its user, a read-only root, no capability."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from tests.support.containers import (
    BASE,
    CONFIG,
    FORMER,
    NODE,
    SHUT_IN,
    SPOOL,
    Container,
    Volume,
    confinement,
    inspected,
    podman,
    settings_file,
    size_bytes,
)
from tests.support.peers import (
    Archive,
    echo,
    free_port,
    read_series,
    send,
    wait_until,
)
from tests.support.variants import fresh

USER = "10001"
MOST_BYTES = 450_000_000
STOPS_WITHIN_S = 10
RESULTS = {"SEG": 1, "SR": 1, "OT": 2}


def settings_for(node_port: int, archive_port: int, **more: Any) -> dict[str, Any]:
    """Return settings that the former version reads too."""
    return {
        "version": 1,
        "node": {"ae_title": "LUMBAR_AI", "bind": "127.0.0.1", "port": node_port},
        "peers": {
            "pacs": {"ae_title": "PACS", "host": "127.0.0.1", "port": archive_port}
        },
        "spool": {"folder": SPOOL, "min_free_gb": 0.1},
        "series": {"quiet_s": 1, "confirm_by_c_find": False},
        "routes": [
            {"name": "lumbar", "analysis": "lumbar-mri", "deliver_to": ["pacs"]}
        ],
        **more,
    }


@contextmanager
def node_on(
    volume: Volume, folder: Path, settings: dict[str, Any], image: str = NODE
) -> Iterator[Container]:
    """Run a node until it answers C-ECHO."""
    config = settings_file(folder, settings)
    mounts = (f"--volume={config}:{CONFIG}:ro", f"--volume={volume.name}:{SPOOL}")
    with Container(image, (*SHUT_IN, *mounts)) as node:
        port = settings["node"]["port"]

        def answers() -> bool:
            assert node.state()["Running"], node.log()
            return echo(port)

        wait_until(answers, what="the node answers C-ECHO", every_s=0.5)
        yield node


def has_results(archive: Archive, series: Sequence[Dataset]) -> bool:
    """Return whether a series has all its results, and none twice."""
    found = archive.results_of(series)
    kinds = Counter(str(result.Modality) for result in found)
    assert all(kinds[kind] <= most for kind, most in RESULTS.items()), kinds
    return kinds == RESULTS


def test_it_adds_little_to_its_base() -> None:
    added = size_bytes(NODE) - size_bytes(BASE)
    assert added <= MOST_BYTES, f"{added / 1e6:.0f} MB"


def test_it_says_how_it_is_to_be_run() -> None:
    config = inspected("image", NODE)["Config"]
    assert config["User"] == USER
    assert config["StopSignal"] in {"SIGTERM", "15"}
    assert config["Volumes"] == {SPOOL: {}}
    # The format of OCI would have lost it.
    check = inspected("image", NODE)["Healthcheck"]
    assert check["Test"] == ["CMD", "lumbar-node", "status", "--config", CONFIG]


def test_there_is_nothing_in_it_to_install_or_build_with() -> None:
    look = "for name in pip pip3 gcc cc make git; do command -v $name; done; exit 0"
    done = podman("run", "--rm", "--entrypoint=sh", NODE, "-c", look)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_installation_is_whole_in_it() -> None:
    done = podman("run", "--rm", *SHUT_IN, NODE, "check", "--config", CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}


LOAD_ALL = """
import ctypes, pathlib, sys
packages = next(pathlib.Path(sys.prefix).glob("lib/python3.*/site-packages"))
found = [path for path in packages.rglob("*.so*") if ".libs/" not in str(path)]
for path in found:
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        print(error)
print(len(found) > 100)
"""


def test_every_library_that_was_made_smaller_can_be_loaded() -> None:
    python = "--entrypoint=/opt/lumbar-node/bin/python"
    done = podman("run", "--rm", *SHUT_IN, python, NODE, "-c", LOAD_ALL)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_wrong_settings_end_it_with_2(tmp_path: Path) -> None:
    config = settings_file(tmp_path, {"version": 1, "nodes": {}})
    mount = f"--volume={config}:{CONFIG}:ro"
    done = podman("run", "--rm", *SHUT_IN, mount, NODE)
    assert done.returncode == 2
    assert "nodes" in done.stdout + done.stderr


def test_a_series_goes_in_and_results_come_out(
    demo_series: Path, tmp_path: Path
) -> None:
    series = read_series(demo_series)
    with Archive() as archive, Volume() as volume:
        settings = settings_for(free_port(), archive.port, ops={"port": free_port()})
        with node_on(volume, tmp_path, settings) as node:
            wait_until(node.healthy, what="healthy", every_s=1)
            assert send(series, settings["node"]["port"]) == [0] * len(series)
            wait_until(
                lambda: has_results(archive, series), what="results", every_s=0.5
            )
            confined = [confinement(process) for process in node.processes()]
            assert len(confined) > 3
            for found in confined:
                assert found == {
                    "Uid": USER,
                    "CapEff": "0",
                    "CapBnd": "0",
                    "NoNewPrivs": "1",
                    "Seccomp": "2",
                }
            for folder in ("/", "/opt/lumbar-node", "/etc", "/run", "/var/tmp"):
                refused = node.command("touch", f"{folder}/written")
                assert "Read-only file system" in refused.stderr, folder
            assert node.command("touch", "/tmp/written").returncode == 0
            assert node.stop(STOPS_WITHIN_S) == 0
    assert has_results(archive, series)


def test_a_node_that_stands_still_is_not_healthy(tmp_path: Path) -> None:
    with Volume() as volume:
        settings = settings_for(free_port(), free_port(), ops={"port": free_port()})
        with node_on(volume, tmp_path, settings) as node:
            wait_until(node.healthy, what="healthy", every_s=1)
            frozen = node.processes()
            for process in frozen:
                process.send_signal(signal.SIGSTOP)
            try:
                assert not node.healthy()
            finally:
                for process in frozen:
                    process.send_signal(signal.SIGCONT)
            wait_until(node.healthy, what="healthy again", every_s=1)


def test_what_the_former_image_owed_the_new_one_delivers(
    demo_series: Path, tmp_path: Path
) -> None:
    waiting = read_series(demo_series)
    arriving = fresh(waiting)
    archive = Archive()
    archive.port = free_port()
    settings = settings_for(free_port(), archive.port)
    # Killed, a node does not know that the sender had released, and waits for it.
    settings["series"]["max_wait_s"] = 30
    port = settings["node"]["port"]
    with Volume() as volume:
        with node_on(volume, tmp_path, settings, FORMER) as former:
            send(waiting, port)
            former.wait_for('"delivery_attempted"')  # nobody listens there
            send(arriving, port)
            podman("kill", "--signal=KILL", former.name)
        with archive, node_on(volume, tmp_path, settings) as node:
            wait_until(
                lambda: all(has_results(archive, one) for one in (waiting, arriving)),
                what="results of what the former image had accepted",
                every_s=0.5,
            )
            listed = node.command(
                "lumbar-node", "jobs", "list", "--json", "--config", CONFIG
            )
            states = [row["state"] for row in json.loads(listed.stdout)]
            assert states == ["done", "done"]
            assert node.stop(STOPS_WITHIN_S) == 0
        for series in (waiting, arriving):
            assert has_results(archive, series)


def test_the_former_image_is_another_one() -> None:
    assert inspected("image", FORMER)["Id"] != inspected("image", NODE)["Id"]


@pytest.mark.parametrize("image", [NODE, FORMER])
def test_both_run_as_the_same_user(image: str) -> None:
    done = podman("run", "--rm", "--entrypoint=id", image, "-u")
    assert done.stdout.strip() == USER
