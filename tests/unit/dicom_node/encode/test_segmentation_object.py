"""The SEG: how it holds its voxels, and what it says of each segment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import Segmentation as SegmentationObject
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import RLELossless

from analysis.contract.segmentation import Segmentation
from analysis.lumbar.tell.to_contract import segmentation as lumbar_segmentation
from dicom_node.decode.volume import DecodedSeries
from dicom_node.encode.result_objects import encode_result
from tests.support.encoded import (
    REQUEST,
    by_name,
    decoded_phantom,
    named,
    reread,
    written,
)
from tests.support.phantom_result import phantom_result

LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"

Phantom = tuple[DecodedSeries, NDArray[np.uint8]]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    return decoded_phantom(tmp_path_factory.mktemp("phantom"))


def encoded(phantom: Phantom, kind: str) -> dict[str, Dataset]:
    series, labels = phantom
    request = replace(REQUEST, segmentation=kind)
    return by_name(encode_result(phantom_result(labels), series, request))


def masks(dataset: Dataset) -> dict[str, NDArray[np.bool_]]:
    """Return the voxels of each segment on the grid of the object."""
    segmentation = SegmentationObject.from_dataset(dataset)
    return {
        segmentation.get_segment_description(number).segment_label: np.squeeze(
            segmentation.get_volume(segment_numbers=[number]).array
        ).astype(bool)
        for number in segmentation.segment_numbers
    }


@pytest.mark.parametrize("kind", ["labelmap", "labelmap-rle"])
def test_a_label_map_holds_the_same_voxels_under_the_same_names(
    phantom: Phantom, kind: str
) -> None:
    dataset = encoded(phantom, kind)["seg"]
    assert dataset.SOPClassUID == LABEL_MAP_STORAGE
    expected = masks(encoded(phantom, "binary")["seg"])
    found = masks(dataset)
    assert list(found) == list(expected)
    for label, mask in expected.items():
        assert found[label].sum() == mask.sum() > 0, label
        # A volume of few frames may be cropped to them; what it holds is the same.
        assert (found[label].any(0) == mask.any(0)).all(), label


def test_a_label_map_can_be_compressed(phantom: Phantom) -> None:
    plain = encoded(phantom, "labelmap")["seg"]
    packed = encoded(phantom, "labelmap-rle")["seg"]
    assert packed.file_meta.TransferSyntaxUID == RLELossless
    assert len(packed.PixelData) < len(plain.PixelData) / 2


def test_pictures_with_an_odd_number_of_pixels_can_be_compressed(
    tmp_path: Path,
) -> None:
    """GDCM's encoder, which comes first, ends the process at them."""
    odd = decoded_phantom(tmp_path, shape=(5, 61, 39))
    plain = encoded(odd, "labelmap")["seg"]
    packed = encoded(odd, "labelmap-rle")["seg"]
    assert packed.file_meta.TransferSyntaxUID == RLELossless
    found = pixel_array(packed, decoding_plugin="pydicom")
    assert (found == pixel_array(plain)).all()


@pytest.mark.parametrize("kind", ["labelmap", "labelmap-rle"])
def test_a_retry_makes_the_same_bytes_of_a_label_map(
    phantom: Phantom, kind: str
) -> None:
    first, second = (encoded(phantom, kind)["seg"] for _ in range(2))
    assert written(first) == written(second)


def test_the_report_beside_a_label_map_refers_to_it_by_tracking_uid(
    phantom: Phantom,
) -> None:
    results = encoded(phantom, "labelmap")
    tracked = {item.get("TrackingUID") for item in results["seg"].SegmentSequence}
    groups = named(results["sr"], "125007")
    assert len(groups) == 5
    assert {named(group, "112040")[0].UID for group in groups} <= tracked
    assert named(results["sr"], "121191") == []


def test_a_segment_says_what_it_is_where_and_who_drew_it(phantom: Phantom) -> None:
    series, labels = phantom
    result = phantom_result(labels)
    described = lumbar_segmentation(
        np.where(labels == 12, np.uint8(12), np.uint8(0)).astype(np.uint8)
    )
    result = replace(result, segmentation=described, findings=())
    dataset = reread(encode_result(result, series, REQUEST)[0].dataset)
    (segment,) = dataset.SegmentSequence
    assert segment.SegmentLabel == "L4/L5 disc"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "84020006"
    assert segment.AnatomicRegionSequence[0].CodeMeaning == "Lumbar spine"
    assert segment.SegmentAlgorithmName == "lumbar-mri"
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (
        "lumbar-mri",
        "1.0.0",
    )
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"


def test_a_colour_is_written_as_cielab(phantom: Phantom) -> None:
    """D50 white is L 100, a 0, b 0: 65535, 32896, 32896 (PS3.3 C.10.7.1.1)."""
    series, labels = phantom
    result = phantom_result(labels)
    only = Segmentation(
        labels=np.where(labels == 12, np.uint8(12), np.uint8(0)).astype(np.uint8),
        segments=(
            replace(
                next(s for s in result.segmentation.segments if s.number == 12),
                colour=(255, 255, 255),
            ),
        ),
    )
    result = replace(result, segmentation=only, findings=())
    dataset = encode_result(result, series, REQUEST)[0].dataset
    lightness, a, b = dataset.SegmentSequence[0].RecommendedDisplayCIELabValue
    assert lightness == pytest.approx(65535, abs=40)
    assert (a, b) == (pytest.approx(32896, abs=200), pytest.approx(32896, abs=200))


def test_a_later_revision_has_another_content_label(
    phantom: Phantom, tmp_path: Path
) -> None:
    series, labels = phantom
    request = replace(REQUEST, revision=2, supersedes="job 1")
    later = by_name(encode_result(phantom_result(labels), series, request))["seg"]
    assert encoded(phantom, "binary")["seg"].ContentLabel == "AI_RESULT"
    assert later.ContentLabel == "AI_RESULT_R2"
    assert later.SeriesDescription.startswith("SEG of series 3 rev 2, ")
