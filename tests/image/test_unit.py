"""The unit, run by systemd in a machine of its own: what it claims holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.image.test_image import has_results
from tests.support.certificates import authority, signed
from tests.support.containers import (
    CONFIG,
    MACHINE,
    Container,
    confinement,
    told,
)
from tests.support.peers import (
    Archive,
    echo,
    free_port,
    read_series,
    send,
    wait_until,
)

UNIT = "lumbar-node.service"
DROP_INS = f"/etc/systemd/system/{UNIT}.d"
STOPS_WITHIN_S = 10


@dataclass
class Machine:
    """A Debian with systemd, in which the unit is installed as its comment says."""

    container: Container
    settings: dict[str, Any]
    folder: Path
    archive: Archive

    @property
    def port(self) -> int:
        """Where the node listens."""
        port: int = self.settings["node"]["port"]
        return port

    def run(self, *words: str) -> str:
        """Run a command in it, which must succeed."""
        done = self.container.command(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def show(self, name: str) -> str:
        """Return a property of the unit."""
        return self.run("systemctl", "show", "-P", name, UNIT)

    def copy(self, path: Path, to: str, mode: str = "644") -> None:
        """Lay a file of root there."""
        self.run("mkdir", "-p", str(Path(to).parent))
        told("cp", str(path), f"{self.container.name}:{to}")
        self.run("chown", "root:root", to)
        self.run("chmod", mode, to)

    def configure(self, **changes: Any) -> None:
        """Write the settings, changed."""
        path = self.folder / "node.yaml"
        path.write_text(yaml.safe_dump({**self.settings, **changes}))
        self.copy(path, CONFIG)

    def drop_in(self, name: str, text: str) -> None:
        """Lay a drop-in beside the unit."""
        path = self.folder / name
        path.write_text(text)
        self.copy(path, f"{DROP_INS}/{name}")
        self.run("systemctl", "daemon-reload")

    def processes(self) -> list[psutil.Process]:
        """Return the node's, the supervisor first."""
        machine = psutil.Process(self.container.state()["Pid"])
        main = next(
            child
            for child in machine.children()
            if "lumbar-node" in " ".join(child.cmdline())
        )
        return [main, *main.children(recursive=True)]


@pytest.fixture
def machine(root: Path, tmp_path: Path) -> Iterator[Machine]:
    """Give one with the unit installed, not started."""
    options = ("--systemd=always", "--privileged", "--network=host")
    with Archive() as archive, Container(MACHINE, options) as container:
        settings = yaml.safe_load((root / "deploy" / "node.yaml").read_text())
        settings["node"] |= {"port": free_port(), "bind": "127.0.0.1"}
        settings["peers"]["pacs"] |= {"host": "127.0.0.1", "port": archive.port}
        settings["spool"]["min_free_gb"] = 0.1
        settings["series"] = {"quiet_s": 1, "confirm_by_c_find": False}
        settings["ops"] = {"port": free_port()}
        made = Machine(container, settings, tmp_path, archive)
        ready = ("systemctl", "is-system-running")
        wait_until(
            lambda: container.command(*ready).stdout.strip() == "running",
            what="systemd is running",
            every_s=0.5,
        )
        made.copy(root / "deploy" / UNIT, f"/etc/systemd/system/{UNIT}")
        made.run("systemctl", "daemon-reload")
        made.configure()
        yield made
        # pytest shows it where the test has failed.
        print(made.run("journalctl", "-u", UNIT, "-n", "40"))  # noqa: T201


