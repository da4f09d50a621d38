"""A stray object in a series is left out by name; whom a series is of is one person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import config
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    UID,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)

from dicom_node.decode.headers import read_headers
from dicom_node.decode.suitable_series import reject, summarise
from dicom_node.decode.volume import DecodedSeries, read_volume
from dicom_node.errors import GeometryError
from tests.support.mr_series import build_enhanced, build_series, write_series
from tests.support.spine_phantom import CORONAL, frame_of

SHAPE = (9, 12, 10)
VOXELS = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE) % 900


@pytest.fixture(autouse=True)
def _careless() -> Iterator[None]:
    """Let a test write what a standard-minded writer would not."""
    with config.disable_value_validation():
        yield


def series(**attributes: Any) -> list[FileDataset]:
    return build_series(VOXELS, frame_of(SHAPE), **attributes)


def stray(**attributes: Any) -> FileDataset:
    """Return one more instance of the series, which is otherwise."""
    shape = (1, 8, 8)
    frame = frame_of(shape, directions=CORONAL)
    (made,) = build_series(np.ones(shape, np.float32), frame, **attributes)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    return made


def in_unit(unit: str) -> Dataset:
    """Return a mapping of stored values to real ones in a unit."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, "UCUM", unit
    mapping = Dataset()
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 1.0, 0.0
    mapping.MeasurementUnitsCodeSequence = [code]
    return mapping


def read(folder: Path, datasets: list[FileDataset]) -> DecodedSeries:
    paths = write_series(folder, datasets)
    headers = read_headers(paths)
    assert reject(headers) is None
    assert summarise(headers).slice_count == SHAPE[0]
    return read_volume(paths)


@pytest.mark.parametrize(
    ("place", "attributes", "what"),
    [
        (0, {}, "another orientation"),
        (SHAPE[0], {}, "another orientation"),
        (
            0,
            {"SOPClassUID": GrayscaleSoftcopyPresentationStateStorage},
            "Presentation State",
        ),
        (0, {"SOPClassUID": SecondaryCaptureImageStorage}, "Secondary Capture"),
        (SHAPE[0], {"SamplesPerPixel": 3}, "3 samples per pixel"),
        (0, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localiser"),
        (SHAPE[0], {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, "phase"),
    ],
)
def test_one_stray_object_is_left_out_by_name(
    tmp_path: Path, attributes: dict[str, Any], what: str, place: int
) -> None:
    datasets = series()
    datasets.insert(place, stray(**attributes))
    decoded = read(tmp_path, datasets)
    assert np.array_equal(decoded.volume.voxels, VOXELS)
    (notice,) = decoded.warnings
    assert notice.code == "instances_left_out"
    assert "1 of 10 instances were left out: 1.2.3.4" in notice.text
    assert what in notice.text


def test_phase_pictures_in_a_magnitude_series_are_told_of(tmp_path: Path) -> None:
    datasets = series()
    for k in (1, 4):
        datasets[k].ImageType = ["ORIGINAL", "PRIMARY", "P", "ND"]
    with pytest.raises(GeometryError, match=r"2 of 9 instances were left out.*phase"):
        read_volume(write_series(tmp_path, datasets))


def test_of_a_dixon_series_the_water_is_measured(tmp_path: Path) -> None:
    datasets = series(ImageType=["DERIVED", "PRIMARY", "DIXON", "WATER"])
    for kind in ("FAT", "OPP_PHASE", "FAT_FRACTION"):
        more = series(ImageType=["DERIVED", "PRIMARY", "DIXON", kind])
        for number, one in enumerate(more):
            one.SOPInstanceUID = f"1.2.{len(datasets)}.{number}"
            one.PixelData = bytes(len(one.PixelData))
        datasets += more
    decoded = read(tmp_path, datasets)
    assert np.array_equal(decoded.volume.voxels, VOXELS)


def test_frames_of_another_kind_are_left_out_of_an_enhanced_instance(
    tmp_path: Path,
) -> None:
    twice = np.concatenate([VOXELS, VOXELS + 7])
    dataset = build_enhanced(twice, frame_of((2 * SHAPE[0], *SHAPE[1:])))
    frames = dataset.PerFrameFunctionalGroupsSequence
    for frame, phase in zip(frames[:9], frames[9:], strict=True):
        phase.PlanePositionSequence = frame.PlanePositionSequence
        said = Dataset()
        said.FrameType = ["ORIGINAL", "PRIMARY", "T2", "NONE"]
        said.ComplexImageComponent = "PHASE"
        phase.MRImageFrameTypeSequence = [said]
    decoded = read_volume(write_series(tmp_path, [dataset]))
    assert np.array_equal(decoded.volume.voxels, VOXELS)
    assert decoded.frame_numbers == tuple(range(1, 10))
    assert [notice.code for notice in decoded.warnings] == ["instances_left_out"]


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, "not_magnitude"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "T2 MAP", "T2"]}, "parametric_map"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, "derived"),
        ({"SeriesDescription": "T2map sag"}, "parametric_map"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "FAT"]}, "dixon_component"),
        ({"ComplexImageComponent": "REAL"}, "not_magnitude"),
        ({"PixelPresentation": "TRUE_COLOR"}, "not_grey"),
        ({"PatientSpeciesDescription": "Canis lupus familiaris"}, "not_human"),
        ({"PatientBreedDescription": "Dachshund"}, "not_human"),
        ({"ResponsiblePersonRole": "OWNER"}, "not_human"),
        ({"RealWorldValueMappingSequence": [in_unit("ms")]}, "parametric_map"),
    ],
)
def test_what_is_not_anatomy_of_a_human_is_refused_by_name(
    tmp_path: Path, attributes: dict[str, Any], code: str
) -> None:
    refusal = reject(read_headers(write_series(tmp_path, series(**attributes))))
    assert refusal is not None
    assert refusal[0] == code


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientSpeciesDescription": "Homo sapiens"},
        {"ResponsiblePersonRole": "PARENT"},
        {"RealWorldValueMappingSequence": [in_unit("1")]},
    ],
)
def test_a_stated_human_is_measured(tmp_path: Path, attributes: dict[str, Any]) -> None:
    datasets = series(**attributes)
    assert reject(read_headers(write_series(tmp_path, datasets))) is None


