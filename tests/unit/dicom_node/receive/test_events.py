"""What an acceptor tells the supervisor comes whole, in order and soon."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from dicom_node.receive.events import (
    AssociationClosed,
    AssociationEnding,
    AssociationOpened,
    EventPipe,
)

LONG_S = 10.0


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    """Return the supervisor's end and the acceptor's."""
    theirs, ours = Pipe()
    with theirs, ours:
        yield theirs, ours


def test_events_come_in_the_order_in_which_they_happened(
    ends: tuple[Connection, Connection],
) -> None:
    theirs, ours = ends
    events = EventPipe(ours)
    for number in range(50):
        events.association_opened(str(number), "PACS")
        events.association_closed(str(number), AssociationEnding.RELEASED)
    found = [theirs.recv() for _ in range(100) if theirs.poll(LONG_S)]
    assert found == [
        event
        for number in map(str, range(50))
        for event in (
            AssociationOpened(number, "PACS"),
            AssociationClosed(number, AssociationEnding.RELEASED),
        )
    ]


def test_what_happens_while_the_sender_pauses_is_sent_before_it_ends(
    ends: tuple[Connection, Connection],
) -> None:
    theirs, ours = ends
    events = EventPipe(ours)
    events.association_opened("1", "PACS")
    assert theirs.poll(LONG_S)  # it was sent, and the pause begins
    events.association_opened("2", "PACS")
    events.close(LONG_S)
    assert [theirs.recv().association_id for _ in range(2)] == ["1", "2"]
