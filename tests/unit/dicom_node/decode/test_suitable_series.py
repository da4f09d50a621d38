"""Which series can be analysed, told from headers alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import config
from pydicom.uid import (
    CTImageStorage,
    MRSpectroscopyStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from analysis.contract.plugin import Plane, Weighting
from dicom_node.decode.headers import InstanceHeader, read_headers
from dicom_node.decode.suitable_series import plane_of, reject, summarise
from dicom_node.identifiers import MANUFACTURER
from tests.support.mr_series import build_enhanced, build_series, write_series
from tests.support.spine_phantom import AXIAL, CORONAL, SAGITTAL, frame_of, turned

SHAPE = (3, 8, 6)
VOXELS = np.arange(144, dtype=np.float32).reshape(SHAPE)


@pytest.fixture(autouse=True)
def _careless() -> Iterator[None]:
    """Let a test write what a standard-minded writer would not."""
    with config.disable_value_validation():
        yield


def headers_of(folder: Path, **attributes: Any) -> tuple[InstanceHeader, ...]:
    datasets = build_series(VOXELS, frame_of(SHAPE), **attributes)
    return read_headers(write_series(folder, datasets))


def test_a_lumbar_t2_series_is_summarised(tmp_path: Path) -> None:
    datasets = build_series(VOXELS, frame_of(SHAPE, (4.0, 0.5, 0.75)))
    summary = summarise(read_headers(write_series(tmp_path, datasets)))
    assert (summary.modality, summary.body_part) == ("MR", "LSPINE")
    assert (summary.plane, summary.weighting) == (Plane.SAGITTAL, Weighting.T2)
    assert (summary.slice_count, summary.rows, summary.columns) == SHAPE
    assert summary.spacing_mm == pytest.approx((4.0, 0.5, 0.75))
    assert not summary.localiser
    assert not summary.derived
    assert reject(read_headers(sorted(tmp_path.iterdir()))) is None


def test_an_enhanced_series_is_summarised_alike(tmp_path: Path) -> None:
    dataset = build_enhanced(VOXELS, frame_of(SHAPE, (4.0, 0.5, 0.75)))
    headers = read_headers(write_series(tmp_path, [dataset]))
    summary = summarise(headers)
    assert (summary.plane, summary.weighting) == (Plane.SAGITTAL, Weighting.T2)
    assert (summary.slice_count, summary.rows, summary.columns) == SHAPE
    assert summary.spacing_mm == pytest.approx((4.0, 0.5, 0.75))
    assert reject(headers) is None


@pytest.mark.parametrize(
    ("directions", "angle_deg", "plane"),
    [
        (SAGITTAL, 0.0, Plane.SAGITTAL),
        (SAGITTAL, 20.0, Plane.SAGITTAL),
        (CORONAL, 0.0, Plane.CORONAL),
        (AXIAL, 0.0, Plane.AXIAL),
        (SAGITTAL, 45.0, Plane.OBLIQUE),
    ],
)
def test_the_plane_is_that_of_the_normal(
    tmp_path: Path, directions: NDArray[np.float64], angle_deg: float, plane: Plane
) -> None:
    frame = frame_of(SHAPE, directions=turned(directions, angle_deg=angle_deg))
    paths = write_series(tmp_path, build_series(VOXELS, frame))
    assert plane_of(read_headers(paths)) is plane


def test_sagittal_and_axial_slices_in_one_series_are_mixed(tmp_path: Path) -> None:
    sagittal = build_series(VOXELS, frame_of(SHAPE))
    axial = build_series(VOXELS, frame_of(SHAPE, directions=AXIAL), seed="axial")
    headers = read_headers(write_series(tmp_path, [*sagittal, *axial]))
    assert plane_of(headers) is Plane.MIXED


def test_axial_stacks_tilted_along_the_discs_are_axial(tmp_path: Path) -> None:
    datasets = [
        dataset
        for angle_deg in (-8.0, 0.0, 12.0)
        for dataset in build_series(
            VOXELS,
            frame_of(SHAPE, directions=turned(AXIAL, angle_deg=angle_deg)),
            seed=str(angle_deg),
        )
    ]
    headers = read_headers(write_series(tmp_path, datasets))
    assert plane_of(headers) is Plane.AXIAL


def test_a_series_without_orientation_has_no_plane(tmp_path: Path) -> None:
    headers = headers_of(tmp_path, ImageOrientationPatient=None)
    assert plane_of(headers) is Plane.UNKNOWN


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"Modality": "CT", "SOPClassUID": CTImageStorage}, "not_mr"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "not_mr"),
        ({"Modality": None}, "headers_incomplete"),
        ({"StudyInstanceUID": ""}, "headers_incomplete"),
        ({"StudyInstanceUID": "../../etc"}, "bad_uid"),
        ({"SeriesInstanceUID": "1.2/3"}, "bad_uid"),
        ({"StudyInstanceUID": "1." + "2" * 63}, "bad_uid"),
        ({"Rows": None, "SOPClassUID": MRSpectroscopyStorage}, "not_an_image"),
        ({"PixelData": None}, "no_pixel_data"),
        ({"SamplesPerPixel": 3}, "not_grey"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
        ({"SeriesDescription": "Survey_3pl"}, "localiser"),
        ({"SeriesDescription": "3-plane loc"}, "localiser"),
        ({"ImageType": ["DERIVED", "SECONDARY", "M"]}, "derived"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MPR"]}, "derived"),
        ({"ImageType": ["DERIVED", "PRIMARY", "M", "ADC"]}, "derived"),
        ({"Manufacturer": MANUFACTURER}, "own_result"),
    ],
)
def test_what_cannot_be_analysed_is_told_by_a_stable_code(
    tmp_path: Path, attributes: dict[str, Any], code: str
) -> None:
    refusal = reject(headers_of(tmp_path, **attributes))
    assert refusal is not None
    assert refusal[0] == code


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": None},
        {"ImageType": ["DERIVED", "PRIMARY", "M", "COMPOSED"]},
        {"SeriesDescription": "T2 SAG local coil"},
        {"BodyPartExamined": None},
        {"SeriesDescription": None, "ProtocolName": None},
        {"PatientID": None},
        {"StudyInstanceUID": "1.2.03.4"},
    ],
)
def test_what_can_be_analysed_passes(
    tmp_path: Path, attributes: dict[str, Any]
) -> None:
    assert reject(headers_of(tmp_path, **attributes)) is None


@pytest.mark.parametrize(
    ("attributes", "code", "text"),
    [
        (
            {"PatientID": "OTHER"},
            "mixed_patients",
            "of several patients, by Patient ID",
        ),
        (
            {"EchoTime": 10, "RepetitionTime": 500},
            "mixed_weighting",
            "mixes weightings: T1, T2",
        ),
    ],
)
def test_instances_that_do_not_belong_together_are_refused(
    tmp_path: Path, attributes: dict[str, Any], code: str, text: str
) -> None:
    datasets = build_series(VOXELS, frame_of(SHAPE))
    for keyword, value in attributes.items():
        setattr(datasets[1], keyword, value)
    refusal = reject(read_headers(write_series(tmp_path, datasets)))
    assert refusal is not None
    assert (refusal[0], text in refusal[1]) == (code, True)


def test_a_refusal_names_what_is_missing(tmp_path: Path) -> None:
    refusal = reject(headers_of(tmp_path, Modality=None, SeriesInstanceUID=None))
    assert refusal == (
        "headers_incomplete",
        "missing from the dataset: Series Instance UID, Modality",
    )


def test_headers_of_nothing_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one"):
        summarise(())


def test_spacing_falls_back_to_what_is_stated(tmp_path: Path) -> None:
    headers = headers_of(tmp_path, ImagePositionPatient=None)
    assert summarise(headers).spacing_mm == pytest.approx((4.0, 1.0, 1.0))


def test_spacing_is_unknown_where_nothing_states_it(tmp_path: Path) -> None:
    headers = headers_of(tmp_path, PixelSpacing=None)
    assert summarise(headers).spacing_mm is None


def test_a_contrast_agent_is_told(tmp_path: Path) -> None:
    headers = headers_of(tmp_path, ContrastBolusAgent="GADOLINIUM")
    assert summarise(headers).contrast_agent


def test_uids_of_another_study_change_nothing(tmp_path: Path) -> None:
    headers = headers_of(tmp_path, StudyInstanceUID=generate_uid())
    assert reject(headers) is None
