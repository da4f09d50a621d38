"""A 3-D series of thin slices: more frames than viewers take in one BINARY SEG."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import Segmentation as SegmentationObject
from pydicom.dataset import Dataset

from analysis.contract.result import AnalysisResult
from analysis.contract.segmentation import Segmentation
from dicom_node.decode.volume import DecodedSeries
from dicom_node.encode.result_objects import encode_result
from dicom_node.encode.segmentation_object import MAX_FRAMES, segment_places
from tests.support.dicom3tools import errors_of
from tests.support.encoded import REQUEST, by_name, decoded_phantom, named
from tests.support.phantom_result import phantom_result

SPACE = (52, 64, 40)
"""Slices, rows, columns; 12 structures lie in 49 slices each."""
SPACE_MM = (0.9, 4.0, 4.0)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("space")


@pytest.fixture(scope="module")
def space(source: Path) -> tuple[DecodedSeries, AnalysisResult]:
    series, labels = decoded_phantom(
        source, shape=SPACE, spacing_mm=SPACE_MM, MRAcquisitionType="3D"
    )
    return series, phantom_result(labels)


@pytest.fixture(scope="module")
def encoded(space: tuple[DecodedSeries, AnalysisResult]) -> dict[str, Dataset]:
    series, result = space
    return by_name(encode_result(result, series, REQUEST))


def parts(encoded: dict[str, Dataset]) -> list[Dataset]:
    return [found for name, found in encoded.items() if name.startswith("seg")]


def test_no_segmentation_has_400_frames_or_an_empty_one(
    space: tuple[DecodedSeries, AnalysisResult], encoded: dict[str, Dataset]
) -> None:
    labels = space[1].segmentation.labels
    shown = sum(
        int((labels == label).any(axis=(1, 2)).sum()) for label in np.unique(labels)[1:]
    )
    frames = [int(found.NumberOfFrames) for found in parts(encoded)]
    assert sum(frames) == shown > 400
    assert len(frames) == 2
    assert max(frames) <= MAX_FRAMES


def test_the_parts_hold_every_voxel_of_every_segment_once(
    space: tuple[DecodedSeries, AnalysisResult], encoded: dict[str, Dataset]
) -> None:
    series, result = space
    numbers = {one.label: one.number for one in result.segmentation.segments}
    held = []
    for dataset in parts(encoded):
        segmentation = SegmentationObject.from_dataset(dataset)
        described = dataset.SegmentSequence
        assert [one.SegmentNumber for one in described] == [
            *range(1, len(described) + 1)
        ]
        for one in described:
            held.append(one.SegmentLabel)
            volume = segmentation.get_volume(segment_numbers=[one.SegmentNumber])
            voxels = np.argwhere(
                result.segmentation.labels == numbers[one.SegmentLabel]
            )
            places = series.volume.frame.to_mm(voxels)
            homogeneous = np.column_stack([places, np.ones(len(places))])
            inside = np.rint((homogeneous @ np.linalg.inv(volume.affine).T)[:, :3])
            drawn = volume.array.reshape(volume.array.shape[:3])
            assert drawn[tuple(inside.astype(int).T)].all(), one.SegmentLabel
            assert drawn.sum() == len(voxels), one.SegmentLabel
    assert held == [one.label for one in result.segmentation.segments]


def test_each_part_is_a_series_that_says_which_it_is(
    encoded: dict[str, Dataset],
) -> None:
    """OHIF 3.13 shows the last SEG of a series only."""
    first, second = parts(encoded)
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert [each.SeriesDescription for each in (first, second)] == [
        f"SEG {part}/2 of series 3, AI lumbar (not for primary diagnosis)"
        for part in (1, 2)
    ]
    assert list(encoded)[:3] == ["seg", "seg_02", "sr"]


def test_the_report_refers_to_the_part_that_holds_the_segment(
    encoded: dict[str, Dataset],
) -> None:
    named_there = {
        (found.SOPInstanceUID, one.SegmentNumber): one.SegmentLabel
        for found in parts(encoded)
        for one in found.SegmentSequence
    }
    referred = set()
    for group in named(encoded["sr"], "125007"):
        for item in named(group, "121191"):
            reference = item.ReferencedSOPSequence[0]
            uid = reference.ReferencedSOPInstanceUID
            label = named_there[uid, reference.ReferencedSegmentNumber]
            assert label == named(group, "112039")[0].TextValue
            referred.add(uid)
    assert referred == {found.SOPInstanceUID for found in parts(encoded)}


def test_the_parts_break_no_rule(
    encoded: dict[str, Dataset], source: Path, tmp_path: Path
) -> None:
    paths = []
    for name, dataset in encoded.items():
        paths.append(tmp_path / f"{name}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
        assert errors_of("dciodvfy", paths[-1]) == [], name
    assert errors_of("dcentvfy", *sorted(source.iterdir()), *paths) == []


def test_a_label_map_of_thin_slices_is_one_object(
    space: tuple[DecodedSeries, AnalysisResult],
) -> None:
    series, result = space
    request = replace(REQUEST, segmentation="labelmap", objects=("seg",))
    (only,) = encode_result(result, series, request)
    assert only.dataset.NumberOfFrames <= SPACE[0]


def test_a_segment_in_too_many_slices_is_not_cut() -> None:
    labels = np.zeros((450, 2, 3), np.uint8)
    labels[:, 0, 0], labels[:300, 0, 1], labels[:99, 0, 2] = 1, 11, 12
    labels[0, 1, 0] = 20
    segments = phantom_result(labels).segmentation.segments
    places = segment_places(
        Segmentation(labels=labels, segments=segments), kind="binary"
    )
    assert {label: (one.part, one.number) for label, one in places.items()} == {
        1: (1, 1),
        11: (2, 1),
        12: (2, 2),
        20: (3, 1),
    }
