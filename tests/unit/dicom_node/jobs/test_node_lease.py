"""One node a database: who is refused, who waits, and who gives way."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicom_node.errors import StartError
from dicom_node.jobs.node_lease import NodeIdentity, NodeLease
from tests.support.peers import wait_until

BEAT_S = 0.1
OURS = NodeIdentity(id="1", name="LUMBAR_AI on one with the spool /a")
THEIRS = NodeIdentity(id="2", name="SPINE_AI on two with the spool /b")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


def lease(url: str, identity: NodeIdentity, beat_s: float = BEAT_S) -> NodeLease:
    return NodeLease(url, identity, beat_s=beat_s)


def left_by_a_dead_node(url: str, identity: NodeIdentity) -> None:
    """Leave the row of a node that was killed: nobody counts in it any more."""
    with lease(url, identity):
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            row = connection.execute(sa.text("SELECT * FROM lumbar_node_lease")).one()
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE lumbar_node_lease SET token = :token, beats = :beats"),
            {"token": row.token, "beats": row.beats},
        )
    engine.dispose()


def test_a_second_node_is_refused_with_both_names(url: str) -> None:
    with (
        lease(url, OURS) as held,
        pytest.raises(StartError) as caught,
        # It sees a beat within one look, and gives a slow disk half a minute.
        lease(url, THEIRS, beat_s=10),
    ):
        pass
    assert OURS.name in str(caught.value)
    assert THEIRS.name in str(caught.value)
    assert not held.is_lost


def test_a_node_that_stopped_leaves_the_database_to_another_at_once(url: str) -> None:
    with lease(url, OURS):
        pass
    started_s = time.monotonic()
    with NodeLease(url, THEIRS, beat_s=60):
        assert time.monotonic() - started_s < 60


def test_a_node_that_was_killed_has_its_database_back_at_once(url: str) -> None:
    left_by_a_dead_node(url, OURS)
    started_s = time.monotonic()
    with NodeLease(url, OURS, beat_s=60) as held:
        assert time.monotonic() - started_s < 60
        assert not held.is_lost


def test_another_node_waits_until_the_holder_has_missed_beats(url: str) -> None:
    left_by_a_dead_node(url, OURS)
    started_s = time.monotonic()
    with lease(url, THEIRS) as held:
        assert time.monotonic() - started_s >= 3 * BEAT_S
        assert not held.is_lost


def test_a_node_whose_database_was_taken_notices(url: str) -> None:
    with lease(url, OURS) as first:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE lumbar_node_lease SET token = 'other'"))
        engine.dispose()
        wait_until(lambda: first.is_lost, what="the loss is noticed")
