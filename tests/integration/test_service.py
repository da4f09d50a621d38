"""The node as systemd and a container engine run it."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

from tests.support.frozen import freeze
from tests.support.node_process import node_for
from tests.support.peers import WITHIN_S, Archive

WRONG_SETTINGS = 2
UNREACHABLE = 3


def heard(manager: socket.socket, state: bytes, *, within_s: float) -> bool:
    deadline_s = time.monotonic() + within_s
    manager.settimeout(0.5)
    while time.monotonic() < deadline_s:
        try:
            if manager.recv(64) == state:
                return True
        except TimeoutError:
            continue
    return False


def test_the_manager_hears_from_the_node_and_the_node_answers_itself(
    tmp_path: Path,
) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        Archive() as archive,
    ):
        manager.bind(str(tmp_path / "notify"))
        environment = {
            "NOTIFY_SOCKET": manager.getsockname(),
            "WATCHDOG_USEC": "3000000",
        }
        node = node_for(tmp_path / "node", archive, environment=environment)
        with node:
            assert heard(manager, b"READY=1", within_s=WITHIN_S)
            assert heard(manager, b"WATCHDOG=1", within_s=WITHIN_S)
            healthy = node.command("echo")
            assert healthy.returncode == 0, healthy.stderr
            assert "the node (LUMBAR_AI" in healthy.stdout

            # A supervisor that hangs gives no sign, and the watchdog ends it.
            freeze(node.process.pid)
            while heard(manager, b"WATCHDOG=1", within_s=0.6):
                pass
            assert not heard(manager, b"WATCHDOG=1", within_s=3)
            node.process.send_signal(signal.SIGCONT)
            assert heard(manager, b"WATCHDOG=1", within_s=WITHIN_S)

            node.process.send_signal(signal.SIGTERM)
            assert heard(manager, b"STOPPING=1", within_s=WITHIN_S)
            assert node.process.wait(WITHIN_S) == 0
        assert node.command("echo").returncode == UNREACHABLE

        # Wrong settings are no reason to start again and again.
        node.settings["node"]["port"] = "many"
        node.start(wait=False)
        assert node.process.wait(WITHIN_S) == WRONG_SETTINGS
