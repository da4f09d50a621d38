"""A machine that alone has lost the shared spool gives up; no other does."""

from __future__ import annotations

import pytest

from dicom_node.errors import JobDatabaseError
from dicom_node.node.spool_watch import GIVE_UP_AFTER_S, SpoolWatch

LONG_S = GIVE_UP_AFTER_S + 10


def lost_after(seconds: float, *, gone: bool = True, stands_by: bool = True) -> bool:
    watch = SpoolWatch(lambda: gone, lambda: stands_by)
    now_s = 100.0
    while now_s <= 100.0 + seconds:
        watch.turn(now_s)
        now_s += 1.0
    return watch.is_lost


@pytest.mark.parametrize(
    ("seconds", "gone", "stands_by", "wanted"),
    [
        (LONG_S, True, True, True),
        (GIVE_UP_AFTER_S - 1, True, True, False),
        (LONG_S, True, False, False),
        (LONG_S, False, True, False),
    ],
)
def test_reception_is_given_up_after_a_while_and_only_to_another(
    *, seconds: float, gone: bool, stands_by: bool, wanted: bool
) -> None:
    assert lost_after(seconds, gone=gone, stands_by=stands_by) is wanted


def test_a_spool_that_comes_back_counts_anew() -> None:
    gone = True
    watch = SpoolWatch(lambda: gone, lambda: True)
    watch.turn(0.0)
    gone = False
    watch.turn(GIVE_UP_AFTER_S / 2)
    gone = True
    watch.turn(GIVE_UP_AFTER_S)
    assert not watch.is_lost


def test_who_cannot_ask_the_database_stays() -> None:
    def away() -> bool:
        raise JobDatabaseError

    watch = SpoolWatch(lambda: True, away)
    for now_s in range(round(LONG_S)):
        watch.turn(float(now_s))
    assert not watch.is_lost
