"""Grades in words, as pages and sentences write them."""

from __future__ import annotations

from analysis.lumbar.judge.displacement.displacement import DiscDisplacement, Told
from analysis.lumbar.judge.grade.grading import DiscGrade
from analysis.lumbar.judge.grade.model import ROMAN
from analysis.lumbar.tell.words import Words

UNSURE = (0.35, 0.65)
"""Probabilities of narrowing between which nothing is said."""


def grades_in_words(graded: DiscGrade, words: Words) -> str:
    """Return the most probable grade, or two that are as probable: `II or III`."""
    if graded.rival is None:
        return ROMAN[graded.grade - 1]
    first, second = sorted((graded.grade, graded.rival))
    return words.page("grade_or", first=ROMAN[first - 1], second=ROMAN[second - 1])


def grade_words(graded: DiscGrade, words: Words) -> str:
    """Return a grade with those that it may be, such as `II (I to III)`."""
    own = grades_in_words(graded, words)
    if graded.lowest == graded.highest:
        return own
    return words.page(
        "grade_range",
        own=own,
        lowest=ROMAN[graded.lowest - 1],
        highest=ROMAN[graded.highest - 1],
    )


def narrowing_words(graded: DiscGrade, words: Words) -> str:
    """Say whether a reader would call the disc space narrowed."""
    low, high = UNSURE
    if low < graded.narrowing < high:
        return words.page("unsure")
    return words.page("yes" if graded.narrowing >= high else "no")


def displacement_words(displaced: DiscDisplacement, words: Words) -> str:
    """Say whether, and with what probability, a reader would call a disc displaced.

    Such as `83% yes`: one in ten of those that are told is called otherwise.
    """
    said = {Told.UNSURE: "unsure", Told.PRESENT: "yes", Told.ABSENT: "no"}
    return words.page(
        "with_probability",
        said=words.page(said[displaced.told]),
        probability=f"{displaced.probability:.0%}",
    )