def test_ge_tells_a_phase_picture_by_a_private_attribute(tmp_path: Path) -> None:
    datasets = series()
    for dataset in datasets:
        block = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
        block.add_new(0x2F, "SS", 1)
    refusal = reject(read_headers(write_series(tmp_path, datasets)))
    assert refusal is not None
    assert refusal[0] == "not_magnitude"


@pytest.mark.parametrize(
    ("keyword", "value", "part"),
    [
        ("PatientID", "OTHER", "Patient ID"),
        ("IssuerOfPatientID", "ELSEWHERE", "Issuer of Patient ID"),
        ("PatientName", "Else^Someone", "name"),
        ("PatientBirthDate", "19900101", "birth date"),
        ("PatientSex", "M", "sex"),
    ],
)
@pytest.mark.parametrize("place", [0, 4, 8])
def test_instances_of_two_patients_are_refused_by_what_differs(
    tmp_path: Path, keyword: str, value: str, part: str, place: int
) -> None:
    datasets = series()
    setattr(datasets[place], keyword, value)
    refusal = reject(read_headers(write_series(tmp_path, datasets)))
    assert refusal == (
        "mixed_patients",
        f"the series is of several patients, by {part}",
    )


def test_no_id_and_two_names_are_two_patients(tmp_path: Path) -> None:
    datasets = series(PatientID="")
    datasets[3].PatientName = "Else^Someone"
    refusal = reject(read_headers(write_series(tmp_path, datasets)))
    assert refusal is not None
    assert refusal[0] == "mixed_patients"


def test_what_one_instance_states_counts_where_others_are_silent(
    tmp_path: Path,
) -> None:
    keywords = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
    datasets = series(PatientAge="")
    stated = {keyword: str(getattr(datasets[0], keyword)) for keyword in keywords}
    for keyword in keywords:
        for dataset in datasets:
            setattr(dataset, keyword, "")
        setattr(datasets[5], keyword, stated[keyword])
    decoded = read(tmp_path, datasets)
    for source in decoded.sources:
        assert {key: str(getattr(source, key)) for key in keywords} == stated
    assert decoded.subject.sex == "F"
    assert decoded.subject.age_years == pytest.approx(45.5, abs=0.1)


def test_two_scanners_in_one_series_are_refused_as_such(tmp_path: Path) -> None:
    datasets = series(DeviceSerialNumber="1")
    for dataset in datasets[::2]:
        dataset.DeviceSerialNumber = "2"
    refusal = reject(read_headers(write_series(tmp_path, datasets)))
    assert refusal is not None
    assert refusal[0] == "mixed_scanners"


