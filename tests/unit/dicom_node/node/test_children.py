"""A child is started again, also where the machine could not do so at first."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import pytest

from dicom_node.node.children import Child


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
