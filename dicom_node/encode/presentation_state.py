"""Outlines and labels on the source images → Grayscale Softcopy Presentation State."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from highdicom import ModalityLUTTransformation
from highdicom.color import CIELabColor
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    SoftcopyVOILUTTransformation,
    TextObject,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from analysis.contract.measurement import Outline
from analysis.contract.result import AnalysisResult, Finding
from dicom_node.encode.body_part import set_body_part
from dicom_node.encode.copied_attributes import Copier
from dicom_node.encode.result_context import (
    EncodeRequest,
    ResultContext,
    settle_time,
)
from dicom_node.encode.segmentation_object import tracking_uid
from dicom_node.encode.source_attributes import (
    Evidence,
    SourceSeries,
    from_corner,
)

_WINDOW_PERCENTILES = (1.0, 99.5)
_SHOWN_INVERTED = "MONOCHROME1"
_WHITE = (235, 235, 235)


def encode_presentations(
    result: AnalysisResult,
    series: SourceSeries,
    context: ResultContext,
) -> Iterator[GrayscaleSoftcopyPresentationState]:
    """Encode one presentation state for each slice on which a finding is outlined.

    One for each, for slope, intercept and window may differ from slice to slice and a
    state holds one of each. A source whose grey values are inverted gets none.

    References
    ----------
    PS3.3 A.33.1, C.10.5 (annotations count from the corner of the first pixel),
    C.10.4 (pixel spacing, so that pixels that are not square are shown as they are).
    """
    evidence, request = context.evidence, context.request
    if series.sources[0].get("PhotometricInterpretation") == _SHOWN_INVERTED:
        return
    drawn = [
        (finding, finding.outline)
        for finding in result.findings
        if finding.outline is not None
    ]
    shown = sorted({outline.slice_index for _, outline in drawn})
    for number, slice_index in enumerate(shown, start=1):
        here = [(f, o) for f, o in drawn if o.slice_index == slice_index]
        state = _state(
            _Slice(series, evidence, slice_index),
            _annotations(result, here, evidence, request),
            number,
            context,
        )
        set_body_part(state, evidence.first, request)
        settle_time(state, request)
        yield state


class _Slice:
    """One slice of the source, as a presentation state refers to it."""

    def __init__(
        self, series: SourceSeries, evidence: Evidence, slice_index: int
    ) -> None:
        self.image, self.frame = evidence.image_of(slice_index)
        self.voxels: NDArray[np.float32] = series.volume.voxels[slice_index]
        self._signal_zero = series.signal_zero
        self._source = (
            series.sources[0] if self.frame is not None else series.sources[slice_index]
        )

    @property
    def spacing(self) -> Any:
        """Pixel Spacing, which is the same in all slices."""
        if self.frame is None:
            return self.image.PixelSpacing
        shared = self.image.SharedFunctionalGroupsSequence[0]
        return shared.PixelMeasuresSequence[0].PixelSpacing

    def window(self) -> SoftcopyVOILUTTransformation:
        """Return a window from the grey values; what headers say may be absent."""
        low, high = np.percentile(self.voxels, _WINDOW_PERCENTILES)
        return SoftcopyVOILUTTransformation(
            window_center=round(float(low + high) / 2, 2),
            window_width=max(1.0, round(float(high - low), 2)),
        )

    def rescale(self) -> ModalityLUTTransformation:
        """Return slope and intercept, by which decoding made the grey values."""
        transformation = self._transformation()
        intercept = float(transformation.get("RescaleIntercept") or 0)
        return ModalityLUTTransformation(
            rescale_slope=float(transformation.get("RescaleSlope") or 1),
            rescale_intercept=intercept - self._signal_zero,
            rescale_type="US",
        )

    def _transformation(self) -> Dataset:
        return Copier(self._transformed()).take(("RescaleSlope", "RescaleIntercept"))

    def _transformed(self) -> Dataset:
        """Return what holds slope and intercept, as the sender wrote them."""
        if self.frame is None:
            return self._source
        for groups in (
            self._source.PerFrameFunctionalGroupsSequence[self.frame - 1],
            *self._source.get("SharedFunctionalGroupsSequence", ()),
        ):
            if "PixelValueTransformationSequence" in groups:
                found: Dataset = groups.PixelValueTransformationSequence[0]
                return found
        return Dataset()


def _state(
    shown: _Slice,
    annotations: Sequence[tuple[GraphicLayer, GraphicAnnotation]],
    number: int,
    context: ResultContext,
) -> GrayscaleSoftcopyPresentationState:
    request = context.request
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[shown.image],
        content_label=request.content_label,
        content_description=(
            request.words.word("gsps.description")
            if request.edited is None
            else request.words.word("gsps.description_edited")
        ),
        graphic_layers=[layer for layer, _ in annotations],
        graphic_annotations=[annotation for _, annotation in annotations],
        content_creator_name="lumbar-node^",
        modality_lut_transformation=shown.rescale(),
        voi_lut_transformations=[shown.window()],
        contributing_equipment=[context.contribution()],
        **context.arguments("gsps", number=number),
    )
    (area,) = state.DisplayedAreaSelectionSequence
    del area.PresentationPixelAspectRatio
    area.PresentationPixelSpacing = shown.spacing
    if shown.frame is not None:
        (source,) = state.ReferencedSeriesSequence
        source.ReferencedImageSequence[0].ReferencedFrameNumber = shown.frame
    return state


def _annotations(
    result: AnalysisResult,
    drawn: Sequence[tuple[Finding, Outline]],
    evidence: Evidence,
    request: EncodeRequest,
) -> list[tuple[GraphicLayer, GraphicAnnotation]]:
    """Return a layer of its own for each finding, for a colour belongs to a layer."""
    colours = {
        segment.number: segment.colour for segment in result.segmentation.segments
    }
    annotations = []
    for order, (finding, outline) in enumerate(drawn, start=1):
        colour = _WHITE
        if finding.segment_number is not None:
            colour = colours[finding.segment_number]
        layer = GraphicLayer(
            layer_name=f"AI_{order}",
            order=order,
            description=finding.label,
            display_color=CIELabColor.from_rgb(*colour),
        )
        image, frame = evidence.image_of(outline.slice_index)
        annotation = GraphicAnnotation(
            referenced_images=[image],
            referenced_frame_number=frame,
            graphic_layer=layer,
            **_drawing(finding, outline, image, request),
        )
        annotations.append((layer, annotation))
    return annotations


def _drawing(
    finding: Finding, outline: Outline, image: Dataset, request: EncodeRequest
) -> dict[str, Any]:
    """Return the outline, and its label at the edge where columns begin."""
    edge = (float(image.Columns), float(image.Rows))
    points = np.clip(from_corner(outline.points), 0.0, edge)
    tracked: dict[str, Any] = {
        "tracking_id": finding.label,
        "tracking_uid": tracking_uid(request, finding.label),
        "units": AnnotationUnitsValues.PIXEL,
    }
    column, row = points[points[:, 0].argmin()].tolist()
    return {
        "graphic_objects": [
            GraphicObject(
                graphic_type=GraphicTypeValues.POLYLINE, graphic_data=points, **tracked
            )
        ],
        "text_objects": [
            TextObject(
                text_value=finding.label,
                anchor_point=(column, row),
                anchor_point_visible=False,
                **tracked,
            )
        ],
    }
