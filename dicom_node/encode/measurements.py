"""Measurements, grades and their absence → content items of a measurement group."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    Measurement,
    MeasurementProperties,
    MeasurementStatisticalProperties,
    NumContentItem,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from analysis.contract.concepts import UNCERTAINTY
from analysis.contract.measurement import Absence, Grade, NormPlace, Unmeasured
from analysis.contract.measurement import Measurement as Quantity
from analysis.contract.result import AnalysisResult, Finding
from dicom_node.encode.common import EncodeRequest, coded

_QUALIFIERS = {
    Absence.NOT_ATTEMPTED: codes.DCM.MeasurementNotAttempted,
    Absence.OUTSIDE_FIELD_OF_VIEW: codes.DCM.MeasurementFailure,
    Absence.STRUCTURE_MISSING: codes.DCM.MeasurementFailure,
    Absence.SIGNAL_UNFIT: codes.DCM.MeasurementFailure,
    Absence.GEOMETRY_UNFIT: codes.DCM.MeasurementFailure,
}
"""CID 42, Numeric Value Qualifier; the reason itself follows as text."""

_Z_SCORE = Code("121416", "DCM", "Z-Score of measurement")
_PERCENTILE = Code("121415", "DCM", "Percentile Ranking of measurement")
"""CID 227, Sample Statistical Descriptors."""
_SHOWN_PROBABILITY = 0.005
"""What rounds to 0 % is not worth a reader's time."""


def measurements(finding: Finding) -> list[Measurement]:
    """Return the numbers of a finding, each with its uncertainty and its norm.

    A concept that comes again, narrowed by modifiers, goes last: OHIF 3.13 shows five
    numbers, without their modifiers.

    References
    ----------
    PS3.16 TID 300, TID 310 (measurement properties), TID 311 (statistical properties).
    """
    first = {quantity.concept: quantity for quantity in reversed(finding.measurements)}
    ordered = sorted(
        finding.measurements,
        key=lambda quantity: quantity is not first[quantity.concept],
    )
    return [_measurement(quantity) for quantity in ordered]


def _measurement(quantity: Quantity) -> Measurement:
    measurement = Measurement(
        name=coded(quantity.concept),
        value=decimal(quantity.value),
        unit=coded(quantity.unit),
        properties=_properties(quantity),
    )
    for name, value in quantity.modifiers:
        append(
            measurement[0],
            CodeContentItem(
                name=coded(name),
                value=coded(value),
                relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
            ),
        )
    return measurement


def _properties(quantity: Quantity) -> MeasurementProperties | None:
    if quantity.uncertainty is None and quantity.norm is None:
        return None
    properties = MeasurementProperties(
        measurement_statistical_properties=_place(quantity.norm)
    )
    if quantity.uncertainty is not None:
        unit = coded(quantity.unit)
        properties.append(_property(coded(UNCERTAINTY), quantity.uncertainty, unit))
    return properties


def _place(norm: NormPlace | None) -> MeasurementStatisticalProperties | None:
    if norm is None:
        return None
    return MeasurementStatisticalProperties(
        values=[
            _property(_Z_SCORE, norm.z_score, codes.UCUM.NoUnits),
            _property(_PERCENTILE, norm.percentile, codes.UCUM.Percent),
        ],
        description=f"{norm.population}, n = {norm.count}",
    )


def _property(
    name: Code | CodedConcept, value: float, unit: Code | CodedConcept
) -> NumContentItem:
    return NumContentItem(
        name=name,
        value=decimal(value),
        unit=unit,
        relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
    )


def grades(finding: Finding) -> list[QualitativeEvaluation] | None:
    """Return the grades of a finding as coded evaluations."""
    return [
        QualitativeEvaluation(name=coded(grade.concept), value=coded(grade.value))
        for grade in finding.grades
    ] or None


def append_probabilities(group: ContentSequence, given: Sequence[Grade]) -> None:
    """Say how probable each member of a scale is, in words.

    Numbers would stand among the measurements of the disc in every viewer.
    """
    for grade in given:
        shares = [
            f"{member.meaning} {probability:.0%}"
            for member, probability in grade.probabilities
            if probability >= _SHOWN_PROBABILITY
        ]
        if shares:
            append(group[0], comment(f"Probabilities: {', '.join(shares)}"))


def append_unmeasured(group: ContentSequence, absent: Sequence[Unmeasured]) -> None:
    """Say which quantities could not be had, coded, and why, in words.

    A NUM without value would be the textbook form (PS3.3 C.18.1), yet viewers read
    the first measured value unasked and fail; hence a coded evaluation.
    """
    for quantity in absent:
        append(
            group[0],
            CodeContentItem(
                name=coded(quantity.concept),
                value=_QUALIFIERS[quantity.reason],
                relationship_type=RelationshipTypeValues.CONTAINS,
            ),
        )
        append(group[0], comment(f"{quantity.concept.meaning}: {quantity.text}"))


_LANGUAGES = {
    "en": Code("en", "RFC5646", "English"),
    "zh-CN": Code("zh-CN", "RFC5646", "Chinese (China)"),
}
_LANGUAGE_OF_ITEM = codes.DCM.LanguageOfContentItemAndDescendants


def summary(
    result: AnalysisResult, request: EncodeRequest
) -> list[ContainerContentItem]:
    """Return the summary as a section that names its language; empty if there is none.

    Codes, and what the node says itself, stay in the language of the document.

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
            value=_LANGUAGES[language],
            relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
        ),
    )
    for sentence in sentences:
        append(section, comment(sentence))
    return [section]


def comment(text: str) -> TextContentItem:
    """Return a sentence for people."""
    return TextContentItem(
        name=codes.DCM.Comment,
        value=text,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def append(parent: Dataset, item: Dataset) -> None:
    """Put an item below another."""
    if "ContentSequence" not in parent:
        parent.ContentSequence = ContentSequence()
    parent.ContentSequence.append(item)


def decimal(value: float) -> float:
    """Round to what DS can hold and a reader can use: six significant digits."""
    return float(f"{value:.6g}")
