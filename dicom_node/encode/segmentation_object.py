"""Segmentation of the contract → (Label Map) Segmentation Storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from highdicom.seg import Segmentation as SegmentationObject
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from analysis.contract.segmentation import Segment, Segmentation
from dicom_node.encode.body_part import set_body_part
from dicom_node.encode.result_context import (
    EncodeRequest,
    ResultContext,
    algorithm,
    coded,
    private_scheme,
    settle_time,
)
from dicom_node.encode.source_attributes import Evidence
from dicom_node.identifiers import derived_uid


def tracking_uid(request: EncodeRequest, label: str) -> str:
    """Return the UID by which SEG and SR speak of one structure."""
    if request.edited is not None and label in request.edited.tracking:
        return request.edited.tracking[label]
    return derived_uid("tracking", request.job_id, label)


_KINDS = {
    "binary": SegmentationTypeValues.BINARY,
    "labelmap": SegmentationTypeValues.LABELMAP,
    "labelmap-rle": SegmentationTypeValues.LABELMAP,
}
_COMPRESSED = "labelmap-rle"
"""PS3.5 8.2.2 allows RLE of the single bits of BINARY too (CP 2301), but neither DCMTK
3.6 nor pydicom 3.0 reads it."""

_LABELS = 256
_RLE_ENCODER = "pydicom"
"""Its own, for GDCM's ends the process at pictures of odd size."""


MAX_FRAMES = 399
"""Weasis 4.6 shows no SEG of 400 frames or more (nroduit/Weasis issue 680)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlace:
    """Where a segment is found: in which SEG, from 1, and under which number there."""

    part: int
    number: int


def segment_places(segmentation: Segmentation, kind: str) -> dict[int, SegmentPlace]:
    """Map labels to the SEG that holds them, and to their segment number there.

    Numbers are 1, 2, 3 … without gaps (PS3.3 C.8.20.4). A frame of a BINARY SEG is one
    segment in one slice; where all together were too many, the segments go, in their
    order, into as few SEGs as hold them. One segment is never cut.
    """
    places: dict[int, SegmentPlace] = {}
    part, number, frames = 1, 0, 0
    shown = _frames_of(segmentation) if kind == "binary" else {}
    for label in sorted(segment.number for segment in segmentation.segments):
        needed = shown.get(label, 0)
        if number and frames + needed > MAX_FRAMES:
            part, number, frames = part + 1, 0, 0
        number, frames = number + 1, frames + needed
        places[label] = SegmentPlace(part=part, number=number)
    return places


def _frames_of(segmentation: Segmentation) -> dict[int, int]:
    """Return in how many slices each label is."""
    # To look for a byte in bytes is the fastest way that Python has.
    slices = [picture.tobytes() for picture in segmentation.labels]
    return {
        segment.number: sum(segment.number in shown for shown in slices)
        for segment in segmentation.segments
    }


def encode_segmentations(
    segmentation: Segmentation,
    context: ResultContext,
) -> Iterator[SegmentationObject]:
    """Encode a label map on its source's own grid and frames, mostly as one SEG.

    Each SEG has a series of its own: OHIF 3.13 shows the last one of a series only.
    """
    places = segment_places(segmentation, context.request.segmentation)
    parts = max(place.part for place in places.values())
    for part in range(1, parts + 1):
        numbers = {
            label: place.number for label, place in places.items() if place.part == part
        }
        yield _encode_part(
            _Part(part=part, parts=parts, numbers=numbers),
            segmentation,
            context,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One of the SEGs that hold a label map: which, of how many, and its segments."""

    part: int
    parts: int
    numbers: Mapping[int, int]

    @property
    def words(self) -> str:
        return f"{self.part}/{self.parts}" if self.parts > 1 else ""


def _encode_part(
    part: _Part,
    segmentation: Segmentation,
    context: ResultContext,
) -> SegmentationObject:
    """Encode some segments of a label map.

    Frames without a voxel are left out, segments have none such by contract.

    References
    ----------
    PS3.3 A.51, A.102, C.8.20; `docs/` of highdicom, "My viewer won't display": BINARY,
    uncompressed, source grid, derivation references.
    """
    evidence, request = context.evidence, context.request
    table = bytes(part.numbers.get(label, 0) for label in range(_LABELS))
    labels = _in_source_order(_relabelled(segmentation.labels, table), evidence)
    segments = [one for one in segmentation.segments if one.number in part.numbers]
    segments.sort(key=lambda segment: segment.number)
    encoded = SegmentationObject(
        source_images=evidence.images,
        pixel_array=labels,
        segmentation_type=_KINDS[request.segmentation],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        segment_descriptions=[
            _description(segment, part.numbers[segment.number], context)
            for segment in segments
        ],
        content_label=request.content_label,
        content_description=request.words.word("seg.description"),
        content_creator_name="lumbar-node^",
        omit_empty_frames=True,
        contributing_equipment=[context.contribution()],
        **context.arguments("seg", part=part.part, part_words=part.words),
    )
    if any(segment.structure.scheme.startswith("99") for segment in segments):
        encoded.CodingSchemeIdentificationSequence = [private_scheme()]
    organisation = derived_uid(
        "dimension organisation", request.job_id, *filter(None, [part.words])
    )
    for item in (
        *encoded.DimensionOrganizationSequence,
        *encoded.DimensionIndexSequence,
    ):
        item.DimensionOrganizationUID = organisation
    set_body_part(encoded, evidence.first, request)
    settle_time(encoded, request)
    if request.segmentation == _COMPRESSED:
        encoded.compress(
            RLELossless, encoding_plugin=_RLE_ENCODER, generate_instance_uid=False
        )
    return encoded


def _relabelled(labels: NDArray[np.uint8], table: bytes) -> NDArray[np.uint8]:
    """Return a label map with other numbers, by a table of 256 bytes."""
    # Four times as fast as numpy takes one number after another.
    moved = np.frombuffer(labels.tobytes().translate(table), np.uint8)
    return moved.reshape(labels.shape)


def _in_source_order(
    labels: NDArray[np.uint8], evidence: Evidence
) -> NDArray[np.uint8]:
    """Return the label map frame by frame, as the source's frames are numbered.

    Frames of a multi-frame source that are not part of the volume stay empty.
    """
    if not evidence.frame_numbers:
        return labels
    frames = np.zeros(
        (int(evidence.first.NumberOfFrames), *labels.shape[1:]), dtype=np.uint8
    )
    frames[np.array(evidence.frame_numbers) - 1] = labels
    return frames


def _description(
    segment: Segment, number: int, context: ResultContext
) -> SegmentDescription:
    return SegmentDescription(
        segment_number=number,
        segment_label=segment.label,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=coded(segment.structure),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(context.equipment),
        anatomic_regions=None if segment.region is None else [coded(segment.region)],
        tracking_id=segment.label,
        tracking_uid=tracking_uid(context.request, segment.label),
        display_color=CIELabColor.from_rgb(*segment.colour),
    )
