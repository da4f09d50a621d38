"""SEG, SR and SC as a PACS and a reader get them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.seg import Segmentation as SegmentationObject
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import Comprehensive3DSRStorage

from analysis.contract.concepts import MILLIMETRE, Concept
from analysis.contract.measurement import Absence, Measurement, Unmeasured
from analysis.contract.result import AnalysisResult, Finding, Notice
from dicom_node.decode.volume import DecodedSeries, read_volume
from dicom_node.encode import result_objects as objects
from dicom_node.encode.result_context import instance_uid, series_uid
from dicom_node.encode.result_objects import encode_note, encode_result
from dicom_node.errors import EncodingError
from tests.support.encoded import (
    REQUEST,
    SHAPE,
    SPACING_MM,
    by_name,
    content_of,
    decoded_phantom,
    lopsided,
    named,
    reread,
    written,
)
from tests.support.mr_series import build_enhanced, build_series, write_series
from tests.support.phantom_result import HEIGHT, LABELS, phantom_result
from tests.support.spine_phantom import mirrored, phantom_spine

NUMBERS = {name: label for label, name in LABELS.items()}


@pytest.fixture(scope="module")
def phantom(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[DecodedSeries, NDArray[np.uint8]]:
    return decoded_phantom(tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="module")
def encoded(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
) -> dict[str, Dataset]:
    series, labels = phantom
    return by_name(encode_result(phantom_result(labels), series, REQUEST))


def groups_of(report: Dataset) -> list[Dataset]:
    return named(report, "125007")


def test_objects_come_in_delivery_order(encoded: dict[str, Dataset]) -> None:
    assert list(encoded) == ["seg", "sr", "sc_01"]
    assert [each.SeriesNumber for each in encoded.values()] == [9030, 9031, 9032]
    assert len({each.SeriesInstanceUID for each in encoded.values()}) == 3


def test_results_lie_in_the_source_study_under_its_patient(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], encoded: dict[str, Dataset]
) -> None:
    source = phantom[0].sources[0]
    for dataset in encoded.values():
        for keyword in (
            "PatientID",
            "IssuerOfPatientID",
            "PatientName",
            "PatientBirthDate",
            "PatientSex",
            "PatientAge",
            "PatientWeight",
            "StudyInstanceUID",
            "StudyID",
            "StudyDate",
            "StudyTime",
            "StudyDescription",
            "AccessionNumber",
            "ReferringPhysicianName",
        ):
            assert dataset[keyword].value == source[keyword].value, keyword
    assert encoded["seg"].FrameOfReferenceUID == source.FrameOfReferenceUID


def test_equipment_says_what_made_it(encoded: dict[str, Dataset]) -> None:
    for dataset in encoded.values():
        assert dataset.Manufacturer == "lumbar-node"
        assert dataset.ManufacturerModelName == "lumbar-mri"
        assert dataset.SoftwareVersions[1] == "lumbar-mri 1.0.0"
        assert dataset.DeviceSerialNumber == "ab" * 8


def test_a_retry_makes_the_same_bytes(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], encoded: dict[str, Dataset]
) -> None:
    series, labels = phantom
    again = encode_result(phantom_result(labels), series, REQUEST)
    assert {each.name: written(each.dataset) for each in again} == {
        name: written(dataset) for name, dataset in encoded.items()
    }


def test_every_time_is_the_time_of_the_job(encoded: dict[str, Dataset]) -> None:
    for dataset in encoded.values():
        assert dataset.InstanceCreationDate == dataset.SeriesDate == "20260203"
        assert dataset.InstanceCreationTime == dataset.SeriesTime == "040506"
    for name in ("seg", "sr"):
        assert encoded[name].ContentDate == "20260203"
        assert encoded[name].ContentTime == "040506"


def test_another_job_makes_other_uids(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], encoded: dict[str, Dataset]
) -> None:
    series, labels = phantom
    request = replace(REQUEST, job_id="job 2")
    other = by_name(encode_result(phantom_result(labels), series, request))
    for name, dataset in encoded.items():
        assert other[name].SOPInstanceUID != dataset.SOPInstanceUID
        assert other[name].SeriesInstanceUID != dataset.SeriesInstanceUID


def test_other_weights_are_another_device(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], encoded: dict[str, Dataset]
) -> None:
    series, labels = phantom
    result = phantom_result(labels)
    retrained = replace(
        result, provenance=replace(result.provenance, weights_sha256="cd" * 32)
    )
    other = by_name(encode_result(retrained, series, REQUEST))
    for name, dataset in encoded.items():
        assert device_uids(other[name]).isdisjoint(device_uids(dataset))


def device_uids(dataset: Dataset) -> set[str]:
    return {
        item.DeviceUID
        for item in dataset.ContributingEquipmentSequence
        if "DeviceUID" in item
    }


def test_a_revision_says_so_and_names_its_predecessor(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
) -> None:
    series, labels = phantom
    request = replace(REQUEST, job_id="job 2", revision=2, supersedes="job 1")
    revised = by_name(encode_result(phantom_result(labels), series, request))
    assert revised["sr"].SeriesDescription == (
        "SR of series 3 rev 2, AI lumbar (not for primary diagnosis)"
    )
    (earlier,) = revised["sr"].PredecessorDocumentsSequence
    referenced = earlier.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == series_uid("job 1", "sr")
    instance = referenced.ReferencedSOPSequence[0]
    assert instance.ReferencedSOPInstanceUID == instance_uid("job 1", "sr")
    assert instance.ReferencedSOPClassUID == Comprehensive3DSRStorage


def test_only_what_is_asked_for_is_made(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
) -> None:
    series, labels = phantom
    request = replace(REQUEST, objects=("sr", "sc"))
    results = by_name(encode_result(phantom_result(labels), series, request))
    assert list(results) == ["sr", "sc_01"]
    assert named(results["sr"], "121191") == []  # no segment that was not sent


def assert_same_anatomy(
    segmentation: SegmentationObject, result: AnalysisResult, series: DecodedSeries
) -> None:
    """Every labelled voxel lies at its place in the patient, and no other does."""
    labels = result.segmentation.labels
    for description in segmentation.SegmentSequence:
        label = NUMBERS[description.SegmentLabel]
        volume = segmentation.get_volume(segment_numbers=[description.SegmentNumber])
        mask = volume.array[..., 0] if volume.array.ndim == 4 else volume.array
        places = series.volume.frame.to_mm(np.argwhere(labels == label))
        homogeneous = np.column_stack([places, np.ones(len(places))])
        indices = homogeneous @ np.linalg.inv(volume.affine).T
        inside = np.rint(indices[:, :3]).astype(int)
        assert np.abs(indices[:, :3] - inside).max() < 1e-3
        assert mask[tuple(inside.T)].all(), description.SegmentLabel
        assert mask.sum() == len(places), description.SegmentLabel


@pytest.mark.parametrize("axis", range(3))
def test_a_mirrored_label_map_is_seen_to_be_mirrored(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], axis: int
) -> None:
    """Were the phantom alike on both sides, the tests below would see nothing."""
    series, labels = phantom
    turned_over = np.moveaxis(labels, axis, 0)[::-1]
    mirrored_labels = np.moveaxis(turned_over, 0, axis)
    result = phantom_result(mirrored_labels)
    dataset = by_name(encode_result(result, series, REQUEST))["seg"]
    segmentation = SegmentationObject.from_dataset(dataset)
    with pytest.raises(AssertionError):
        assert_same_anatomy(segmentation, phantom_result(labels), series)


@pytest.mark.parametrize("angle_deg", [0.0, 13.0])
@pytest.mark.parametrize("spacing_mm", [SPACING_MM, (9.0, 4.0, 5.0)])
def test_segments_lie_where_the_anatomy_is(
    tmp_path: Path, angle_deg: float, spacing_mm: tuple[float, float, float]
) -> None:
    series, labels = decoded_phantom(
        tmp_path, angle_deg=angle_deg, spacing_mm=spacing_mm
    )
    result = phantom_result(labels)
    dataset = by_name(encode_result(result, series, REQUEST))["seg"]
    assert_same_anatomy(SegmentationObject.from_dataset(dataset), result, series)


@pytest.mark.parametrize("axes", [(0, 2), (0, 1), (1, 2)])
def test_segments_of_a_mirrored_source_lie_where_the_anatomy_is(
    tmp_path: Path, axes: tuple[int, int]
) -> None:
    voxels, frame, labels = phantom_spine(SHAPE, SPACING_MM)
    labels = lopsided(labels)
    voxels, other = mirrored(voxels, frame, axes)
    labels, _ = mirrored(labels, frame, axes)
    series = read_volume(write_series(tmp_path, build_series(voxels, other)))
    result = phantom_result(labels)
    dataset = by_name(encode_result(result, series, REQUEST))["seg"]
    assert_same_anatomy(SegmentationObject.from_dataset(dataset), result, series)


def test_segments_of_an_enhanced_source_lie_where_the_anatomy_is(
    tmp_path: Path,
) -> None:
    voxels, frame, labels = phantom_spine(SHAPE, SPACING_MM)
    labels = lopsided(labels)
    source = build_enhanced(voxels, frame, frame_order=(3, 0, 4, 2, 1))
    series = read_volume(write_series(tmp_path, [source]))
    result = phantom_result(labels)
    results = by_name(encode_result(result, series, REQUEST))
    segmentation = SegmentationObject.from_dataset(results["seg"])
    assert_same_anatomy(segmentation, result, series)
    for frame_item in segmentation.PerFrameFunctionalGroupsSequence:
        image = frame_item.DerivationImageSequence[0].SourceImageSequence[0]
        position = source.PerFrameFunctionalGroupsSequence[
            image.ReferencedFrameNumber - 1
        ].PlanePositionSequence[0]
        assert position.ImagePositionPatient == pytest.approx(
            frame_item.PlanePositionSequence[0].ImagePositionPatient, abs=1e-4
        )
    (outline,) = {each.outline.slice_index for each in result.findings if each.outline}
    for region in named(results["sr"], "111030"):
        image = region.ContentSequence[0].ReferencedSOPSequence[0]
        assert image.ReferencedFrameNumber == series.frame_numbers[outline]


def test_every_frame_refers_to_the_source_image_at_its_place(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], encoded: dict[str, Dataset]
) -> None:
    positions = {
        source.SOPInstanceUID: source.ImagePositionPatient
        for source in phantom[0].sources
    }
    for frame in encoded["seg"].PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.SpatialLocationsPreserved == "YES"
        assert positions[source.ReferencedSOPInstanceUID] == pytest.approx(
            frame.PlanePositionSequence[0].ImagePositionPatient, abs=1e-4
        )


def test_segments_are_numbered_from_one_and_described(
    encoded: dict[str, Dataset],
) -> None:
    segments = encoded["seg"].SegmentSequence
    assert [each.SegmentNumber for each in segments] == list(range(1, 13))
    assert [each.SegmentLabel for each in segments] == list(LABELS.values())
    for segment in segments:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.TrackingID == segment.SegmentLabel
        assert "RecommendedDisplayCIELabValue" in segment
    assert encoded["seg"].SegmentationType == "BINARY"


def test_no_frame_is_empty(encoded: dict[str, Dataset]) -> None:
    segmentation = SegmentationObject.from_dataset(encoded["seg"])
    assert segmentation.pixel_array.any(axis=(1, 2)).all()


def test_a_structure_has_one_tracking_uid_in_seg_and_sr(
    encoded: dict[str, Dataset],
) -> None:
    tracked = {
        each.SegmentLabel: each.TrackingUID for each in encoded["seg"].SegmentSequence
    }
    for group in groups_of(encoded["sr"]):
        label = named(group, "112039")[0].TextValue
        assert tracked[label] == named(group, "112040")[0].UID


def test_a_structure_has_one_group_with_its_segment_and_all_its_numbers(
    encoded: dict[str, Dataset],
) -> None:
    groups = groups_of(encoded["sr"])
    tracked = {named(group, "112040")[0].UID for group in groups}
    assert len(tracked) == len(groups) == 5
    for group in groups:
        assert len(named(group, "121191")) == 1
        assert len(named(group, HEIGHT.value)) == 2  # bare for viewers, and whole


def numbers_of(group: Dataset) -> list[Dataset]:
    return [item for item in group.ContentSequence if item.ValueType == "NUM"]


def inferred_from(number: Dataset) -> list[str]:
    return [
        item.ValueType
        for item in number.ContentSequence
        if item.RelationshipType == "INFERRED FROM"
    ]


def test_the_main_numbers_come_first_and_the_first_of_them_bare(
    encoded: dict[str, Dataset],
) -> None:
    """OHIF writes numbers with an outline, and others where nothing is below them.

    3.11 and 3.12 find an outline only where it stands alone below its number; without
    one in a structure they show nothing of the report. The phantom calls its height and
    height index the main numbers.
    """
    for group in groups_of(encoded["sr"]):
        bare, height, index, *others = numbers_of(group)
        (only,) = bare.ContentSequence
        assert (only.ValueType, only.RelationshipType) == ("SCOORD", "INFERRED FROM")
        assert len(only.ContentSequence) == 1
        assert [inferred_from(one) for one in (height, index)] == [[], ["SCOORD"]]
        assert all(inferred_from(one) == ["IMAGE"] for one in others)
        assert bare.ConceptNameCodeSequence == height.ConceptNameCodeSequence
        assert bare.MeasuredValueSequence == height.MeasuredValueSequence


def test_a_report_of_main_numbers_alone_has_each_with_its_outline_alone(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
) -> None:
    """OHIF 3.11 stops drawing at the first number that has anything else below it."""
    series, labels = phantom
    request = replace(REQUEST, report_numbers="main", objects=("sr",))
    report = by_name(encode_result(phantom_result(labels), series, request))["sr"]
    for group in groups_of(report):
        numbers = numbers_of(group)
        names = [one.ConceptNameCodeSequence[0].CodeValue for one in numbers]
        assert names == ["121207", "DHI"]
        below = [[item.ValueType for item in one.ContentSequence] for one in numbers]
        assert below == [["SCOORD"], ["SCOORD"]]


def test_a_group_says_in_one_comment_what_it_is_about(
    encoded: dict[str, Dataset],
) -> None:
    """OHIF writes the comments of a group above its numbers; more would cut these."""
    said = [
        [item.TextValue for item in group.ContentSequence if is_comment(item)]
        for group in groups_of(encoded["sr"])
    ]
    assert said == [
        ["L5/S1 disc"],
        ["L4/L5 disc, Pfirrmann grade III"],
        ["L3/L4 disc, Pfirrmann grade III"],
        ["L2/L3 disc, Pfirrmann grade III"],
        ["L1/L2 disc, Pfirrmann grade III"],
    ]


def is_comment(item: Dataset) -> bool:
    return bool(item.ConceptNameCodeSequence[0].CodeValue == "121106")


def test_what_has_no_number_has_a_region_and_a_segment_all_the_same(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
) -> None:
    """OHIF 3.13 fails on the whole study where a tracking UID has no region."""
    series, labels = phantom
    result = phantom_result(labels)
    finding = replace(result.findings[0], measurements=())
    result = replace(result, findings=(finding,))
    report = by_name(encode_result(result, series, REQUEST))["sr"]
    region, segment = groups_of(report)
    assert named(region, "112040")[0].UID == named(segment, "112040")[0].UID
    assert [item.ValueType for item in named(region, "111030")] == ["SCOORD"]
    assert len(named(segment, "121191")) == 1


def test_a_number_has_its_value_and_unit(encoded: dict[str, Dataset]) -> None:
    # The bare one of each group, for viewers, is the same again.
    heights = named(encoded["sr"], HEIGHT.value)[1::2]
    values = [item.MeasuredValueSequence[0] for item in heights]
    assert [float(value.NumericValue) for value in values] == [
        pytest.approx(10 + label / 7, rel=1e-5) for label in range(11, 16)
    ]
    assert {value.MeasurementUnitsCodeSequence[0].CodeValue for value in values} == {
        "mm"
    }


def test_a_concept_that_comes_again_goes_last(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
) -> None:
    """Viewers that show a few numbers leave out what narrows them."""
    series, labels = phantom
    result = phantom_result(labels)
    finding = result.findings[-1]
    height, index, signal = finding.measurements
    narrowed = replace(height, value=1.5, modifiers=((HEIGHT, HEIGHT),), is_main=False)
    finding = replace(finding, measurements=(height, narrowed, index, signal))
    result = replace(result, findings=(finding,))
    report = by_name(encode_result(result, series, REQUEST))["sr"]
    numbers = [
        item.ConceptNameCodeSequence[0].CodeValue
        for item in groups_of(report)[0].ContentSequence
        if item.ValueType == "NUM"
    ]
    assert numbers == ["121207", "121207", "DHI", "DELTA_SI", "121207"]


def property_of(report: Dataset, concept: str, code_value: str) -> Dataset:
    """Return one property of the first measurement of a concept."""
    (item,) = named(groups_of(report)[0], code_value)
    numbers = named(groups_of(report)[0], concept)
    assert any(item in number.get("ContentSequence", ()) for number in numbers)
    assert item.RelationshipType == "HAS PROPERTIES"
    return item


def test_a_number_carries_its_uncertainty_in_its_own_unit(
    encoded: dict[str, Dataset],
) -> None:
    (value,) = property_of(encoded["sr"], "121207", "371884006").MeasuredValueSequence
    assert float(value.NumericValue) == 0.375
    assert value.MeasurementUnitsCodeSequence[0].CodeValue == "mm"


def test_a_number_carries_its_place_among_the_norms(
    encoded: dict[str, Dataset],
) -> None:
    report = encoded["sr"]
    (z_score,) = property_of(report, "DHI", "121416").MeasuredValueSequence
    (percentile,) = property_of(report, "DHI", "121415").MeasuredValueSequence
    population = property_of(report, "DHI", "121405").TextValue
    assert (float(z_score.NumericValue), float(percentile.NumericValue)) == (-1.5, 6.75)
    assert population == "women, 50 to 59 years, n = 37"


def test_a_grade_is_coded_and_its_probabilities_are_told(
    encoded: dict[str, Dataset],
) -> None:
    graded = [group for group in groups_of(encoded["sr"]) if named(group, "PFIRRMANN")]
    (grade,) = named(graded[0], "PFIRRMANN")
    assert grade.ConceptCodeSequence[0].CodeValue == "PFIRRMANN-3"
    said = [item.TextValue for item in named(graded[0], "121106")]
    assert "Probabilities: Pfirrmann grade III 75%, Pfirrmann grade IV 25%" in said


def test_an_outline_counts_from_the_corner_of_the_first_pixel(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], encoded: dict[str, Dataset]
) -> None:
    """Voxel (0, 0) has its centre at 0, 0 in the contract, at 0.5, 0.5 in SCOORD."""
    series, labels = phantom
    finding = phantom_result(labels).findings[0]
    assert finding.outline is not None
    region = named(encoded["sr"], "111030")[0]
    drawn = np.array(region.GraphicData).reshape(-1, 2)
    expected = np.column_stack(
        [finding.outline.points[:, 1], finding.outline.points[:, 0]]
    )
    assert drawn == pytest.approx(expected + 0.5)
    image = region.ContentSequence[0].ReferencedSOPSequence[0]
    shown = series.sources[finding.outline.slice_index]
    assert image.ReferencedSOPInstanceUID == shown.SOPInstanceUID


def test_what_could_not_be_measured_is_coded_with_its_reason(
    encoded: dict[str, Dataset],
) -> None:
    absent = [
        item for item in named(encoded["sr"], "DELTA_SI") if item.ValueType == "CODE"
    ]
    assert [item.ConceptCodeSequence[0].CodeValue for item in absent] == ["114006"]
    comments = [item.TextValue for item in named(encoded["sr"], "121106")]
    assert (
        "Signal intensity difference: the canal is saturated in this slice" in comments
    )


def test_no_number_is_without_a_value(encoded: dict[str, Dataset]) -> None:
    numbers = [
        item for item in content_of(encoded["sr"]) if item.get("ValueType") == "NUM"
    ]
    assert numbers
    assert all(len(item.MeasuredValueSequence) == 1 for item in numbers)


def test_warnings_of_node_source_and_analysis_stand_in_the_report(
    tmp_path: Path,
) -> None:
    series, labels = decoded_phantom(tmp_path, LossyImageCompression="01")
    request = replace(
        REQUEST, notices=(Notice(code="max_wait", text="instances may be missing"),)
    )
    report = by_name(encode_result(phantom_result(labels), series, request))["sr"]
    comments = [item.TextValue for item in named(report, "121106")]
    assert [said for said in comments if said.startswith("Warning")] == [
        "Warning (max_wait): instances may be missing",
        "Warning (lossy_compression): the pictures were compressed with loss before "
        "they came here",
        "Warning (phantom): this is a phantom, not a patient",
    ]


def test_the_evidence_begins_with_the_source_series(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], encoded: dict[str, Dataset]
) -> None:
    (study,) = encoded["sr"].CurrentRequestedProcedureEvidenceSequence
    first, second, third = study.ReferencedSeriesSequence
    assert first.SeriesInstanceUID == phantom[0].volume.series_uid
    assert len(first.ReferencedSOPSequence) == SHAPE[0]
    assert second.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == (
        encoded["seg"].SOPInstanceUID
    )
    assert third.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == (
        encoded["sc_01"].SOPInstanceUID
    )


def test_the_report_is_a_measurement_report_that_nobody_has_verified(
    encoded: dict[str, Dataset],
) -> None:
    report = encoded["sr"]
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert (
        report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator
        == "99LUMBAR"
    )


def bare(finding: Finding, **changes: Any) -> Finding:
    return replace(finding, outline=None, **changes)


def test_a_finding_without_outline_is_shown_at_its_segments_centre(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
) -> None:
    series, labels = phantom
    result = phantom_result(labels)
    result = replace(result, findings=(bare(result.findings[0]),))
    report = by_name(encode_result(result, series, REQUEST))["sr"]
    region, *others = named(report, "111030")
    assert {each.GraphicType for each in (region, *others)} == {"POINT"}
    column, row = region.GraphicData
    index = [s.SOPInstanceUID for s in series.sources].index(
        region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    )
    assert labels[index, int(row), int(column)] == result.findings[0].segment_number


def test_a_finding_without_a_place_is_told_in_words(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
) -> None:
    series, labels = phantom
    result = phantom_result(labels)
    site = Concept("76206002", "SCT", "T12/L1 disc")
    lost = Finding(
        site=site,
        label="T12/L1 disc",
        measurements=(Measurement(concept=HEIGHT, value=7.125, unit=MILLIMETRE),),
        unmeasured=(
            Unmeasured(
                concept=HEIGHT, reason=Absence.STRUCTURE_MISSING, text="cropped"
            ),
        ),
    )
    result = replace(result, findings=(*result.findings, lost))
    report = by_name(encode_result(result, series, REQUEST))["sr"]
    comments = [item.TextValue for item in named(report, "121106")]
    assert "T12/L1 disc, Height: 7.125 mm" in comments
    assert "T12/L1 disc, Height: cropped" in comments
    assert len(groups_of(report)) == 5


def test_a_page_is_plain_rgb_without_identity(encoded: dict[str, Dataset]) -> None:
    page = encoded["sc_01"]
    assert page.PhotometricInterpretation == "RGB"
    assert (page.BitsAllocated, page.SamplesPerPixel) == (8, 3)
    assert page.BurnedInAnnotation == "NO"
    assert page.BodyPartExamined == "LSPINE"
    assert page.pixel_array[100, 150].tolist() == [200, 60, 20]
    assert page.pixel_array[0, 0].tolist() == [0, 0, 0]
    assert len(page.SourceImageSequence) == SHAPE[0]


def test_what_a_source_has_lost_or_burnt_in_is_said_of_what_is_made_of_it(
    tmp_path: Path,
) -> None:
    series, labels = decoded_phantom(
        tmp_path,
        BurnedInAnnotation="YES",
        LossyImageCompression="01",
        LossyImageCompressionRatio="8.5",
        LossyImageCompressionMethod="ISO_15444_1",
    )
    request = replace(REQUEST, objects=("seg", "sc", "pdf"))
    results = by_name(encode_result(phantom_result(labels), series, request))
    for name in ("seg", "sc_01"):
        assert results[name].LossyImageCompression == "01"
        assert results[name].LossyImageCompressionRatio == 8.5
        assert results[name].LossyImageCompressionMethod == "ISO_15444_1"
    for name in ("sc_01", "pdf"):
        assert results[name].BurnedInAnnotation == "YES"
    note = encode_note(
        title="No", text="why", source=series.sources[0], request=REQUEST
    )
    assert note.dataset.BurnedInAnnotation == "NO"
    assert "LossyImageCompression" not in note.dataset


def test_a_careless_header_does_not_spoil_the_results(tmp_path: Path) -> None:
    with config.disable_value_validation():
        series, labels = decoded_phantom(
            tmp_path,
            PatientSex="W",
            PatientBirthDate="unknown",
            PatientAge="45",
            StudyDate="2026-01-02",
            StudyTime="later",
            BodyPartExamined="l-spine?",
            ReferringPhysicianName=None,
            AccessionNumber=None,
            StudyID=None,
            FrameOfReferenceUID=None,
        )
    results = by_name(encode_result(phantom_result(labels), series, REQUEST))
    assert list(results) == ["seg", "sr", "sc_01"]
    for dataset in results.values():
        assert dataset.PatientSex == ""
        assert dataset.StudyDate == "20260102"  # mended
        assert dataset.AccessionNumber == ""
        assert "PatientAge" not in dataset
    assert results["sc_01"].BodyPartExamined == "LSPINE"


def test_a_day_that_no_calendar_has_is_left_out(tmp_path: Path) -> None:
    with config.disable_value_validation():
        series, labels = decoded_phantom(
            tmp_path,
            PatientBirthDate="19450230",
            StudyDate="20261301",
            StudyTime="256199",
        )
    for dataset in by_name(
        encode_result(phantom_result(labels), series, REQUEST)
    ).values():
        assert dataset.PatientBirthDate == ""
        assert (dataset.StudyDate, dataset.StudyTime) == ("", "")


def test_a_thickness_that_is_no_number_gives_way_to_the_spacing(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path)
    thickness = Tag("SliceThickness")
    for source in series.sources:
        source[thickness] = RawDataElement(
            thickness, "DS", 4, b"thin", 0, is_implicit_VR=False,
            is_little_endian=True, is_raw=True,
        )  # fmt: skip
    segmentation = by_name(encode_result(phantom_result(labels), series, REQUEST))[
        "seg"
    ]
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    thickness_mm = shared.PixelMeasuresSequence[0].SliceThickness
    assert thickness_mm == series.volume.frame.spacing_mm[0]


def test_the_source_headers_stay_as_they_came(tmp_path: Path) -> None:
    series, labels = decoded_phantom(
        tmp_path, PatientName="Müller^Jörg", FrameOfReferenceUID=None
    )
    before = [str(source) for source in series.sources]
    encode_result(phantom_result(labels), series, REQUEST)
    assert [str(source) for source in series.sources] == before
    assert series.sources[0].SpecificCharacterSet == "ISO_IR 100"


def test_a_note_says_why_there_is_no_result(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
) -> None:
    source = phantom[0].sources[0]
    note = encode_note(
        title="No measurement",
        text="slices are 9.0 mm apart",
        source=source,
        request=REQUEST,
    )
    page = reread(note.dataset)
    assert note.name == "sc_01"
    assert page.StudyInstanceUID == source.StudyInstanceUID
    assert page.pixel_array.max() > 200
    assert page.SeriesDescription.startswith("SC of series 3, ")


def test_a_fault_of_ours_is_named_without_patient_data(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        message = "Phantom^Spine is not a number"
        raise ValueError(message)

    monkeypatch.setattr(objects, "encode_segmentations", fail)
    series, labels = phantom
    with pytest.raises(EncodingError, match="ValueError") as caught:
        encode_result(phantom_result(labels), series, REQUEST)
    assert "Phantom" not in str(caught.value)
