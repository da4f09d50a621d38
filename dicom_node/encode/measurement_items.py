"""Measurements, grades and their absence → content items of a measurement group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    NumContentItem,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DataSequence
from pydicom.sr.codedict import codes

from analysis.contract.concepts import UNCERTAINTY
from analysis.contract.measurement import Absence, Grade, NormPlace, Unmeasured
from analysis.contract.measurement import Measurement as Quantity
from analysis.contract.result import AnalysisResult, Finding
from dicom_node.encode.code_meanings import language_code
from dicom_node.encode.result_context import EncodeRequest, coded
from dicom_node.language import Language

_FAILURE = CodedConcept.from_code(codes.DCM.MeasurementFailure)
_QUALIFIERS = {
    Absence.NOT_ATTEMPTED: CodedConcept.from_code(codes.DCM.MeasurementNotAttempted),
    Absence.OUTSIDE_FIELD_OF_VIEW: _FAILURE,
    Absence.STRUCTURE_MISSING: _FAILURE,
    Absence.SIGNAL_UNFIT: _FAILURE,
    Absence.GEOMETRY_UNFIT: _FAILURE,
}
"""CID 42, Numeric Value Qualifier; the reason itself follows as text."""

_Z_SCORE = CodedConcept("121416", "DCM", "Z-Score of measurement")
_PERCENTILE = CodedConcept("121415", "DCM", "Percentile Ranking of measurement")
"""CID 227, Sample Statistical Descriptors."""
_POPULATION = CodedConcept("121405", "DCM", "Population Description")
_COMMENT = CodedConcept.from_code(codes.DCM.Comment)
_NO_UNITS = CodedConcept.from_code(codes.UCUM.NoUnits)
_PERCENT = CodedConcept.from_code(codes.UCUM.Percent)
_ABSENT = ("272519000", "SCT")
_SHOWN_PROBABILITY = 0.005
"""What rounds to 0 % is not worth a reader's time."""


def in_order(finding: Finding) -> list[Quantity]:
    """Return the numbers of a finding, the main ones first.

    A concept that comes again, narrowed by modifiers, goes last: viewers that show a
    few numbers leave out what narrows them.
    """
    main = main_numbers(finding)
    first = {quantity.concept: quantity for quantity in reversed(finding.measurements)}
    return sorted(
        finding.measurements,
        key=lambda quantity: (
            quantity not in main,
            quantity is not first[quantity.concept],
        ),
    )


def main_numbers(finding: Finding) -> list[Quantity]:
    """Return the numbers that stand beside a structure where there is room for few."""
    main = [quantity for quantity in finding.measurements if quantity.is_main]
    return main or list(finding.measurements[:1])


def heading(finding: Finding, language: Language) -> str:
    """Return the name of a structure, with its first grade, for people.

    What was looked for and is absent makes no heading: it would stand beside every
    healthy structure.
    """
    words = [finding.site.meaning]
    for grade in finding.grades[:1]:
        if (grade.value.value, grade.value.scheme) == _ABSENT:
            continue
        scale, member = grade.concept.meaning, grade.value.meaning
        words.append(member if member.startswith(scale) else f"{scale} {member}")
    return language.word("heading").join(words)


