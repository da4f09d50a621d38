"""The limit of open associations over all acceptors."""

from __future__ import annotations

from dicom_node.receive.receiver import AssociationSlots, shared_counts


def test_the_limit_holds_over_all_acceptors() -> None:
    counts = shared_counts(2)
    first = AssociationSlots(counts, 0, limit=3)
    second = AssociationSlots(counts, 1, limit=3)
    assert [first.take(), second.take(), first.take()] == [True, True, True]
    assert not second.take()
    first.give()
    assert second.take()


def test_the_successor_of_a_killed_acceptor_frees_its_slots() -> None:
    counts = shared_counts(2)
    other = AssociationSlots(counts, 1, limit=1)
    AssociationSlots(counts, 0, limit=1).take()
    assert not other.take()
    AssociationSlots(counts, 0, limit=1)
    assert other.take()