def test_two_echoes_are_named_as_what_they_are(tmp_path: Path) -> None:
    second = series(EchoTime=110)
    for number, dataset in enumerate(second):
        dataset.SOPInstanceUID = f"1.2.9.{number}"
        dataset.PixelData = bytes(len(dataset.PixelData))
    paths = write_series(tmp_path, [*series(EchoTime=90), *second])
    with pytest.raises(
        GeometryError, match=r"2 pictures at each.*2 values of Echo Time"
    ):
        read_volume(paths)


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("TemporalPositionIdentifier", "2 values of Temporal Position Identifier"),
        ("TriggerTime", "2 values of Trigger Time"),
        ("AcquisitionNumber", "2 values of Acquisition Number"),
    ],
)
def test_a_time_series_is_named_by_what_tells_its_times_apart(
    tmp_path: Path, keyword: str, text: str
) -> None:
    first, second = series(**{keyword: 1}), series(**{keyword: 2})
    for number, dataset in enumerate(second):
        dataset.SOPInstanceUID = f"1.2.9.{number}"
        dataset.PixelData = bytes(len(dataset.PixelData))
    with pytest.raises(GeometryError, match=f"2 pictures at each.*{text}") as caught:
        read_volume(write_series(tmp_path, [*first, *second]))
    assert caught.value.reason == "several_volumes"


def test_two_series_woven_into_one_stack_are_refused_by_their_echo_times(
    tmp_path: Path,
) -> None:
    datasets = series()
    for dataset in datasets[1::2]:
        dataset.EchoTime = 80
    with pytest.raises(GeometryError, match="echo times of 80 to 100 ms") as caught:
        read_volume(write_series(tmp_path, datasets))
    assert caught.value.reason == "mixed_weighting"


@pytest.mark.parametrize(
    ("stated", "is_refused"),
    [
        ({"SpacingBetweenSlices": 8}, True),
        ({"SpacingBetweenSlices": 19999999}, False),
        ({"SpacingBetweenSlices": None, "SliceThickness": 7}, True),
        ({"SpacingBetweenSlices": None, "SliceThickness": 4.4}, False),
        (
            {
                "SpacingBetweenSlices": None,
                "SliceThickness": 8,
                "MRAcquisitionType": "3D",
            },
            False,
        ),
        ({"SpacingBetweenSlices": 4, "SliceThickness": 8}, False),
    ],
)
def test_slices_closer_than_their_headers_state_are_of_two_series(
    tmp_path: Path, stated: dict[str, Any], is_refused: bool
) -> None:
    """Of a 3D acquisition they may be made to overlap, and a stated spacing rules.

    One of 20 km is a slip of whoever wrote it.
    """
    datasets = series(**{"MRAcquisitionType": "2D", **stated})
    if not is_refused:
        read(tmp_path, datasets)
        return
    with pytest.raises(GeometryError, match=r"4\.00 mm apart") as caught:
        read_volume(write_series(tmp_path, datasets))
    assert caught.value.reason == "several_volumes"


def test_frames_of_two_echo_times_are_refused(tmp_path: Path) -> None:
    dataset = build_enhanced(VOXELS, frame_of(SHAPE))
    for number, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        echo = Dataset()
        echo.EffectiveEchoTime = 80.0 + 20 * (number % 2)
        groups.MREchoSequence = [echo]
    with pytest.raises(GeometryError, match="echo times of 80 to 100 ms"):
        read_volume(write_series(tmp_path, [dataset]))


def test_echo_times_that_are_rounded_otherwise_are_one(tmp_path: Path) -> None:
    datasets = series(EchoTime=102)
    datasets[3].EchoTime = 102.4
    read(tmp_path, datasets)


def turned_in_its_plane(dataset: Dataset) -> None:
    """Store a slice upside down, and say so."""
    dataset.ImageOrientationPatient = [
        -float(cosine) for cosine in dataset.ImageOrientationPatient
    ]
    dataset.PixelData = dataset.pixel_array[::-1, ::-1].tobytes()


def test_slices_turned_by_180_degrees_are_refused_as_such(tmp_path: Path) -> None:
    datasets = series()
    for dataset in datasets[1::2]:
        turned_in_its_plane(dataset)
    with pytest.raises(GeometryError, match="4 of 9 slices are oriented otherwise"):
        read_volume(write_series(tmp_path, datasets))


def test_an_outer_slice_turned_by_180_degrees_is_left_out(tmp_path: Path) -> None:
    datasets = series()
    turned_in_its_plane(datasets[-1])
    decoded = read_volume(write_series(tmp_path, datasets))
    assert len(decoded.volume.voxels) == SHAPE[0] - 1
    (warning,) = decoded.warnings
    assert warning.code == "instances_left_out"
    assert "another orientation" in warning.text


def test_a_spacing_that_only_a_private_attribute_tells_is_no_spacing(
    tmp_path: Path,
) -> None:
    datasets = series(PixelSpacing=None)
    for dataset in datasets:
        block = dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x30, "FL", [0.5, 0.5])
    with pytest.raises(GeometryError, match="9 of 9 slices have no Pixel Spacing"):
        read_volume(write_series(tmp_path, datasets))
