"""Grades in words, as pages and sentences write them."""

from __future__ import annotations

from analysis.lumbar.judge.grade.grading import DiscGrade
from analysis.lumbar.judge.grade.model import ROMAN

_UNSURE = (0.35, 0.65)
"""Probabilities of narrowing between which nothing is said."""


def grade_words(graded: DiscGrade) -> str:
    """Return a grade with those that it may be, such as `II (I to III)`."""
    own = ROMAN[graded.grade - 1]
    if graded.rival is not None:
        both = sorted((graded.grade, graded.rival))
        own = " or ".join(ROMAN[grade - 1] for grade in both)
    if graded.lowest == graded.highest:
        return own
    return f"{own} ({ROMAN[graded.lowest - 1]} to {ROMAN[graded.highest - 1]})"


def narrowing_words(graded: DiscGrade) -> str:
    """Say whether a reader would call the disc space narrowed."""
    low, high = _UNSURE
    if low < graded.narrowing < high:
        return "unsure"
    return "yes" if graded.narrowing >= high else "no"
