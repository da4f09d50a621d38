"""Headers as scanners of several makers write them: a T2 series is taken as one.

The words of UIH and Canon are those of the reference headers that come with dcm2niix
(dcm_qa_uih, dcm_qa_canon); those of the others are as bare as their headers tend to
be. No picture of these makers was at hand.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import MRImageStorage, generate_uid

from analysis.contract.plugin import Plane, Weighting
from dicom_node.decode.headers import read_headers
from dicom_node.decode.suitable_series import reject, summarise
from dicom_node.decode.volume import read_volume
from tests.support.mr_series import build_enhanced, build_series, write_series
from tests.support.spine_phantom import frame_of

SHAPE = (7, 12, 10)
VOXELS = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE) % 900
GROUPS = ("PixelMeasuresSequence", "PlaneOrientationSequence")

T2: dict[str, dict[str, Any]] = {
    "UIH": {
        "Manufacturer": "UIH",
        "ManufacturerModelName": "uMR 770",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "UCA", "IF", "MAGNITUDE"],
        "ScanningSequence": "SE",
        "SequenceVariant": "NONE",
        "SequenceName": "fse",
        "SeriesDescription": "t2_fse_sag",
    },
    "Canon": {
        "Manufacturer": "CANON_MEC",
        "ManufacturerModelName": "Galan 3T",
        "ImageType": ["ORIGINAL", "PRIMARY", "GDC"],
        "ScanningSequence": "SE",
        "SequenceVariant": "NONE",
        "ScanOptions": ["NONE", "S2_0"],
        "SeriesDescription": "FSE2D T2 SAG",
    },
    "Toshiba": {
        "Manufacturer": "TOSHIBA_MEC",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "ScanningSequence": ["SE"],
        "SeriesDescription": "T2 SAG",
    },
    "Hitachi": {
        "Manufacturer": "HITACHI",
        "ManufacturerModelName": "AIRIS II",
        "MagneticFieldStrength": 0.3,
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "ScanningSequence": "SE",
        "SequenceVariant": None,
        "EchoTrainLength": None,
        "EchoTime": 120.0,
        "SeriesDescription": "SAG T2",
        "SpacingBetweenSlices": 0.5,  # the gap, not the distance
    },
    "Esaote": {
        "Manufacturer": "ESAOTE",
        "ManufacturerModelName": "S-SCAN",
        "MagneticFieldStrength": 0.25,
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "ScanningSequence": "SE",
        "RepetitionTime": 3010.0,
        "EchoTime": 90.0,
        "SeriesDescription": "FSE T2 SAG",
        "BodyPartExamined": None,
    },
}


@pytest.mark.parametrize("maker", T2)
def test_a_t2_series_is_taken_as_one(tmp_path: Path, maker: str) -> None:
    datasets = build_series(VOXELS, frame_of(SHAPE), **T2[maker])
    paths = write_series(tmp_path, datasets)
    headers = read_headers(paths)
    assert reject(headers) is None
    summary = summarise(headers)
    assert (summary.plane, summary.weighting) == (Plane.SAGITTAL, Weighting.T2)
    assert (summary.derived, summary.localiser) == (False, False)
    decoded = read_volume(paths)
    assert decoded.warnings == ()
    assert_is_the_volume(paths)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (
            {"ImageType": ["ORIGINAL", "PRIMARY", "P", "UCA", "IF", "PHASE"]},
            "not_magnitude",
        ),
        ({"ImageType": ["DERIVED", "PRIMARY", "M", "FAT"]}, "dixon_component"),
        ({"SeriesDescription": "t2_fse_dixon_sag_opp"}, "dixon_component"),
        ({"SeriesDescription": "t2_map_sag"}, "parametric_map"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "derived"),
    ],
)
def test_what_uih_computes_is_refused(
    tmp_path: Path, more: dict[str, Any], code: str
) -> None:
    datasets = build_series(VOXELS, frame_of(SHAPE), **{**T2["UIH"], **more})
    refusal = reject(read_headers(write_series(tmp_path, datasets)))
    assert refusal is not None
    assert refusal.code == code


def per_frame(dataset: FileDataset) -> None:
    """Write every functional group into each frame, as Philips does."""
    (shared,) = dataset.SharedFunctionalGroupsSequence
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        for keyword in GROUPS:
            setattr(groups, keyword, copy.deepcopy(shared[keyword].value))
    for keyword in GROUPS:
        delattr(shared, keyword)


def one_per_frame_one_shared(dataset: FileDataset) -> None:
    """Share the spacing alone, as Siemens XA does."""
    (shared,) = dataset.SharedFunctionalGroupsSequence
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        groups.PlaneOrientationSequence = copy.deepcopy(shared.PlaneOrientationSequence)
    del shared.PlaneOrientationSequence


def both(dataset: FileDataset) -> None:
    """Write a group into each frame, and another value of it for all."""
    (shared,) = dataset.SharedFunctionalGroupsSequence
    right = copy.deepcopy(shared.PixelMeasuresSequence)
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        groups.PixelMeasuresSequence = copy.deepcopy(right)
    shared.PixelMeasuresSequence[0].PixelSpacing = [9.0, 9.0]


def nothing_shared(dataset: FileDataset) -> None:
    """Leave the sequence of what is shared empty."""
    per_frame(dataset)
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        groups.update(
            {
                one.tag: copy.deepcopy(one)
                for one in dataset.SharedFunctionalGroupsSequence[0]
            }
        )
    dataset.SharedFunctionalGroupsSequence = []


@pytest.mark.parametrize(
    "change", [per_frame, one_per_frame_one_shared, both, nothing_shared]
)
def test_groups_of_a_frame_and_of_all_are_read_alike(
    tmp_path: Path, change: Any
) -> None:
    dataset = build_enhanced(VOXELS, frame_of(SHAPE))
    change(dataset)
    assert_is_the_volume(write_series(tmp_path, [dataset]))


def test_functional_groups_in_classic_instances_are_read(tmp_path: Path) -> None:
    """Siemens XA exports one frame each, under the class of a classic instance."""
    enhanced = build_enhanced(VOXELS, frame_of(SHAPE))
    frames = enhanced.pixel_array
    datasets = []
    for number, groups in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        one = copy.deepcopy(enhanced)
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = MRImageStorage
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        one.PerFrameFunctionalGroupsSequence = [groups]
        one.NumberOfFrames = 1
        one.PixelData = frames[number].tobytes()
        datasets.append(one)
    assert_is_the_volume(write_series(tmp_path, datasets))


def assert_is_the_volume(paths: list[Path]) -> None:
    headers = read_headers(paths)
    assert reject(headers) is None
    found, frame = read_volume(paths).volume, frame_of(SHAPE)
    assert np.array_equal(found.voxels, VOXELS)
    for part in ("origin_mm", "directions", "spacing_mm"):
        assert getattr(found.frame, part) == pytest.approx(
            getattr(frame, part), abs=1e-4
        )
