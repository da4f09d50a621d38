"""What a reader sees first: which disc is worst, and whether anything is doubtful."""

from __future__ import annotations

from analysis.lumbar.judge.grade.grading import DiscGrade
from analysis.lumbar.judge.grade.model import ROMAN
from analysis.lumbar.tell.pages.page_content import Sheet


def headline(sheet: Sheet) -> str:
    """Return the highest grade with its levels, and how many warnings there are."""
    words = sheet.words
    count = len(sheet.warnings)
    doubts = words.page("doubtful", count=count)
    if count <= 1:
        doubts = words.page("doubtful_one" if count else "nothing_doubtful")
    return words.page("headline", grade=_highest(sheet), doubts=doubts)


def _highest(sheet: Sheet) -> str:
    words = sheet.words
    grades = {
        row.level: graded.grade
        for row in sheet.rows.discs
        if isinstance(graded := sheet.assessment.grades[row.level], DiscGrade)
    }
    if not grades:
        return words.page("no_grade")
    highest = max(grades.values())
    levels = words.page("reason_names").join(
        level for level, grade in grades.items() if grade == highest
    )
    return words.page("highest", grade=ROMAN[highest - 1], levels=levels)
