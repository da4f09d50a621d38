"""Findings and measurements → Comprehensive 3D SR, TID 1500."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage

from analysis.contract.result import AnalysisResult, Finding
from dicom_node.encode.body_part import body_part_of
from dicom_node.encode.code_meanings import language_of_document, tell_meanings
from dicom_node.encode.earlier_examination import acquisition_items, other_evidence
from dicom_node.encode.measurement_groups import GroupWriter
from dicom_node.encode.measurement_items import comment, decimal, summary
from dicom_node.encode.result_context import (
    EncodeRequest,
    Equipment,
    ResultContext,
    instance_uid,
    private_scheme,
    series_uid,
    settle_time,
)
from dicom_node.encode.source_attributes import Evidence
from dicom_node.identifiers import MANUFACTURER

_LUMBAR_MR = Code("24968-0", "LN", "MR Lumbar spine")
_LUMBAR_PARTS = frozenset({"LSPINE"})


def encode_report(
    result: AnalysisResult,
    context: ResultContext,
    referenced: Sequence[Dataset] = (),
) -> Comprehensive3DSR:
    """Encode findings as a measurement report.

    At least one finding must be located; what the others say stands there in words.

    Parameters
    ----------
    referenced
        Other results of the job that the report refers to, such as the SEG.

    References
    ----------
    PS3.16 TID 1500, 1410, 1411, 1501; PS3.3 A.35.13. IHE AI Results: Comprehensive
    3D SR with root TID 1500.
    """
    evidence, request = context.evidence, context.request
    writer = GroupWriter(result, context)
    located = [finding for finding in result.findings if is_located(finding)]
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=_observer(context.equipment)
        ),
        procedure_reported=_procedure(evidence.first, request),
        imaging_measurements=[
            group for finding in located for group in writer.groups(finding)
        ],
        referenced_images=_library(evidence, located),
        language_of_content_item_and_descendants=language_of_document(request.language),
    )
    said = [*summary(result, request), *map(comment, _sentences(result, request))]
    _insert_before_library(report[0].ContentSequence, said)
    _insert_acquisition(report[0].ContentSequence, evidence)
    tell_meanings(report[0], request.words)
    # The document copies its content and searches it, three times over: half a second
    # for nothing, as every image that we refer to stands in the evidence. So it is
    # given an empty tree first.
    tree, report[0].ContentSequence = report[0].ContentSequence, ContentSequence()
    encoded = Comprehensive3DSR(
        evidence=[*evidence.images, *referenced],
        content=report[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=_predecessor(evidence.first, request),
        coding_schemes=[private_scheme()],
        contributing_equipment=[context.contribution()],
        **context.arguments("sr"),
    )
    encoded.ContentSequence = tree
    if request.compared_with is not None:
        encoded.PertinentOtherEvidenceSequence = [other_evidence(request.compared_with)]
    settle_time(encoded, request)
    return encoded


def _insert_before_library(
    content: ContentSequence, said: Sequence[ContentItem]
) -> None:
    """Put words where an archive that shows a report as text shows them first."""
    names = [item.ConceptNameCodeSequence[0].CodeValue for item in content]
    place = names.index(codes.DCM.ImageLibrary.value)
    for item in reversed(said):
        content.insert(place, item)


def _insert_acquisition(content: ContentSequence, evidence: Evidence) -> None:
    """Say first in the group of images what is true of all of them."""
    (library,) = (
        item
        for item in content
        if item.ConceptNameCodeSequence[0].CodeValue == codes.DCM.ImageLibrary.value
    )
    images = library.ContentSequence[0].ContentSequence
    for place, item in enumerate(acquisition_items(evidence.acquisition)):
        images.insert(place, item)


def is_located(finding: Finding) -> bool:
    """Tell whether a finding can be shown on an image, as its group must be."""
    return finding.outline is not None or finding.segment_number is not None


def _sentences(result: AnalysisResult, request: EncodeRequest) -> Iterator[str]:
    """Yield what is said in words alone: warnings, and what has no place to show."""
    words = request.words

    def said(finding: Finding, name: str, value: str) -> str:
        return words.word("comment", label=finding.label, name=name, value=value)

    for notice in (*request.notices, *result.warnings):
        yield words.word("warning", code=notice.code, text=notice.text)
    for finding in result.findings:
        if is_located(finding):
            continue
        for quantity in finding.measurements:
            value = f"{decimal(quantity.value)} {quantity.unit.value}"
            yield said(finding, quantity.concept.meaning, value)
        for grade in finding.grades:
            yield said(finding, grade.concept.meaning, grade.value.meaning)
        for absent in finding.unmeasured:
            yield said(finding, absent.concept.meaning, absent.text)


def _observer(equipment: Equipment) -> ObserverContext:
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=equipment.device_uid,
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=equipment.model_name,
            serial_number=equipment.serial_number,
        ),
    )


def _procedure(source: Dataset, request: EncodeRequest) -> CodedConcept | Code:
    for item in source.get("ProcedureCodeSequence") or ():
        if all(
            item.get(name)
            for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
        ):
            return CodedConcept(
                value=item.CodeValue,
                scheme_designator=item.CodingSchemeDesignator,
                meaning=item.CodeMeaning,
            )
    part = body_part_of(source, request)
    return _LUMBAR_MR if part in _LUMBAR_PARTS else codes.LN.MRIUnspecifiedBodyRegion


def _library(evidence: Evidence, findings: Sequence[Finding]) -> list[Dataset]:
    """Return the images on which outlines are drawn, as the image library reads them.

    All images of the series stand in the evidence sequence; an entry each in the
    library would say it again at a cost.
    """
    shown = {f.outline.slice_index for f in findings if f.outline is not None} or {0}
    used = {id(image): image for image, _ in map(evidence.image_of, sorted(shown))}
    images = []
    for image in used.values():
        entry = Dataset()
        entry.update(image)
        if "PixelSpacing" not in entry:
            _flatten_first_frame(entry)
        images.append(entry)
    return images


def _flatten_first_frame(entry: Dataset) -> None:
    """Lift geometry of the first frame to the top, where TID 1604 looks for it."""
    shared = entry.SharedFunctionalGroupsSequence[0]
    first = entry.PerFrameFunctionalGroupsSequence[0]
    for sequence in (
        "PixelMeasuresSequence",
        "PlaneOrientationSequence",
        "PlanePositionSequence",
    ):
        entry.update((first if sequence in first else shared)[sequence].value[0])


def _predecessor(source: Dataset, request: EncodeRequest) -> list[Dataset] | None:
    if request.supersedes is None:
        return None
    earlier = Dataset()
    earlier.SOPClassUID = Comprehensive3DSRStorage
    earlier.SOPInstanceUID = instance_uid(request.supersedes, "sr")
    earlier.StudyInstanceUID = source.StudyInstanceUID
    earlier.SeriesInstanceUID = series_uid(request.supersedes, "sr")
    return [earlier]
