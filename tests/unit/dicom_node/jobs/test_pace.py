"""How often a worker looks into its queues."""

from __future__ import annotations

from sqlalchemy.exc import OperationalError

from dicom_node.jobs.dbos_setup import CALM_POLL_S, EAGER_POLL_S, POLL_S
from dicom_node.jobs.pace import CALM_AFTER_S, EXPECTED_FOR_S, Pace

LONG_S = EXPECTED_FOR_S + 1


class Clock:
    """Tells the time that it is set to, and notes which pace was set."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.set: list[float] = []
        self.pace = Pace(self.set.append, lambda: self.now_s)


def test_a_worker_that_has_long_been_idle_looks_seldom_and_says_so_once() -> None:
    clock = Clock()
    clock.now_s += LONG_S
    for _ in range(3):
        clock.pace.rest(LONG_S)
    assert clock.set == [CALM_POLL_S]


def test_a_worker_that_has_just_worked_goes_on_as_usual() -> None:
    clock = Clock()
    clock.now_s += LONG_S
    clock.pace.rest(CALM_AFTER_S - 1)
    assert clock.set == []


def test_a_series_that_arrives_ends_the_rest_and_none_begins_while_it_is_due() -> None:
    clock = Clock()
    clock.now_s += LONG_S
    clock.pace.rest(LONG_S)
    clock.pace.expect()
    clock.now_s += EXPECTED_FOR_S - 1
    clock.pace.rest(2 * LONG_S)
    assert clock.set == [CALM_POLL_S, EAGER_POLL_S]


def test_a_series_that_becomes_no_analysis_is_soon_forgotten() -> None:
    clock = Clock()
    clock.pace.expect()
    clock.pace.begin(is_analysis=False)
    clock.now_s += CALM_AFTER_S + 1
    clock.pace.rest(CALM_AFTER_S + 1)
    assert clock.set == [EAGER_POLL_S, CALM_POLL_S]


def test_haste_is_told_again_for_another_worker_may_have_ended_it() -> None:
    clock = Clock()
    clock.pace.expect()
    clock.pace.expect()
    assert clock.set == [EAGER_POLL_S, EAGER_POLL_S]


def test_a_pace_that_was_not_taken_is_set_again() -> None:
    taken: list[float] = []
    faults = [OperationalError("update", None, Exception("locked"))]

    def set_pace(pace_s: float) -> None:
        if faults:
            raise faults.pop()
        taken.append(pace_s)

    pace = Pace(set_pace)
    pace.expect()
    pace.expect()
    assert taken == [EAGER_POLL_S]


def test_any_step_ends_the_rest_for_what_comes_after_it_is_due() -> None:
    clock = Clock()
    clock.now_s += LONG_S
    clock.pace.rest(LONG_S)
    for _ in range(2):
        clock.pace.begin(is_analysis=False)
    assert clock.set == [CALM_POLL_S, POLL_S]


def test_an_analysis_ends_the_haste_with_which_it_was_expected() -> None:
    clock = Clock()
    clock.pace.expect()
    clock.pace.begin(is_analysis=False)
    clock.pace.begin(is_analysis=True)
    assert clock.set == [EAGER_POLL_S, POLL_S]


def test_a_database_that_does_not_take_the_pace_stops_no_work() -> None:
    def refuse(_pace_s: float) -> None:
        statement = "update"
        raise OperationalError(statement, None, Exception("locked"))

    pace = Pace(refuse)
    pace.expect()
    pace.begin(is_analysis=True)
