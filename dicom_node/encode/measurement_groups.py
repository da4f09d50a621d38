"""Findings → measurement groups: TID 1410, 1411 and 1501."""

from __future__ import annotations

from typing import Any

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CoordinatesForMeasurement,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    SourceImageForMeasurement,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SegmentationStorage

from analysis.contract.result import AnalysisResult, Finding
from dicom_node.encode.earlier_examination import append_changes
from dicom_node.encode.measurement_items import (
    append,
    append_grades,
    append_unmeasured,
    bare_number,
    comment,
    heading,
    in_order,
    main_numbers,
    measurement,
    put_first,
)
from dicom_node.encode.result_context import ResultContext, coded
from dicom_node.encode.segmentation_object import segment_places, tracking_uid
from dicom_node.encode.source_attributes import from_corner
from dicom_node.language import Language

Group = (
    MeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
)


class GroupWriter:
    """Turns findings into measurement groups; holds what all groups share."""

    def __init__(self, result: AnalysisResult, context: ResultContext) -> None:
        self._segmentation = result.segmentation
        self._evidence = context.evidence
        self._equipment = context.equipment
        self._request = context.request
        self._places = segment_places(result.segmentation, self._request.segmentation)

    def groups(self, finding: Finding) -> list[Group]:
        """Return one group with all numbers, or one for each place where there is none.

        OHIF merges groups by tracking UID, and fails on the whole study where one has
        no region (OHIF/Viewers issue 3390). Where a group has no region of its own it
        draws the outline from which a number was inferred; beside it stand, in five
        lines at most, the comments of the group, then the numbers with such an outline
        and those with nothing below them. So a reader sees the heading and the main
        numbers there, and there is room for the neighbours. 3.11 and 3.12 know no
        outline beside anything else below a number, and show nothing at all where the
        first number has none: it comes once more before, with its outline alone. 3.11
        stops drawing at the first structure that has other numbers; without them
        (`report_numbers: main`) it draws all.
        """
        segment = self._segment(finding)
        if not finding.measurements:
            return self._without_numbers(finding, segment)
        group: Group
        if segment is None:
            group = MeasurementsAndQualitativeEvaluations(**self._named(finding))
        else:
            group = VolumetricROIMeasurementsAndQualitativeEvaluations(
                **self._named(finding), referenced_segment=segment
            )
        append(group[0], comment(heading(finding, self._request.words)))
        outline = CoordinatesForMeasurement(
            **self._drawn(finding), purpose=codes.DCM.ImageRegion
        )
        first, *others = main_numbers(finding)
        is_short = self._request.report_numbers == "main"
        for quantity in (first, *others) if is_short else (first,):
            bare = bare_number(quantity)
            put_first(bare, outline)
            append(group[0], bare)
        for quantity in () if is_short else in_order(finding):
            number = measurement(quantity, self._request.words)
            if quantity is first and "ContentSequence" not in number:
                continue  # it is the bare one
            if quantity in others:
                put_first(number, outline)
            elif "ContentSequence" not in number:
                put_first(number, SourceImageForMeasurement(*self._image(finding)))
            append(group[0], number)
        _add_rest(group[0], finding, self._request.words)
        return [group]

    def _without_numbers(
        self, finding: Finding, segment: ReferencedSegment | None
    ) -> list[Group]:
        planar = PlanarROIMeasurementsAndQualitativeEvaluations(
            **self._named(finding),
            referenced_region=ImageRegion(**self._drawn(finding)),
        )
        _add_rest(planar[0], finding, self._request.words)
        if segment is None:
            return [planar]
        volumetric = VolumetricROIMeasurementsAndQualitativeEvaluations(
            **self._named(finding), referenced_segment=segment
        )
        return [planar, volumetric]

    def _named(self, finding: Finding) -> dict[str, Any]:
        """Return what every group says of itself, as arguments of its class."""
        return {
            "tracking_identifier": self._tracking(finding),
            "finding_type": coded(finding.site),
            "algorithm_id": self._algorithm(),
            "finding_sites": [FindingSite(coded(finding.site))],
        }

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

    def _drawn(self, finding: Finding) -> dict[str, Any]:
        """Place a finding on its source image: outline, else centre of its segment."""
        _, points = self._place(finding)
        is_outline = finding.outline is not None
        return {
            "graphic_type": (
                GraphicTypeValues.POLYLINE if is_outline else GraphicTypeValues.POINT
            ),
            "graphic_data": from_corner(points).astype(np.float32),
            "source_image": SourceImageForRegion(*self._image(finding)),
        }

    def _image(self, finding: Finding) -> tuple[str, str, list[int] | None]:
        """Return SOP class, SOP instance and frames of the image that shows it."""
        slice_index, _ = self._place(finding)
        image, frame = self._evidence.image_of(slice_index)
        frames = None if frame is None else [frame]
        return image.SOPClassUID, image.SOPInstanceUID, frames

    def _place(self, finding: Finding) -> tuple[int, NDArray[np.float64]]:
        if finding.outline is None:
            return self._centre(finding)
        return finding.outline.slice_index, finding.outline.points

    def _centre(self, finding: Finding) -> tuple[int, NDArray[np.float64]]:
        """Return the slice that shows most of a segment, and its centre there."""
        voxels = self._segmentation.labels == finding.segment_number
        slice_index = int(np.argmax(voxels.sum(axis=(1, 2))))
        centre = np.argwhere(voxels[slice_index]).mean(axis=0)
        return slice_index, centre[np.newaxis, :]


def _add_rest(group: Dataset, finding: Finding, language: Language) -> None:
    append_grades(group, finding.grades, language)
    append_unmeasured(group, finding.unmeasured, language)
    append_changes(group, finding.changes)
