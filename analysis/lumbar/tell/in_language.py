"""A result in the words of a language: warnings, reasons, and what codes mean.

The summary is in every language already, the pages are drawn in theirs, and the reasons
in `report.json` are written in it. Segments keep their labels and the meanings of their
codes: viewers and readers of outlines find them by these.
"""

from __future__ import annotations

from dataclasses import replace

from analysis.contract.measurement import (
    Change,
    Grade,
    Measurement,
    NormPlace,
    Unmeasured,
)
from analysis.contract.result import AnalysisResult, Finding
from analysis.lumbar.tell.words import Words


def in_language(result: AnalysisResult, words: Words) -> AnalysisResult:
    """Return a result that was made in English in the words of a language."""
    if words.said is None:
        return result
    return replace(
        result,
        findings=tuple(_finding(finding, words) for finding in result.findings),
        warnings=tuple(map(words.notice, result.warnings)),
    )


def change_in_language(change: Change, words: Words) -> Change:
    """Return a change whose codes have their meanings in a language."""
    return replace(
        change,
        concept=words.concept(change.concept),
        unit=words.concept(change.unit),
    )


def _finding(finding: Finding, words: Words) -> Finding:
    return replace(
        finding,
        site=words.concept(finding.site),
        measurements=tuple(_number(one, words) for one in finding.measurements),
        unmeasured=tuple(_absent(one, words) for one in finding.unmeasured),
        grades=tuple(_grade(one, words) for one in finding.grades),
    )


def _number(number: Measurement, words: Words) -> Measurement:
    return replace(
        number,
        concept=words.concept(number.concept),
        unit=words.concept(number.unit),
        modifiers=tuple(
            (words.concept(name), words.concept(value))
            for name, value in number.modifiers
        ),
        norm=None if number.norm is None else _place(number.norm, words),
    )


def _place(norm: NormPlace, words: Words) -> NormPlace:
    return replace(norm, population=words.word(norm.population))


def _absent(absent: Unmeasured, words: Words) -> Unmeasured:
    return replace(
        absent,
        concept=words.concept(absent.concept),
        text=words.told(absent.code, absent.text),
    )


def _grade(grade: Grade, words: Words) -> Grade:
    return replace(
        grade,
        concept=words.concept(grade.concept),
        value=words.concept(grade.value),
        probabilities=tuple(
            (words.concept(member), share) for member, share in grade.probabilities
        ),
    )
