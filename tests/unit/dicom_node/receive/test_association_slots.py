"""The limits of open associations over all acceptors, and of one AE title."""

from __future__ import annotations

from dicom_node.receive.association_slots import (
    AssociationSlots,
    SlotRefusal,
    association_table,
)


def test_the_limit_holds_over_all_acceptors() -> None:
    table = association_table(2)
    first = AssociationSlots(table, 0, limit=3, title_limit=3)
    second = AssociationSlots(table, 1, limit=3, title_limit=3)
    taken = [first.take("A"), second.take("B"), first.take("C")]
    assert not any(isinstance(slot, SlotRefusal) for slot in taken)
    assert second.take("D") is SlotRefusal.NODE_FULL
    assert isinstance(taken[0], int)
    first.give(taken[0])
    assert isinstance(second.take("D"), int)


def test_a_title_has_its_own_limit_over_all_acceptors() -> None:
    table = association_table(2)
    first = AssociationSlots(table, 0, limit=4, title_limit=2)
    second = AssociationSlots(table, 1, limit=4, title_limit=2)
    assert isinstance(first.take("A"), int)
    assert isinstance(second.take("A"), int)
    assert first.take("A") is SlotRefusal.TITLE_FULL
    assert isinstance(first.take("B"), int)


def test_the_successor_of_a_killed_acceptor_frees_its_slots() -> None:
    table = association_table(2)
    other = AssociationSlots(table, 1, limit=1, title_limit=1)
    AssociationSlots(table, 0, limit=1, title_limit=1).take("A")
    assert other.take("A") is SlotRefusal.NODE_FULL
    AssociationSlots(table, 0, limit=1, title_limit=1)
    assert isinstance(other.take("A"), int)
