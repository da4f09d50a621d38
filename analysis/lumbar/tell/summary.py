"""The result in a sentence per disc, in each language that there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from analysis.contract.concepts import NO_UNITS, RATIO, Concept
from analysis.contract.measurement import Change, Grade, Measurement
from analysis.contract.result import Finding, Notice
from analysis.lumbar.anatomy.structures import DISCS, MEASURED_LEVELS, level_of
from analysis.lumbar.correct.outlined_spine import OUTLINES_EDITED
from analysis.lumbar.judge.grade.model import ROMAN
from analysis.lumbar.measure.quantities import OF_LEVELS
from analysis.lumbar.tell.evaluations import (
    ABSENT,
    INDETERMINATE,
    NARROWEST_CANAL,
    PFIRRMANN,
    PRESENT,
)
from analysis.lumbar.tell.words import Words, languages, words_of

if TYPE_CHECKING:
    from analysis.lumbar.tell.compare_examinations import Comparison, LevelChange

_SITES = frozenset(disc.concept for disc in DISCS if level_of(disc) in MEASURED_LEVELS)
_NUMBERS = tuple(
    (quantity.concept, quantity.modifiers)
    for quantity in OF_LEVELS
    if quantity.is_main and quantity.concept is not None
)
"""What a reader wants first; all the rest stands in the groups of the report."""
_DIMENSIONLESS = frozenset({RATIO, NO_UNITS})
_NAMELESS = frozenset({PRESENT, ABSENT, INDETERMINATE})
_CHANGE_DECIMALS = {RATIO: 3, NO_UNITS: 1}


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
            *_edited(editor, words_of(language)),
            *_sentences(findings, warnings, words_of(language)),
        )
        for language in languages()
    }


def summarise_change(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    """Return by language what has changed since an earlier examination."""
    return {
        language: tuple(_change_sentences(comparison, words_of(language)))
        for language in languages()
    }


def _change_sentences(comparison: Comparison, words: Words) -> Iterator[str]:
    found = [
        words.sentence(
            "change_at",
            site=words.name(level.disc.concept.value, level.disc.label),
            items=words.sentence("separator").join(items),
        )
        for level in comparison.levels
        if (items := list(_changed(level, words)))
    ]
    changes = words.sentence("change_separator").join(found)
    told = changes or words.sentence("no_change")
    yield words.sentence("follow_up", days=comparison.days, items=told)
    for notice in comparison.warnings:
        text = words.told(notice.code, notice.text)
        yield words.sentence("warning", text=text)


def _changed(level: LevelChange, words: Words) -> Iterator[str]:
    if not level.told:
        yield words.sentence("not_compared")
    for change in level.told:
        if change.is_detectable:
            yield _change(change, words)
    earlier, now = level.grades
    if earlier is not None and now is not None and earlier != now:
        yield words.sentence(
            "grade_change", earlier=ROMAN[earlier - 1], now=ROMAN[now - 1]
        )


def _change(change: Change, words: Words) -> str:
    decimals = _CHANGE_DECIMALS.get(change.unit, 2)
    unit = ""
    if change.unit not in _DIMENSIONLESS:
        unit = words.sentence("unit", unit=change.unit.value)
    return words.sentence(
        "change",
        name=_name(change.concept, words),
        value=f"{change.difference:+.{decimals}f}{unit}",
        detectable=f"{change.detectable:.{decimals}f}{unit}",
    )


def _edited(editor: str, words: Words) -> Iterator[str]:
    if editor:
        name = words.name(editor, editor)
        yield words.sentence("edited", name=name)


def _sentences(
    findings: Sequence[Finding], warnings: Sequence[Notice], words: Words
) -> Iterator[str]:
    yield words.sentence("disclaimer")
    for notice in warnings:
        if notice.code == OUTLINES_EDITED:
            continue  # said before all else, with the name
        text = words.told(notice.code, notice.text.rstrip("."))
        yield words.sentence("warning", text=text)
    for finding in findings:
        if finding.site not in _SITES:
            continue
        items = words.sentence("separator").join(_items(finding, words))
        site = words.name(finding.site.value, finding.label)
        yield words.sentence("site", site=site, items=items)


def _items(finding: Finding, words: Words) -> Iterator[str]:
    absent = {quantity.concept for quantity in finding.unmeasured}
    for concept, modifiers in _NUMBERS:
        measured = [
            quantity
            for quantity in finding.measurements
            if quantity.concept == concept and quantity.modifiers == modifiers
        ]
        yield from (_number(quantity, words) for quantity in measured)
        if not measured and concept in absent:
            yield words.sentence("unmeasured", name=_name(concept, words))
    yield from (_grade(grade, words) for grade in finding.grades)
    if PFIRRMANN in absent:
        yield words.sentence("unmeasured", name=_name(PFIRRMANN, words))


def _number(quantity: Measurement, words: Words) -> str:
    decimals = 2 if quantity.unit in _DIMENSIONLESS else 1
    text = words.sentence(
        "value",
        name=_name(quantity.concept, words),
        value=f"{quantity.value:.{decimals}f}",
    )
    if quantity.unit not in _DIMENSIONLESS:
        text += words.sentence("unit", unit=quantity.unit.value)
    if quantity.uncertainty is not None:
        value = f"{quantity.uncertainty:.{decimals}f}"
        text += words.sentence("uncertainty", value=value)
    if quantity.norm is not None:
        text += words.sentence("z_score", value=f"{quantity.norm.z_score:+.1f}")
    return text


def _grade(grade: Grade, words: Words) -> str:
    if grade.concept == NARROWEST_CANAL:  # marks a place; "present" would be a finding
        return _name(grade.concept, words)
    # "Absent" says nothing without what is absent; a grade names its scale itself.
    form = "named_grade" if grade.value in _NAMELESS else "grade"
    text = words.sentence(
        form, name=_name(grade.concept, words), grade=_name(grade.value, words)
    )
    probability = dict(grade.probabilities).get(grade.value)
    if probability is not None:
        text += words.sentence("probability", value=f"{probability:.0%}")
    return text


def _name(concept: Concept, words: Words) -> str:
    name: str = words.name(concept.value, concept.meaning)
    return name
