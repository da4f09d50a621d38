"""The result in a sentence per disc, in each language that `phrases.json` knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.contract.concepts import NO_UNITS, RATIO, Concept
from analysis.contract.measurement import Change, Grade, Measurement
from analysis.contract.result import Finding, Notice
from analysis.lumbar.anatomy.structures import DISCS, MEASURED_LEVELS, level_of
from analysis.lumbar.correct.outlined_spine import OUTLINES_EDITED
from analysis.lumbar.judge.grade.model import ROMAN
from analysis.lumbar.measure.quantities import OF_LEVELS
from analysis.lumbar.tell.evaluations import (
    ABSENT,
    NARROWEST_CANAL,
    PFIRRMANN,
    PRESENT,
)

if TYPE_CHECKING:
    from analysis.lumbar.tell.compare_examinations import Comparison, LevelChange

_PHRASES = Path(__file__).with_name("phrases.json")
_SITES = frozenset(disc.concept for disc in DISCS if level_of(disc) in MEASURED_LEVELS)
_NUMBERS = tuple(
    (quantity.concept, quantity.modifiers)
    for quantity in OF_LEVELS
    if quantity.is_main and quantity.concept is not None
)
"""What a reader wants first; all the rest stands in the groups of the report."""
_DIMENSIONLESS = frozenset({RATIO, NO_UNITS})
_NAMELESS = frozenset({PRESENT, ABSENT})
_CHANGE_DECIMALS = {RATIO: 3, NO_UNITS: 1}

Phrases = Mapping[str, Any]


@cache
def _phrases() -> Mapping[str, Phrases]:
    phrases: Mapping[str, Phrases] = json.loads(_PHRASES.read_text(encoding="utf-8"))
    return phrases


def summarise(
    findings: Sequence[Finding], warnings: Sequence[Notice], editor: str = ""
) -> dict[str, tuple[str, ...]]:
    """Return the sentences by language (RFC 5646): what it is not, warnings, discs.

    A word that a language lacks stays English.

    Parameters
    ----------
    editor
        The reader who drew the outlines; empty where the network did.
    """
    return {
        language: (
            *_edited(editor, phrases),
            *_sentences(findings, warnings, phrases),
        )
        for language, phrases in _phrases().items()
    }


def summarise_change(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    """Return by language what has changed since an earlier examination."""
    return {
        language: tuple(_change_sentences(comparison, phrases))
        for language, phrases in _phrases().items()
    }


def _change_sentences(comparison: Comparison, phrases: Phrases) -> Iterator[str]:
    found = [
        phrases["change_at"].format(
            site=phrases["names"].get(level.disc.concept.value, level.disc.label),
            items=phrases["separator"].join(items),
        )
        for level in comparison.levels
        if (items := list(_changed(level, phrases)))
    ]
    items = phrases["change_separator"].join(found) or phrases["no_change"]
    yield phrases["follow_up"].format(days=comparison.days, items=items)
    for notice in comparison.warnings:
        text = phrases["warnings"].get(notice.code, notice.text)
        yield phrases["warning"].format(text=text)


def _changed(level: LevelChange, phrases: Phrases) -> Iterator[str]:
    if not level.told:
        yield phrases["not_compared"]
    for change in level.told:
        if change.is_detectable:
            yield _change(change, phrases)
    earlier, now = level.grades
    if earlier is not None and now is not None and earlier != now:
        yield phrases["grade_change"].format(
            earlier=ROMAN[earlier - 1], now=ROMAN[now - 1]
        )


def _change(change: Change, phrases: Phrases) -> str:
    decimals = _CHANGE_DECIMALS.get(change.unit, 2)
    unit = ""
    if change.unit not in _DIMENSIONLESS:
        unit = phrases["unit"].format(unit=change.unit.value)
    text: str = phrases["change"].format(
        name=_name(change.concept, phrases),
        value=f"{change.difference:+.{decimals}f}{unit}",
        detectable=f"{change.detectable:.{decimals}f}{unit}",
    )
    return text


def _edited(editor: str, phrases: Phrases) -> Iterator[str]:
    if editor:
        name = phrases["names"].get(editor, editor)
        yield phrases["edited"].format(name=name)


def _sentences(
    findings: Sequence[Finding], warnings: Sequence[Notice], phrases: Phrases
) -> Iterator[str]:
    yield phrases["disclaimer"]
    for notice in warnings:
        if notice.code == OUTLINES_EDITED:
            continue  # said before all else, with the name
        text = phrases["warnings"].get(notice.code, notice.text.rstrip("."))
        yield phrases["warning"].format(text=text)
    for finding in findings:
        if finding.site not in _SITES:
            continue
        items = phrases["separator"].join(_items(finding, phrases))
        site = phrases["names"].get(finding.site.value, finding.label)
        yield phrases["site"].format(site=site, items=items)


def _items(finding: Finding, phrases: Phrases) -> Iterator[str]:
    absent = {quantity.concept for quantity in finding.unmeasured}
    for concept, modifiers in _NUMBERS:
        measured = [
            quantity
            for quantity in finding.measurements
            if quantity.concept == concept and quantity.modifiers == modifiers
        ]
        yield from (_number(quantity, phrases) for quantity in measured)
        if not measured and concept in absent:
            yield phrases["unmeasured"].format(name=_name(concept, phrases))
    yield from (_grade(grade, phrases) for grade in finding.grades)
    if PFIRRMANN in absent:
        yield phrases["unmeasured"].format(name=_name(PFIRRMANN, phrases))


def _number(quantity: Measurement, phrases: Phrases) -> str:
    decimals = 2 if quantity.unit in _DIMENSIONLESS else 1
    text: str = phrases["value"].format(
        name=_name(quantity.concept, phrases), value=f"{quantity.value:.{decimals}f}"
    )
    if quantity.unit not in _DIMENSIONLESS:
        text += phrases["unit"].format(unit=quantity.unit.value)
    if quantity.uncertainty is not None:
        value = f"{quantity.uncertainty:.{decimals}f}"
        text += phrases["uncertainty"].format(value=value)
    if quantity.norm is not None:
        text += phrases["z_score"].format(value=f"{quantity.norm.z_score:+.1f}")
    return text


def _grade(grade: Grade, phrases: Phrases) -> str:
    if grade.concept == NARROWEST_CANAL:  # marks a place; "present" would be a finding
        return _name(grade.concept, phrases)
    # "Absent" says nothing without what is absent; a grade names its scale itself.
    form = "named_grade" if grade.value in _NAMELESS else "grade"
    text: str = phrases[form].format(
        name=_name(grade.concept, phrases), grade=_name(grade.value, phrases)
    )
    probability = dict(grade.probabilities).get(grade.value)
    if probability is not None:
        text += phrases["probability"].format(value=f"{probability:.0%}")
    return text


def _name(concept: Concept, phrases: Phrases) -> str:
    name: str = phrases["names"].get(concept.value, concept.meaning)
    return name
