"""Probabilities of a grade that promise no more than was kept."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.lumbar.judge.grade.grade_range import MOST, bracket, honest, rival
from analysis.lumbar.judge.grade.grading import DiscGrade
from analysis.lumbar.tell.grade_words import grade_words, narrowing_words
from analysis.lumbar.tell.words import words_of

SURE = np.array([0.02, 0.86, 0.09, 0.02, 0.01])
"""Of grade II, as a model says it."""


def test_what_a_grade_has_too_much_goes_to_its_neighbours_by_their_share() -> None:
    shares = honest(SURE)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[1] == MOST
    assert shares[0] == pytest.approx(0.02 + 0.31 * 2 / 11)
    assert shares[2] == pytest.approx(0.09 + 0.31 * 9 / 11)
    assert shares[3:].tolist() == [0.02, 0.01]


def test_a_grade_at_the_end_gives_to_its_one_neighbour() -> None:
    shares = honest(np.array([0.01, 0.01, 0.01, 0.07, 0.90]))
    assert shares[3] == pytest.approx(0.42)


def test_what_promises_less_stays_and_nothing_is_changed_in_place() -> None:
    before = np.array([[0.1, 0.5, 0.3, 0.05, 0.05], SURE])
    kept = before.copy()
    assert honest(before)[0].tolist() == before[0].tolist()
    assert (before == kept).all()


@pytest.mark.parametrize(
    ("shares", "places"),
    [
        ([0.02, 0.55, 0.40, 0.02, 0.01], (1, 2)),
        ([0.25, 0.50, 0.20, 0.03, 0.02], (0, 2)),
        ([0.0, 0.0, 0.0, 0.1, 0.9], (4, 4)),
    ],
)
def test_a_bracket_grows_to_the_likelier_side_until_it_holds_enough(
    shares: list[float], places: tuple[int, int]
) -> None:
    assert bracket(np.array(shares)) == places


def test_a_tie_is_told_and_a_lead_is_none() -> None:
    assert rival(np.array([0.02, 0.46, 0.43, 0.05, 0.04])) == 2
    assert rival(np.array([0.02, 0.50, 0.40, 0.05, 0.03])) is None


@pytest.mark.parametrize(
    ("grade", "said"),
    [
        ((2, 1, 3, None), "II (I to III)"),
        ((5, 5, 5, None), "V"),
        ((3, 2, 4, 2), "II or III (II to IV)"),
    ],
)
def test_a_grade_is_said_with_those_that_it_may_be(
    grade: tuple[int, int, int, int | None], said: str
) -> None:
    best, lowest, highest, other = grade
    graded = DiscGrade(
        grade=best,
        lowest=lowest,
        highest=highest,
        rival=other,
        probabilities=(0.2,) * 5,
        narrowing=0.5,
    )
    assert grade_words(graded, words_of("en")) == said
    assert narrowing_words(graded, words_of("en")) == "unsure"
