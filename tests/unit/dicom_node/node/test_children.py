"""A child is started again, whatever it died of, and nobody waits for it."""

from __future__ import annotations

import os
import resource
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from dicom_node.node.children import Child
from tests.support.peers import WITHIN_S


def answers(pipe: Connection) -> None:
    pipe.send("here")
    pipe.recv()


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open no file more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_want_of_descriptors_delays_the_start_and_ends_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    child = Child("worker-0", f"{__name__}:answers", lambda _start: ())
    now_s = time.monotonic()
    with no_descriptors():
        assert not child.tend(now_s)
    assert child.pid is None
    (told,) = caplog.records
    assert told.getMessage() == "process_not_started"
    fields = vars(told)["node_fields"]
    assert fields["process"] == "worker-0"
    assert fields["retry_s"] > 0

    child.tend(now_s)
    assert child.pid is None  # the pause is not over

    caplog.clear()
    child.tend(now_s + fields["retry_s"])
    assert child.is_alive
    child.kill()
    child.end(5.0)


def sends(pipe: Connection, what: str) -> None:
    pipe.send("here")
    if what == "half a message":
        os.write(pipe.fileno(), struct.pack("!i", 100) + b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "no message":
        pipe.send_bytes(b"nonsense")
    elif what == "an empty message":
        pipe.send_bytes(b"")
    else:
        pipe.send(["of a list"])
    with suppress(EOFError, OSError):
        pipe.recv()


@pytest.mark.parametrize(
    "what", ["half a message", "no message", "an empty message", "another message"]
)
def test_a_child_that_sends_nonsense_is_heard_until_then_and_ended(
    what: str,
) -> None:
    child = Child("worker-0", f"{__name__}:sends", lambda _start: (what,))
    child.start()
    heard: list[str] = []
    end_s = time.monotonic() + WITHIN_S
    while child.is_alive and time.monotonic() < end_s:
        time.sleep(0.01)
        heard.extend(child.messages(str))
    assert heard == ["here"]
    assert child.tend(time.monotonic())
    assert not child.is_alive


def ends(pipe: Connection) -> None:
    pipe.close()
    time.sleep(0.2)
    os._exit(7)


def test_a_child_that_ends_by_itself_is_not_said_to_have_been_killed() -> None:
    child = Child("acceptor-0", f"{__name__}:ends", lambda _start: ())
    child.start()
    while child.is_alive:
        assert list(child.messages(str)) == []
        time.sleep(0.01)
    assert child.tend(time.monotonic())
    assert child.exit_code == 7


def test_nobody_waits_for_a_child_that_is_frozen_and_reads_nothing() -> None:
    child = Child("counter", f"{__name__}:answers", lambda _start: ())
    child.pipe, frozen = Pipe()
    with child.pipe, frozen:
        sent = 0
        while child.send("x" * 500):
            sent += 1
        assert sent > 10
        while frozen.poll():
            frozen.recv()
        assert child.send("x")
