"""Our own SR, read back: the numbers of an earlier examination."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from analysis.contract.acquisition import (
    DIMENSIONS,
    ECHO_TIME,
    FIELD_STRENGTH,
    REPETITION_TIME,
    SEQUENCE,
    Acquisition,
)
from analysis.contract.concepts import (
    DECREASED,
    DETECTABLE_CHANGE,
    INCREASED,
    NO_DETECTABLE_CHANGE,
    UNCERTAINTY,
    Concept,
)
from analysis.contract.measurement import Grade, Measurement
from analysis.contract.result import Finding
from dicom_node.decode import attribute_values
from dicom_node.decode.patient_identity import Identity, identity_of
from dicom_node.identifiers import MANUFACTURER

_TITLE = ("DCM", "126000")
_TEMPLATE = "1500"
_LIBRARY = ("DCM", "111028")
_LIBRARY_GROUP = ("DCM", "126200")
_MEASUREMENTS = ("DCM", "126010")
_GROUP = ("DCM", "125007")
_TRACKING = ("DCM", "112039")
_FINDING = ("DCM", "121071")
_COMMENT = ("DCM", "121106")
_ALGORITHM = ("DCM", "111001")
_ALGORITHM_VERSION = ("DCM", "111003")
_ACQUISITION_EQUIPMENT = ("DCM", "109101")
_CHANGES = frozenset(
    (one.scheme, one.value) for one in (NO_DETECTABLE_CHANGE, DECREASED, INCREASED)
)
_QUALIFIERS = frozenset({"114006", "114007"})
"""What our reports say of a quantity that they have not (CID 42)."""
_WARNING = re.compile(r"\w{2,16} ?[(\uff08]([a-z0-9_]{1,64})[)\uff09][:\uff1a]")
"""In every language: a word, then the code in its brackets."""

_Code = tuple[str, str]
"""Coding scheme and value."""


class ForeignReportError(Exception):
    """An object that no encoder of ours wrote, or that is broken.

    Parameters
    ----------
    reason
        `not_ours` or `unreadable_report`.
    """

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierReport:
    """What an SR of ours says.

    Parameters
    ----------
    study_date
        As it stands in the report, eight digits or something else.
    written_at
        Content date and time, to order reports of one study by.
    predecessors
        SOP instance UIDs of the reports that this one replaces.
    findings
        One per site, without outlines and segments.
    warnings
        Codes of the warnings in it.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    study_date: str
    written_at: str
    identity: Identity
    predecessors: tuple[str, ...]
    analysis: str
    version: str
    acquisition: Acquisition
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]


def read_report(dataset: Dataset) -> EarlierReport:
    """Read an SR that our encoder wrote.

    Raises
    ------
    ForeignReportError
        If another program wrote it, or it does not hold what ours hold.

    References
    ----------
    PS3.16 TID 1500, 1501, 300, 1410.
    """
    if not _is_ours(dataset):
        raise ForeignReportError(reason="not_ours")
    try:
        return _read(dataset)
    except (ValueError, *attribute_values.UNREADABLE) as error:
        # Its text may quote the dataset.
        raise ForeignReportError(reason="unreadable_report") from error


def _is_ours(dataset: Dataset) -> bool:
    """Tell by the object itself: class, template, title and who made it."""
    templates = attribute_values.items(dataset, "ContentTemplateSequence")
    return (
        attribute_values.text(dataset, "SOPClassUID") == Comprehensive3DSRStorage
        and attribute_values.text(dataset, "Manufacturer") == MANUFACTURER
        and any(
            attribute_values.text(one, "TemplateIdentifier") == _TEMPLATE
            for one in templates
        )
        and _name(dataset) == _TITLE
    )


def _read(dataset: Dataset) -> EarlierReport:
    groups = [
        group
        for measurements in _children(dataset, _MEASUREMENTS)
        for group in _children(measurements, _GROUP)
    ]
    named = [group for group in groups if next(_numbers(group), None) is not None]
    if not named:
        raise ForeignReportError(reason="unreadable_report")
    return EarlierReport(
        study_uid=attribute_values.text(dataset, "StudyInstanceUID"),
        series_uid=attribute_values.text(dataset, "SeriesInstanceUID"),
        sop_instance_uid=attribute_values.text(dataset, "SOPInstanceUID"),
        study_date=attribute_values.text(dataset, "StudyDate"),
        written_at=attribute_values.text(dataset, "ContentDate")
        + attribute_values.text(dataset, "ContentTime"),
        identity=identity_of(dataset),
        predecessors=tuple(_predecessors(dataset)),
        analysis=_text(named[0], _ALGORITHM),
        version=_text(named[0], _ALGORITHM_VERSION),
        acquisition=_acquisition(dataset),
        findings=tuple(map(_finding, named)),
        warnings=tuple(
            match[1]
            for item in _children(dataset, _COMMENT)
            if (match := _WARNING.match(attribute_values.text(item, "TextValue")))
        ),
    )


def _finding(group: Dataset) -> Finding:
    (site,) = (_value(item) for item in _children(group, _FINDING))
    return Finding(
        site=site,
        label=_text(group, _TRACKING),
        measurements=tuple(
            _measurement(item)
            for item in _whole_numbers(group)
            if not any(_children(item, _code(DETECTABLE_CHANGE)))
        ),
        grades=tuple(_grades(group)),
    )


