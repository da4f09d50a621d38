"""What systemd hears: a real datagram socket takes its place."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.node.service_manager import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(1)
        yield bound


def test_the_manager_hears_of_start_life_and_end(manager: socket.socket) -> None:
    told = ServiceManager(
        {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "6000000"}
    )
    told.ready()
    for now_s in (10.0, 11.0, 12.5):  # a third of six seconds is two
        told.alive(now_s)
    told.stopping()
    manager.setblocking(False)
    heard = [manager.recv(64) for _ in range(4)]
    assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]
    with pytest.raises(BlockingIOError):
        manager.recv(64)


def test_a_name_in_the_abstract_name_space_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("\0lumbar-node-test-notify")
        bound.settimeout(1)
        ServiceManager({"NOTIFY_SOCKET": "@lumbar-node-test-notify"}).ready()
        assert bound.recv(64) == b"READY=1"


def test_without_a_watchdog_no_sign_of_life_is_sent(manager: socket.socket) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()})
    told.alive(1.0)
    told.stopping()
    assert manager.recv(64) == b"STOPPING=1"


def test_without_a_manager_nothing_is_told(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        ServiceManager(environment).ready()


def test_the_manager_hears_of_a_reload_and_in_one_line_of_what_came_of_it(
    manager: socket.socket,
) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()})
    told.reloading()
    assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    told.reloaded("settings reloaded: peers\nREADY=0")
    assert manager.recv(100) == b"READY=1\nSTATUS=settings reloaded: peers"
