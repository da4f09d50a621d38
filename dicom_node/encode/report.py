"""Findings and measurements → Comprehensive 3D SR, TID 1500."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from analysis.contract.result import AnalysisResult, Finding
from dicom_node.encode.common import (
    EncodeRequest,
    Equipment,
    coded,
    contribution,
    instance_uid,
    private_scheme,
    series_uid,
    settle_time,
)
from dicom_node.encode.follow_up import (
    acquisition_items,
    append_changes,
    other_evidence,
)
from dicom_node.encode.measurements import (
    append,
    append_probabilities,
    append_unmeasured,
    comment,
    decimal,
    grades,
    measurements,
    summary,
)
from dicom_node.encode.segmentation import segment_places, tracking_uid
from dicom_node.encode.source import UTF_8, Evidence, from_corner
from dicom_node.identifiers import MANUFACTURER

_LUMBAR_MR = Code("24968-0", "LN", "MR Lumbar spine")
_LUMBAR_PARTS = frozenset({"LSPINE", "LUMBAR"})

_Group = (
    PlanarROIMeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
)


class _Writer:
    """Turns findings into measurement groups; holds what all groups share."""

    def __init__(
        self,
        result: AnalysisResult,
        evidence: Evidence,
        equipment: Equipment,
        request: EncodeRequest,
    ) -> None:
        self._segmentation = result.segmentation
        self._evidence = evidence
        self._equipment = equipment
        self._request = request
        self._places = segment_places(result.segmentation, request.segmentation)

    def groups(self, finding: Finding) -> list[_Group]:
        """Return a planar and a volumetric group with one tracking UID.

        OHIF 3.13 merges groups by tracking UID, draws the region, and fails on the
        whole study where a tracking UID has no region (OHIF/Viewers issue 3390). A
        number stands in one group only, else it is shown twice.
        """
        planar = PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking(finding),
            referenced_region=self._region(finding),
            finding_type=coded(finding.site),
            algorithm_id=self._algorithm(),
            finding_sites=[FindingSite(coded(finding.site))],
            qualitative_evaluations=grades(finding),
        )
        # The library looks through each number for regions of its own; ours have none.
        for measurement in measurements(finding):
            append(planar[0], measurement[0])
        append_probabilities(planar, finding.grades)
        append_unmeasured(planar, finding.unmeasured)
        append_changes(planar[0], finding.changes)
        segment = self._segment(finding)
        if segment is None:
            return [planar]
        return [planar, self._volumetric(finding, segment)]

    def _volumetric(
        self, finding: Finding, segment: ReferencedSegment
    ) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
        return VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking(finding),
            referenced_segment=segment,
            finding_type=coded(finding.site),
            algorithm_id=self._algorithm(),
            finding_sites=[FindingSite(coded(finding.site))],
        )

    def _tracking(self, finding: Finding) -> TrackingIdentifier:
        return TrackingIdentifier(
            uid=tracking_uid(self._request, finding.label), identifier=finding.label
        )

    def _algorithm(self) -> AlgorithmIdentification:
        return AlgorithmIdentification(
            name=self._equipment.model_name, version=self._equipment.algorithm_version
        )

    def _segment(self, finding: Finding) -> ReferencedSegment | None:
        """Refer to the segment, but for one of a label map.

        Readers know a segment number only with the older SOP class; the tracking UID
        ties both together all the same.
        """
        edited = self._request.edited
        if edited is not None:
            number = edited.segments.get(finding.label)
            if number is None or edited.sop_class_uid != SegmentationStorage:
                return None
            return self._reference(edited.sop_instance_uid, number)
        if finding.segment_number is None or "seg" not in self._request.objects:
            return None
        if self._request.segmentation != "binary":
            return None
        place = self._places[finding.segment_number]
        return self._reference(
            self._request.instance_uid("seg", place.part), place.number
        )

    def _reference(self, sop_instance_uid: str, number: int) -> ReferencedSegment:
        return ReferencedSegment(
            sop_class_uid=SegmentationStorage,
            sop_instance_uid=sop_instance_uid,
            segment_number=number,
            source_series=SourceSeriesForSegmentation(
                self._evidence.first.SeriesInstanceUID
            ),
        )

    def _region(self, finding: Finding) -> ImageRegion:
        """Place a finding on its source image: outline, else centre of its segment."""
        outline = finding.outline
        if outline is None:
            slice_index, points = self._centre(finding)
            graphic = GraphicTypeValues.POINT
        else:
            slice_index, points = outline.slice_index, outline.points
            graphic = GraphicTypeValues.POLYLINE
        image, frame = self._evidence.image_of(slice_index)
        return ImageRegion(
            graphic_type=graphic,
            graphic_data=from_corner(points).astype(np.float32),
            source_image=SourceImageForRegion(
                referenced_sop_class_uid=image.SOPClassUID,
                referenced_sop_instance_uid=image.SOPInstanceUID,
                referenced_frame_numbers=None if frame is None else [frame],
            ),
        )

    def _centre(self, finding: Finding) -> tuple[int, NDArray[np.float64]]:
        """Return the slice that shows most of a segment, and its centre there."""
        voxels = self._segmentation.labels == finding.segment_number
        slice_index = int(np.argmax(voxels.sum(axis=(1, 2))))
        centre = np.argwhere(voxels[slice_index]).mean(axis=0)
        return slice_index, centre[np.newaxis, :]


def encode_report(
    result: AnalysisResult,
    evidence: Evidence,
    equipment: Equipment,
    request: EncodeRequest,
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
    writer = _Writer(result, evidence, equipment, request)
    located = [finding for finding in result.findings if is_located(finding)]
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=_observer(equipment)
        ),
        procedure_reported=_procedure(evidence.first, request),
        imaging_measurements=[
            group for finding in located for group in writer.groups(finding)
        ],
        referenced_images=_library(evidence, located),
    )
    said = [*summary(result, request), *map(comment, _sentences(result, request))]
    _insert_before_library(report[0].ContentSequence, said)
    _tell_acquisition(report[0].ContentSequence, evidence)
    # The document copies its content and searches it, three times over: half a second
    # for nothing, as every image that we refer to stands in the evidence. So it is
    # given an empty tree first.
    tree, report[0].ContentSequence = report[0].ContentSequence, ContentSequence()
    encoded = Comprehensive3DSR(
        evidence=[*evidence.images, *referenced],
        content=report[0],
        series_instance_uid=request.series_uid("sr"),
        series_number=request.number_of("sr"),
        sop_instance_uid=request.instance_uid("sr"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=equipment.model_name,
        software_versions=equipment.software_versions,
        device_serial_number=equipment.serial_number,
        series_description=request.describe("sr"),
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=_predecessor(evidence.first, request),
        coding_schemes=[private_scheme()],
        contributing_equipment=[contribution(equipment)],
        specific_character_set=UTF_8,
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


def _tell_acquisition(content: ContentSequence, evidence: Evidence) -> None:
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
    for notice in (*request.notices, *result.warnings):
        yield f"Warning ({notice.code}): {notice.text}"
    for finding in result.findings:
        if is_located(finding):
            continue
        for quantity in finding.measurements:
            value = f"{decimal(quantity.value)} {quantity.unit.value}"
            yield f"{finding.label}, {quantity.concept.meaning}: {value}"
        for grade in finding.grades:
            yield f"{finding.label}, {grade.concept.meaning}: {grade.value.meaning}"
        for absent in finding.unmeasured:
            yield f"{finding.label}, {absent.concept.meaning}: {absent.text}"


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
    part = source.get("BodyPartExamined") or request.body_part
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