def _numbers(group: Dataset) -> Iterator[Dataset]:
    for item in attribute_values.items(group, "ContentSequence"):
        measured = attribute_values.items(item, "MeasuredValueSequence")
        if attribute_values.text(item, "ValueType") == "NUM" and measured:
            yield item


def _whole_numbers(group: Dataset) -> list[Dataset]:
    """Return the numbers without a first one that comes again with more below it.

    It is there for viewers.
    """
    first, *others = _numbers(group)
    again = any(
        _name(first) == _name(other) and _number(first) == _number(other)
        for other in others
    )
    return others if again else [first, *others]


def _measurement(item: Dataset) -> Measurement:
    (measured,) = attribute_values.items(item, "MeasuredValueSequence")
    (unit,) = attribute_values.items(measured, "MeasurementUnitsCodeSequence")
    modifiers = tuple(
        (
            _concept(*attribute_values.items(child, "ConceptNameCodeSequence")),
            _value(child),
        )
        for child in attribute_values.items(item, "ContentSequence")
        if attribute_values.text(child, "RelationshipType") == "HAS CONCEPT MOD"
        and attribute_values.text(child, "ValueType") == "CODE"
    )
    uncertainty = [_number(one) for one in _children(item, _code(UNCERTAINTY))]
    return Measurement(
        concept=_concept(*attribute_values.items(item, "ConceptNameCodeSequence")),
        value=_number(item),
        unit=_concept(unit),
        modifiers=modifiers,
        uncertainty=uncertainty[0] if uncertainty else None,
    )


def _grades(group: Dataset) -> Iterator[Grade]:
    """Yield the evaluations that are neither a change nor a quantity not had."""
    for item in attribute_values.items(group, "ContentSequence"):
        is_evaluation = (
            attribute_values.text(item, "ValueType") == "CODE"
            and attribute_values.text(item, "RelationshipType") == "CONTAINS"
            and _name(item) != _FINDING
        )
        if not is_evaluation:
            continue
        value = _value(item)
        if (
            value.scheme,
            value.value,
        ) not in _CHANGES and value.value not in _QUALIFIERS:
            concept = _concept(*attribute_values.items(item, "ConceptNameCodeSequence"))
            yield Grade(concept=concept, value=value)


def _acquisition(dataset: Dataset) -> Acquisition:
    scanner = Dataset()
    for item in attribute_values.items(dataset, "ContributingEquipmentSequence"):
        purpose = attribute_values.item(item, "PurposeOfReferenceCodeSequence")
        if _pair(purpose) == _ACQUISITION_EQUIPMENT:
            scanner = item
    groups = [
        group
        for library in _children(dataset, _LIBRARY)
        for group in _children(library, _LIBRARY_GROUP)
    ]
    images = groups[0] if groups else Dataset()
    sequence = _text(images, _code(SEQUENCE))
    return Acquisition(
        manufacturer=attribute_values.text(scanner, "Manufacturer"),
        model=attribute_values.text(scanner, "ManufacturerModelName"),
        field_strength_t=_first(images, FIELD_STRENGTH),
        sequence=tuple(sequence.split("/")) if sequence else (),
        dimensions=_text(images, _code(DIMENSIONS)),
        repetition_time_ms=_first(images, REPETITION_TIME),
        echo_time_ms=_first(images, ECHO_TIME),
    )


def _predecessors(dataset: Dataset) -> Iterator[str]:
    for study in attribute_values.items(dataset, "PredecessorDocumentsSequence"):
        for series in attribute_values.items(study, "ReferencedSeriesSequence"):
            for instance in attribute_values.items(series, "ReferencedSOPSequence"):
                yield attribute_values.text(instance, "ReferencedSOPInstanceUID")


def _children(item: Dataset, name: _Code) -> Iterator[Dataset]:
    for child in attribute_values.items(item, "ContentSequence"):
        if _name(child) == name:
            yield child


def _text(item: Dataset, name: _Code) -> str:
    found = [
        attribute_values.text(child, "TextValue") for child in _children(item, name)
    ]
    return found[0] if found else ""


def _first(item: Dataset, concept: Concept) -> float | None:
    found = [_number(child) for child in _children(item, _code(concept))]
    return found[0] if found else None


def _number(item: Dataset) -> float:
    """Return the number of a NUM item.

    Raises
    ------
    ValueError
        If it has none.
    """
    value = attribute_values.number(
        attribute_values.item(item, "MeasuredValueSequence"), "NumericValue"
    )
    if value is None:
        message = "a number without value"
        raise ValueError(message)
    return value


def _value(item: Dataset) -> Concept:
    return _concept(*attribute_values.items(item, "ConceptCodeSequence"))


def _concept(item: Dataset) -> Concept:
    return Concept(
        value=attribute_values.text(item, "CodeValue"),
        scheme=attribute_values.text(item, "CodingSchemeDesignator"),
        meaning=attribute_values.text(item, "CodeMeaning"),
    )


def _name(item: Dataset) -> _Code:
    return _pair(attribute_values.item(item, "ConceptNameCodeSequence"))


def _pair(item: Dataset) -> _Code:
    return attribute_values.text(item, "CodingSchemeDesignator"), attribute_values.text(
        item, "CodeValue"
    )


def _code(concept: Concept) -> _Code:
    return concept.scheme, concept.value
