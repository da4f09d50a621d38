"""What a report says of an earlier examination, and what a later one needs of it."""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.sr import (
    CodeContentItem,
    ContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset

from analysis.contract.acquisition import (
    DIMENSIONS,
    ECHO_TIME,
    FIELD_STRENGTH,
    REPETITION_TIME,
    SEQUENCE,
    Acquisition,
)
from analysis.contract.concepts import (
    DETECTABLE_CHANGE,
    EARLIER_VALUE,
    MILLISECOND,
    TESLA,
    Concept,
)
from analysis.contract.measurement import Change
from dicom_node.encode.measurement_items import append, decimal
from dicom_node.encode.result_context import Reference, coded

_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT


def acquisition_items(acquisition: Acquisition) -> Iterator[ContentItem]:
    """Yield the field strength and the sequence, as far as known.

    For the image library group (PS3.16 TID 1600, extensible); the scanner itself stands
    in Contributing Equipment with the purpose (109101, DCM).
    """
    for concept, value, unit in (
        (FIELD_STRENGTH, acquisition.field_strength_t, TESLA),
        (REPETITION_TIME, acquisition.repetition_time_ms, MILLISECOND),
        (ECHO_TIME, acquisition.echo_time_ms, MILLISECOND),
    ):
        if value is not None:
            yield _number(concept, value, unit, _CONTEXT)
    for concept, text in (
        (SEQUENCE, "/".join(acquisition.sequence)),
        (DIMENSIONS, acquisition.dimensions),
    ):
        if text:
            yield TextContentItem(
                name=coded(concept), value=text, relationship_type=_CONTEXT
            )


def append_changes(group: Dataset, changes: tuple[Change, ...]) -> None:
    """Say by how much each quantity has changed, and whether more than by chance.

    The difference is a number under a concept of its own, so that nobody takes it for
    the quantity; the earlier value and the least change that can be detected are its
    properties. The verdict follows as a coded evaluation.
    """
    for change in changes:
        number = _number(
            change.concept,
            change.difference,
            change.unit,
            RelationshipTypeValues.CONTAINS,
        )
        for concept, value in (
            (EARLIER_VALUE, change.earlier),
            (DETECTABLE_CHANGE, change.detectable),
        ):
            relation = RelationshipTypeValues.HAS_PROPERTIES
            append(number, _number(concept, value, change.unit, relation))
        append(group, number)
        append(
            group,
            CodeContentItem(
                name=coded(change.concept),
                value=coded(change.verdict),
                relationship_type=RelationshipTypeValues.CONTAINS,
            ),
        )


def other_evidence(reference: Reference) -> Dataset:
    """Refer to what the result was compared with (PS3.3 C.17.2, (0040,A385))."""
    series = Dataset()
    series.SeriesInstanceUID = reference.series_uid
    series.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in reference.instances:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = sop_instance_uid
        series.ReferencedSOPSequence.append(item)
    study = Dataset()
    study.StudyInstanceUID = reference.study_uid
    study.ReferencedSeriesSequence = [series]
    return study


def _number(
    concept: Concept, value: float, unit: Concept, relation: RelationshipTypeValues
) -> NumContentItem:
    return NumContentItem(
        name=coded(concept),
        value=decimal(value),
        unit=coded(unit),
        relationship_type=relation,
    )