def test_the_node_works_as_the_unit_shuts_it_in(
    machine: Machine, demo_series: Path
) -> None:
    series = read_series(demo_series)
    machine.run("systemctl", "start", UNIT)  # returns when READY=1 was said
    assert echo(machine.port)
    assert send(series, machine.port) == [0] * len(series)
    wait_until(
        lambda: has_results(machine.archive, series), what="results", every_s=0.5
    )
    user = machine.show("UID")
    assert int(user) > 60000  # of those that exist only while a unit runs
    for process in machine.processes():
        assert confinement(process) == {
            "Uid": user,
            "CapEff": "0",
            "CapBnd": "0",
            "NoNewPrivs": "1",
            "Seccomp": "2",
        }
        assert process.rlimit(psutil.RLIMIT_CORE)[1] == 0
    spool = machine.run("stat", "-c", "%a %u", "/var/lib/private/lumbar-node")
    assert spool == f"700 {user}"
    assert machine.show("MemoryMax") == str(4 * 2**30)
    begun = time.monotonic()
    machine.run("systemctl", "stop", UNIT)
    assert time.monotonic() - begun < STOPS_WITHIN_S
    assert machine.show("Result") == "success"


def test_a_reload_is_told_in_the_status(machine: Machine) -> None:
    machine.run("systemctl", "start", UNIT)
    machine.configure(series={"quiet_s": 2, "confirm_by_c_find": False})
    machine.run("systemctl", "reload", UNIT)
    wait_until(lambda: machine.show("StatusText") != "", what="status", every_s=0.5)
    taken = machine.show("StatusText")
    machine.configure(series={"quiet_s": "two"})
    refused = machine.container.command("systemctl", "reload", UNIT)
    assert refused.returncode != 0
    assert "series.quiet_s" in machine.run("journalctl", "-u", UNIT, "-o", "cat")
    assert machine.show("StatusText") == taken
    assert machine.show("ActiveState") == "active"
    assert echo(machine.port)


def test_wrong_settings_are_not_tried_again(machine: Machine) -> None:
    machine.configure(nodes={})
    assert machine.container.command("systemctl", "start", UNIT).returncode != 0
    time.sleep(6)  # RestartSec is 5
    assert machine.show("ActiveState") == "failed"
    assert machine.show("ExecMainStatus") == "2"
    assert machine.show("NRestarts") == "0"


def test_a_supervisor_that_stands_still_is_started_again(machine: Machine) -> None:
    machine.drop_in("quick.conf", "[Service]\nWatchdogSec=6\nRestartSec=1\n")
    machine.run("systemctl", "start", UNIT)
    before = machine.show("MainPID")
    machine.run("kill", "-STOP", before)
    wait_until(
        lambda: (
            machine.show("NRestarts") == "1" and machine.show("ActiveState") == "active"
        ),
        what="systemd starts it again",
        every_s=1,
    )
    assert machine.show("MainPID") != before
    assert echo(machine.port)


def test_keys_that_root_alone_may_read_reach_the_node(
    machine: Machine, root: Path, tmp_path: Path
) -> None:
    by = authority(tmp_path)
    own = signed(tmp_path, "node", by)
    for path, name in (
        (own.certificate, "tls.crt"), (own.key, "tls.key"), (by.certificate, "ca.crt"),
    ):  # fmt: skip
        machine.copy(path, f"/etc/lumbar-node/{name}", "600")
    credentials = f"/run/credentials/{UNIT}"
    tls = {
        "certificate_file": f"{credentials}/tls.crt",
        "key_file": f"{credentials}/tls.key",
        "ca_file": f"{credentials}/ca.crt",
    }
    machine.configure(node={**machine.settings["node"], "tls": tls})
    assert machine.container.command("systemctl", "start", UNIT).returncode != 0
    assert machine.show("ExecMainStatus") == "2"
    drop_in = (root / "deploy" / f"{UNIT}.d" / "tls.conf").read_text()
    machine.drop_in("tls.conf", drop_in)
    machine.run("systemctl", "reset-failed", UNIT)
    machine.run("systemctl", "start", UNIT)
    shown = machine.run(
        "sh", "-c",
        f"openssl s_client -connect 127.0.0.1:{machine.port} "
        "-CAfile /etc/lumbar-node/ca.crt -verify_return_error </dev/null 2>&1; exit 0",
    )  # fmt: skip
    assert "Verify return code: 0 (ok)" in shown
