"""Of several machines that could receive, one does, and knows for how long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicom_node.jobs.node_lease import NodeIdentity, NodeLease
from tests.support.peers import wait_until

NORTH = NodeIdentity(id="spool/north", name="LUMBAR_AI on machine north")
SOUTH = NodeIdentity(id="spool/south", name="LUMBAR_AI on machine south")
BEAT_S = 0.05
LONG_BEAT_S = 0.5
"""A thread that counts may wait for a processor for longer than three short beats."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


@pytest.fixture
def north(url: str) -> Iterator[NodeLease]:
    lease = NodeLease(url, NORTH, beat_s=BEAT_S)
    assert lease.try_take() == ""
    with lease.held():
        yield lease


def test_a_second_machine_stands_by_while_the_first_counts(
    url: str,
) -> None:
    north = NodeLease(url, NORTH, beat_s=LONG_BEAT_S)
    assert north.try_take() == ""
    south = NodeLease(url, SOUTH, beat_s=LONG_BEAT_S)
    end_s = time.monotonic() + 6 * LONG_BEAT_S
    with north.held():
        while time.monotonic() < end_s:
            assert south.try_take() == NORTH.name
            time.sleep(LONG_BEAT_S / 5)
        assert not north.is_lost


def test_it_takes_over_at_once_when_the_first_is_stopped(url: str) -> None:
    first = NodeLease(url, NORTH, beat_s=60)
    assert first.try_take() == ""
    with first.held():
        pass
    south = NodeLease(url, SOUTH, beat_s=60)
    assert south.try_take() == ""
    with south.held():
        assert not south.is_lost


def test_a_holder_knows_that_its_time_is_over_before_another_takes_it(url: str) -> None:
    # It holds for two beats, and is taken over after three; here it never counts.
    dead = NodeLease(url, NORTH, beat_s=0.2)
    dead._ended.set()
    assert dead.try_take() == ""
    valid_until_s = dead.valid_until_s.value
    south = NodeLease(url, SOUTH, beat_s=0.2)
    wait_until(lambda: south.try_take() == "", what="it is taken over", every_s=0.02)
    assert time.monotonic() > valid_until_s
    with south.held():
        assert south.valid_until_s.value > time.monotonic()


def test_what_a_database_that_was_away_hides_calls_nobody_dead(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = NodeLease(url, NORTH, beat_s=0.2)
    dead._ended.set()
    assert dead.try_take() == ""
    south = NodeLease(url, SOUTH, beat_s=0.2)
    assert south.try_take() == NORTH.name
    with monkeypatch.context() as patch:
        patch.setattr(
            "dicom_node.jobs.node_lease._row",
            lambda _engine: (_ for _ in ()).throw(sa.exc.SQLAlchemyError()),
        )
        time.sleep(0.7)
        assert "the job database failed" in south.try_take()
    # The three beats begin anew with the first look that succeeds.
    assert south.try_take() == NORTH.name


def test_a_holder_whose_lease_was_taken_may_acknowledge_nothing(
    url: str, north: NodeLease
) -> None:
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("UPDATE lumbar_node_lease SET token = 'other'"))
    wait_until(lambda: north.is_lost, what="it knows")
    assert north.valid_until_s.value < time.monotonic()
