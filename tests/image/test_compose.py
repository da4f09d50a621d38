"""The composition, brought up by podman-compose: what it claims holds."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.image.test_image import has_results
from tests.support.containers import (
    CONFIG,
    NODE,
    Container,
    confinement,
    inspected,
    own_name,
    podman,
    told,
)
from tests.support.peers import Archive, echo, read_series, send, wait_until

SERVICE = "lumbar-node"
PORT = 11112
HOST_OF_CONTAINERS = "host.containers.internal"
STOPS_WITHIN_S = 15


@dataclass
class Composition:
    """deploy/compose.yaml in a folder of its own, with the settings of a test."""

    folder: Path
    project: str

    def run(self, *words: str) -> str:
        """Run podman-compose, which must succeed."""
        done = podman(
            "-p", self.project, "-f", "compose.yaml", *words,
            program="podman-compose", cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def container(self) -> Container:
        """Its only container."""
        return Container(NODE, name=f"{self.project}_{SERVICE}_1")


@contextmanager
def composed(root: Path, folder: Path, archive: Archive) -> Iterator[Composition]:
    """Bring it up with the settings of the image, and a PACS on this machine."""
    deploy = folder / "deploy"
    deploy.mkdir()
    shutil.copy(root / "deploy" / "compose.yaml", deploy)
    settings = yaml.safe_load((root / "deploy" / "node.yaml").read_text())
    settings["peers"]["pacs"].update(host=HOST_OF_CONTAINERS, port=archive.port)
    settings["spool"]["min_free_gb"] = 0.1
    settings["series"] = {"quiet_s": 1, "confirm_by_c_find": False}
    (deploy / "node.yaml").write_text(yaml.safe_dump(settings))
    composition = Composition(deploy, own_name("composition"))
    told("tag", NODE, f"localhost/{composition.project}_{SERVICE}")
    try:
        composition.run("up", "--detach", "--no-build")
        wait_until(lambda: echo(PORT), what="the node answers C-ECHO", every_s=0.5)
        yield composition
    except BaseException:
        print(composition.container.log()[-4000:])  # noqa: T201
        raise
    finally:
        composition.run("down", "--volumes")
        podman("untag", NODE, f"localhost/{composition.project}_{SERVICE}")
        podman("network", "rm", "--force", f"{composition.project}_default")


@pytest.fixture
def archive() -> Iterator[Archive]:
    """Give an archive that containers reach."""
    with Archive(host="0.0.0.0") as running:
        yield running


def test_what_the_composition_claims_holds(
    root: Path, tmp_path: Path, demo_series: Path, archive: Archive
) -> None:
    claimed: dict[str, Any] = yaml.safe_load(
        (root / "deploy" / "compose.yaml").read_text()
    )["services"][SERVICE]
    series = read_series(demo_series)
    with composed(root, tmp_path, archive) as composition:
        container = composition.container
        host = inspected("container", container.name)["HostConfig"]
        assert host["ReadonlyRootfs"] is claimed["read_only"] is True
        assert host["RestartPolicy"]["Name"] == claimed["restart"]
        assert claimed["tmpfs"] == ["/tmp"]
        # Where the root is read-only podman gives these two of its own.
        assert set(host["Tmpfs"]) - {"/run", "/var/tmp"} == {"/tmp"}
        assert claimed["mem_limit"] == "4g"
        assert host["Memory"] == 4 * 2**30
        for process in container.processes():
            assert confinement(process) == {
                "Uid": "10001",
                "CapEff": "0",
                "CapBnd": "0",
                "NoNewPrivs": "1",
                "Seccomp": "2",
            }
        wait_until(container.healthy, what="healthy", every_s=1)
        assert send(series, PORT) == [0] * len(series)
        wait_until(lambda: has_results(archive, series), what="results", every_s=0.5)
        assert claimed["stop_grace_period"] == f"{STOPS_WITHIN_S}s"
        begun = time.monotonic()
        composition.run("stop")
        assert time.monotonic() - begun < STOPS_WITHIN_S
        assert container.state()["ExitCode"] == 0


def test_what_was_accepted_is_there_after_down_and_up(
    root: Path, tmp_path: Path, demo_series: Path, archive: Archive
) -> None:
    series = read_series(demo_series)
    archive.stop()
    with composed(root, tmp_path, archive) as composition:
        assert send(series, PORT) == [0] * len(series)
        composition.run("down")
        archive.start()
        composition.run("up", "--detach", "--no-build")
        wait_until(lambda: has_results(archive, series), what="results", every_s=0.5)


def test_reload_and_backup_are_as_the_operations_page_has_them(
    root: Path, tmp_path: Path, archive: Archive
) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    os.chown(backup, 10001, 10001)
    with composed(root, tmp_path, archive) as composition:
        config = composition.folder / "node.yaml"
        config.write_text(config.read_text().replace("quiet_s: 1", "quiet_s: 2"))
        # That of Debian has no `kill`, which the page has.
        told("kill", "--signal=HUP", composition.container.name)
        composition.container.wait_for('"settings_reloaded"')
        # That of Debian passes no `-v` to `run`; the rest is as Docker's does it.
        told(
            "run", "--rm", "--read-only", "--cap-drop=ALL",
            f"--volume={composition.project}_spool:/var/lib/lumbar-node",
            f"--volume={config}:{CONFIG}:ro", f"--volume={backup}:/backup",
            NODE, "backup", "/backup/first", "--config", CONFIG,
        )  # fmt: skip
        assert (backup / "first" / "backup.json").is_file()
