"""What the reader looks at: captures, the same pages as PDF, outlines as GSPS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from analysis.contract.result import Notice
from dicom_node.decode.volume import DecodedSeries, read_volume
from dicom_node.encode.result_objects import encode_result
from tests.support.encoded import (
    REQUEST,
    SPACING_MM,
    by_name,
    decoded_phantom,
    written,
)
from tests.support.mr_series import build_enhanced, write_series
from tests.support.phantom_result import phantom_result
from tests.support.spine_phantom import phantom_spine

ALL = replace(REQUEST, objects=("seg", "sr", "sc", "pdf", "gsps"))

Phantom = tuple[DecodedSeries, NDArray[np.uint8]]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    return decoded_phantom(
        tmp_path_factory.mktemp("phantom"), RescaleSlope=2, RescaleIntercept=-10
    )


@pytest.fixture(scope="module")
def encoded(phantom: Phantom) -> dict[str, Dataset]:
    series, labels = phantom
    return by_name(encode_result(phantom_result(labels), series, ALL))


def test_each_kind_has_a_series_of_its_own(encoded: dict[str, Dataset]) -> None:
    assert {name: each.SeriesNumber for name, each in encoded.items()} == {
        "seg": 9030,
        "sr": 9031,
        "sc_01": 9032,
        "pdf": 9033,
        "gsps_01": 9034,
    }
    assert {each.SeriesDescription.split()[0] for each in encoded.values()} == {
        "SEG",
        "SR",
        "SC",
        "PDF",
        "GSPS",
    }


def test_a_retry_makes_the_same_bytes(
    phantom: Phantom, encoded: dict[str, Dataset]
) -> None:
    series, labels = phantom
    again = by_name(encode_result(phantom_result(labels), series, ALL))
    for name, dataset in encoded.items():
        assert written(again[name]) == written(dataset), name


def test_every_object_names_the_device_that_made_it(
    encoded: dict[str, Dataset],
) -> None:
    devices = {
        name: [
            item.DeviceUID
            for item in each.ContributingEquipmentSequence
            if "DeviceUID" in item
        ]
        for name, each in encoded.items()
    }
    assert all(len(uids) == 1 for uids in devices.values())
    assert len({uid for uids in devices.values() for uid in uids}) == 1


def test_captures_and_report_refer_to_each_other(encoded: dict[str, Dataset]) -> None:
    related = {
        item.ReferencedSOPClassUID: item.ReferencedSOPInstanceUID
        for item in encoded["sc_01"].ReferencedInstanceSequence
    }
    assert related == {
        SegmentationStorage: encoded["seg"].SOPInstanceUID,
        Comprehensive3DSRStorage: encoded["sr"].SOPInstanceUID,
    }
    (study,) = encoded["sr"].CurrentRequestedProcedureEvidenceSequence
    known = {
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert {encoded["seg"].SOPInstanceUID, encoded["sc_01"].SOPInstanceUID} <= known


def test_a_page_keeps_its_pixels_and_gets_a_strip_with_version_and_time(
    phantom: Phantom, encoded: dict[str, Dataset]
) -> None:
    drawn = phantom_result(phantom[1]).pages[0].pixels
    shown = encoded["sc_01"].pixel_array
    assert np.array_equal(shown[: len(drawn)], drawn)
    assert shown.shape[0] == len(drawn) + 28
    assert shown[len(drawn) :].max() > 200


def test_a_large_page_has_a_strip_as_large(phantom: Phantom) -> None:
    series, labels = phantom
    drawn = phantom_result(labels)
    wide = replace(drawn.pages[0], pixels=np.zeros((128, 2048, 3), dtype=np.uint8))
    result = replace(drawn, pages=(wide,))
    request = replace(REQUEST, objects=("sc",), page_scale=2)
    shown = by_name(encode_result(result, series, request))["sc_01"].pixel_array
    assert shown.shape[0] == 128 + 2 * 28
    rows = np.flatnonzero(shown[128:].max(axis=(1, 2)) > 200)
    assert 2 * 10 < len(rows) < 2 * 28


def test_the_strip_tells_a_revision_from_the_first(
    phantom: Phantom, encoded: dict[str, Dataset]
) -> None:
    series, labels = phantom
    drawn = phantom_result(labels)
    wide = replace(drawn.pages[0], pixels=np.zeros((64, 1024, 3), dtype=np.uint8))
    result = replace(drawn, pages=(wide,))
    first, second = (
        by_name(encode_result(result, series, replace(REQUEST, revision=revision)))
        for revision in (1, 2)
    )
    assert not np.array_equal(
        first["sc_01"].pixel_array[64:], second["sc_01"].pixel_array[64:]
    )


def test_the_document_holds_all_pages(phantom: Phantom) -> None:
    series, labels = phantom
    result = phantom_result(labels)
    result = replace(result, pages=(*result.pages, *result.pages, *result.pages))
    document = by_name(encode_result(result, series, replace(ALL, objects=("pdf",))))
    pdf = document["pdf"]
    assert pdf.MIMETypeOfEncapsulatedDocument == "application/pdf"
    content = pdf.EncapsulatedDocument[: pdf.EncapsulatedDocumentLength]
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") == 3
    assert b"Phantom" not in content
    assert len(pdf.SourceInstanceSequence) == len(series.sources)


def test_an_outline_and_its_label_are_drawn_on_the_image_that_shows_them(
    phantom: Phantom, encoded: dict[str, Dataset]
) -> None:
    series, labels = phantom
    findings = phantom_result(labels).findings
    state = encoded["gsps_01"]
    assert len(state.GraphicAnnotationSequence) == len(findings)
    for finding, drawn in zip(findings, state.GraphicAnnotationSequence, strict=True):
        assert finding.outline is not None
        (image,) = drawn.ReferencedImageSequence
        shown = series.sources[finding.outline.slice_index]
        assert image.ReferencedSOPInstanceUID == shown.SOPInstanceUID
        (graphic,) = drawn.GraphicObjectSequence
        points = np.array(graphic.GraphicData).reshape(-1, 2)
        assert points[:, 0] == pytest.approx(finding.outline.points[:, 1] + 0.5)
        assert points[:, 1] == pytest.approx(finding.outline.points[:, 0] + 0.5)
        (text,) = drawn.TextObjectSequence
        assert text.UnformattedTextValue == finding.label
        assert graphic.TrackingUID in {
            segment.TrackingUID for segment in encoded["seg"].SegmentSequence
        }


def test_the_presentation_shows_grey_values_as_they_were_analysed(
    phantom: Phantom, encoded: dict[str, Dataset]
) -> None:
    """Slope and intercept are those of the source; the window fits what they make."""
    state = encoded["gsps_01"]
    assert (float(state.RescaleSlope), float(state.RescaleIntercept)) == (2, -10)
    (window,) = state.SoftcopyVOILUTSequence
    centre, width = float(window.WindowCenter), float(window.WindowWidth)
    voxels = phantom[0].volume.voxels
    assert voxels.min() - width < centre < voxels.max()
    assert 0 < width <= np.ptp(voxels)


def test_the_presentation_shows_grey_values_whose_zero_was_moved(
    tmp_path: Path,
) -> None:
    series, labels = decoded_phantom(tmp_path, RescaleSlope=2, RescaleIntercept=1000)
    assert series.signal_zero >= 1000
    result = phantom_result(labels)
    state = by_name(encode_result(result, series, ALL))["gsps_01"]
    (shown,) = {each.outline.slice_index for each in result.findings if each.outline}
    uid = series.sources[shown].SOPInstanceUID
    (source,) = (
        found
        for path in tmp_path.iterdir()
        if (found := dcmread(path)).SOPInstanceUID == uid
    )
    grey = source.pixel_array * float(state.RescaleSlope) + float(
        state.RescaleIntercept
    )
    assert grey == pytest.approx(series.volume.voxels[shown])


def test_pixels_that_are_not_square_are_not_shown_square(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path, spacing_mm=(9.0, 4.0, 5.0))
    result = encode_result(phantom_result(labels), series, ALL)
    (area,) = by_name(result)["gsps_01"].DisplayedAreaSelectionSequence
    assert [float(each) for each in area.PresentationPixelSpacing] == [4, 5]
    assert "PresentationPixelAspectRatio" not in area


def test_outlines_on_a_multi_frame_source_name_their_frame(tmp_path: Path) -> None:
    voxels, frame, labels = phantom_spine((5, 64, 40), SPACING_MM)
    source = build_enhanced(voxels, frame, frame_order=(3, 0, 4, 2, 1))
    series = read_volume(write_series(tmp_path, [source]))
    result = phantom_result(labels)
    state = by_name(encode_result(result, series, ALL))["gsps_01"]
    (shown,) = {each.outline.slice_index for each in result.findings if each.outline}
    expected = series.frame_numbers[shown]
    for drawn in state.GraphicAnnotationSequence:
        (image,) = drawn.ReferencedImageSequence
        assert image.ReferencedFrameNumber == expected
    (referenced,) = state.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert referenced.ReferencedFrameNumber == expected


def test_a_source_with_inverted_grey_values_gets_no_presentation(
    tmp_path: Path,
) -> None:
    series, labels = decoded_phantom(tmp_path, PhotometricInterpretation="MONOCHROME1")
    results = by_name(encode_result(phantom_result(labels), series, ALL))
    assert set(results) == {"seg", "sr", "sc_01", "pdf"}


@pytest.mark.parametrize("origin", ["of the node", "of a search", "of the analysis"])
def test_what_the_node_warns_of_stands_on_the_first_page(
    phantom: Phantom, encoded: dict[str, Dataset], origin: str
) -> None:
    """The report says it; who sees pictures alone must not miss it."""
    series, labels = phantom
    result, request = phantom_result(labels), ALL
    if origin == "of the node":
        notice = Notice(code="maybe_incomplete", text="The series was still arriving.")
        request = replace(ALL, notices=(notice,))
    else:
        # Those of the analysis are drawn by itself.
        code = "prior_refused" if origin == "of a search" else "thin_disc"
        told = (*result.warnings, Notice(code=code, text="Another patient's."))
        result = replace(result, warnings=told)
    capture = by_name(encode_result(result, series, request))["sc_01"]
    more = capture.Rows - encoded["sc_01"].Rows
    assert (more > 0) is (origin != "of the analysis")
    if more:
        pixels = capture.pixel_array
        height = phantom_result(labels).pages[0].pixels.shape[0]
        assert pixels[height : height + more].max() > 100