def bare_number(quantity: Quantity) -> NumContentItem:
    """Return a number with nothing below it."""
    return NumContentItem(
        name=coded(quantity.concept),
        value=decimal(quantity.value),
        unit=coded(quantity.unit),
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def measurement(quantity: Quantity, language: Language) -> NumContentItem:
    """Return a number with its norm and its uncertainty.

    Each property goes below the number at once: the library's templates hand it on
    from one sequence to the next, four times, which took a third of the SR's time.

    References
    ----------
    PS3.16 TID 300, TID 310 (measurement properties), TID 311 (statistical properties).
    """
    unit = coded(quantity.unit)
    made = bare_number(quantity)
    if quantity.norm is not None:
        _append_place(made, quantity.norm, language)
    if quantity.uncertainty is not None:
        append(made, _property(coded(UNCERTAINTY), quantity.uncertainty, unit))
    for name, value in quantity.modifiers:
        append(
            made,
            CodeContentItem(
                name=coded(name),
                value=coded(value),
                relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
            ),
        )
    return made


def _append_place(number: NumContentItem, norm: NormPlace, language: Language) -> None:
    population = language.word(
        "population", population=norm.population, count=norm.count
    )
    append(number, _property(_Z_SCORE, norm.z_score, _NO_UNITS))
    append(number, _property(_PERCENTILE, norm.percentile, _PERCENT))
    append(
        number,
        TextContentItem(
            name=_POPULATION,
            value=population,
            relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
        ),
    )


def _property(name: CodedConcept, value: float, unit: CodedConcept) -> NumContentItem:
    return NumContentItem(
        name=name,
        value=decimal(value),
        unit=unit,
        relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
    )


def append_grades(group: Dataset, given: Sequence[Grade], language: Language) -> None:
    """Say each grade as a coded evaluation, with its probabilities in words.

    Numbers would stand among the measurements of the disc in every viewer.
    """
    for grade in given:
        evaluation = QualitativeEvaluation(
            name=coded(grade.concept), value=coded(grade.value)
        )[0]
        shares = [
            language.word("share", member=member.meaning, share=f"{probability:.0%}")
            for member, probability in grade.probabilities
            if probability >= _SHOWN_PROBABILITY
        ]
        if shares:
            listed = language.word("list").join(shares)
            append(evaluation, _remark(language.word("probabilities", list=listed)))
        append(group, evaluation)


def append_unmeasured(
    group: Dataset, absent: Sequence[Unmeasured], language: Language
) -> None:
    """Say which quantities could not be had, coded, and why, in words.

    A NUM without value would be the textbook form (PS3.3 C.18.1), yet viewers read
    the first measured value unasked and fail; hence a coded evaluation.
    """
    for quantity in absent:
        evaluation = CodeContentItem(
            name=coded(quantity.concept),
            value=_QUALIFIERS[quantity.reason],
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
        name = quantity.concept.meaning
        why = language.word("absent", name=name, text=quantity.text)
        append(evaluation, _remark(why))
        append(group, evaluation)


_LANGUAGE_OF_ITEM = codes.DCM.LanguageOfContentItemAndDescendants


def summary(
    result: AnalysisResult, request: EncodeRequest
) -> list[ContainerContentItem]:
    """Return the summary as a section that names its language; empty if there is none.

    That need not be the language of the report: an analysis may not have it.

    References
    ----------
    PS3.16 TID 1204.
    """
    language = request.language if request.language in result.summary else "en"
    sentences = result.summary.get(language, ())
    if not sentences:
        return []
    section = ContainerContentItem(
        name=codes.DCM.Summary, relationship_type=RelationshipTypeValues.CONTAINS
    )
    append(
        section,
        CodeContentItem(
            name=_LANGUAGE_OF_ITEM,
            value=language_code(language),
            relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
        ),
    )
    text = result.report_text.get(language)
    if text:
        append(section, _paragraph(text))
    for sentence in sentences:
        append(section, comment(sentence))
    return [section]


def _paragraph(text: str) -> TextContentItem:
    """Return the paragraph that is to be pasted into a report."""
    return TextContentItem(
        name=codes.DCM.Finding,
        value=text,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def comment(text: str) -> TextContentItem:
    """Return a sentence for people."""
    return TextContentItem(
        name=_COMMENT,
        value=text,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def _remark(text: str) -> TextContentItem:
    """Return a sentence about the evaluation below which it stands.

    In the group itself it would be a line beside the structure in OHIF.
    """
    return TextContentItem(
        name=_COMMENT,
        value=text,
        relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
    )


def append(parent: Dataset, item: Dataset) -> None:
    """Put an item below another, as its last.

    The library's own way to do it keeps a table by name, which nobody reads here.
    """
    DataSequence.append(_children(parent), item)


def put_first(parent: Dataset, item: Dataset) -> None:
    """Put an item below another, before all that is there."""
    _children(parent).insert(0, item)


def _children(parent: Dataset) -> Any:
    if "ContentSequence" not in parent:
        parent.ContentSequence = ContentSequence()
    return parent.ContentSequence


def decimal(value: float) -> float:
    """Round to what DS can hold and a reader can use: six significant digits."""
    return float(f"{value:.6g}")
