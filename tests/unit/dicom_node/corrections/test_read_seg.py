"""A SEG of a reader is drawn where it belongs, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.seg import Segmentation, SegmentationTypeValues
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless, generate_uid

from dicom_node.corrections.read_seg import (
    DecodedOutlines,
    read_outlines,
    read_segmentation_header,
)
from dicom_node.decode.read_file import ReadLimits
from dicom_node.decode.volume import DecodedSeries
from dicom_node.encode.result_objects import encode_result
from dicom_node.errors import SeriesRejectedError
from tests.support.corrected import redrawn, with_frames
from tests.support.encoded import REQUEST, decoded_phantom
from tests.support.mr_series import transcode
from tests.support.phantom_result import LABELS, phantom_result

KNOWN = tuple(LABELS.values())
NAMES = dict(enumerate(KNOWN, start=1))
LABEL_MAP = SegmentationTypeValues.LABELMAP


@pytest.fixture(scope="module")
def phantom(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[DecodedSeries, NDArray[np.uint8]]:
    """Return an oblique series, and its true labels as segment numbers 1 to 12."""
    folder = tmp_path_factory.mktemp("series")
    series, labels = decoded_phantom(folder, angle_deg=14.0)
    table = np.zeros(256, np.uint8)
    for number, label in enumerate(LABELS, start=1):
        table[label] = number
    return series, table[labels]


Read = Callable[[Dataset], DecodedOutlines]


@pytest.fixture
def read(phantom: tuple[DecodedSeries, NDArray[np.uint8]], tmp_path: Path) -> Read:
    def read(dataset: Dataset) -> DecodedOutlines:
        path = tmp_path / "seg.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return read_outlines(path, phantom[0], known=KNOWN)

    return read


@pytest.fixture
def draw(phantom: tuple[DecodedSeries, NDArray[np.uint8]]) -> Callable[..., Dataset]:
    series, labels = phantom

    def draw(**more: Any) -> Dataset:
        given = {"labels": labels, "names": NAMES, **more}
        return redrawn(series.sources, **given)

    return draw


Draw = Callable[..., Dataset]


def refusal(read: Read, dataset: Dataset) -> tuple[str, str]:
    with pytest.raises(SeriesRejectedError) as outcome:
        read(dataset)
    return outcome.value.reason, outcome.value.text


def assert_drawn(outlines: DecodedOutlines, labels: NDArray[np.uint8]) -> None:
    assert [NAMES[n] for n in np.unique(labels)[1:].tolist()] == list(outlines.names)
    for place, name in enumerate(outlines.names, start=1):
        number = KNOWN.index(name) + 1
        np.testing.assert_array_equal(outlines.labels == place, labels == number)
        assert outlines.segments[name] == number


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"omit_empty_frames": False},
        {"segmentation_type": LABEL_MAP},
        {"segmentation_type": LABEL_MAP, "transfer_syntax_uid": RLELossless},
    ],
    ids=["binary", "with empty frames", "label map", "label map in RLE"],
)
def test_every_voxel_is_where_it_was_drawn(
    draw: Draw,
    read: Read,
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
    options: dict[str, Any],
) -> None:
    assert_drawn(read(draw(**options)), phantom[1])


def test_the_order_of_the_frames_does_not_matter(
    draw: Draw, read: Read, phantom: tuple[DecodedSeries, NDArray[np.uint8]]
) -> None:
    dataset = draw()
    count = int(dataset.NumberOfFrames)
    order = np.random.default_rng(3).permutation(count).tolist()
    assert_drawn(read(with_frames(dataset, order)), phantom[1])


def test_frames_that_run_the_other_way_are_drawn_at_their_place(
    draw: Draw, read: Read, phantom: tuple[DecodedSeries, NDArray[np.uint8]]
) -> None:
    """An editor may store pictures upside down, with the position of their corner."""
    dataset = draw()
    planes = dataset.pixel_array
    rows = planes.shape[1]
    turned = planes[:, np.arange(rows - 1, -1, -1)]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    plane = shared.PlaneOrientationSequence[0]
    cosines = np.array(plane.ImageOrientationPatient, np.float64)
    height_mm = float(shared.PixelMeasuresSequence[0].PixelSpacing[0]) * (rows - 1)
    plane.ImageOrientationPatient = [*cosines[:3], *-cosines[3:]]
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0]
        corner = np.array(position.ImagePositionPatient, np.float64)
        corner += height_mm * cosines[3:]
        position.ImagePositionPatient = [round(float(mm), 6) for mm in corner]
    dataset.PixelData = np.packbits(turned.ravel(), bitorder="little").tobytes()
    assert_drawn(read(dataset), phantom[1])


def test_who_drew_it_is_told_as_people_write_a_name(draw: Draw, read: Read) -> None:
    assert read(draw()).editor == "Jane Doe"
    assert read(draw(ContentCreatorName="OHIF^")).editor == "OHIF"
    assert read(draw(ContentCreatorName=None)).editor == ""
    # A viewer that keeps our own name has no reader to tell of.
    assert read(draw(content_creator_name="lumbar-node^")).editor == ""


def test_a_segment_that_was_emptied_is_not_among_the_outlines(
    draw: Draw, read: Read, phantom: tuple[DecodedSeries, NDArray[np.uint8]]
) -> None:
    labels = phantom[1].copy()
    labels[labels == KNOWN.index("L3/L4 disc") + 1] = 0
    outlines = read(draw(labels=labels))
    assert "L3/L4 disc" not in outlines.names
    assert_drawn(outlines, labels)


def test_the_header_tells_source_and_labels_and_that_it_is_not_ours(
    draw: Draw,
    phantom: tuple[DecodedSeries, NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    series, _ = phantom
    draw().save_as(tmp_path / "seg.dcm", enforce_file_format=True)
    header = read_segmentation_header(tmp_path / "seg.dcm")
    assert header.source_uids == (series.volume.series_uid,)
    assert header.labels == KNOWN
    assert not header.is_own


def test_the_setting_for_deflated_files_holds_for_a_seg(
    draw: Draw, phantom: tuple[DecodedSeries, NDArray[np.uint8]], tmp_path: Path
) -> None:
    path = tmp_path / "seg.dcm"
    draw().save_as(path, enforce_file_format=True)
    transcode(path, DeflatedExplicitVRLittleEndian)
    read_outlines(path, phantom[0], known=KNOWN)
    limits = ReadLimits(inflated_bytes=600)
    for read in (
        lambda: read_segmentation_header(path, limits=limits),
        lambda: read_outlines(path, phantom[0], known=KNOWN, limits=limits),
    ):
        with pytest.raises(SeriesRejectedError, match="600") as outcome:
            read()
        assert outcome.value.reason == "over_limit"


def test_our_own_seg_is_known_as_such_until_it_is_saved_anew(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], tmp_path: Path
) -> None:
    series, numbers = phantom
    table = np.array([0, *LABELS], np.uint8)
    own = encode_result(phantom_result(table[numbers]), series, REQUEST)[0].dataset
    assert isinstance(own, Segmentation)
    own.save_as(tmp_path / "own.dcm", enforce_file_format=True)
    assert read_segmentation_header(tmp_path / "own.dcm").is_own
    own.SOPInstanceUID = own.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    own.save_as(tmp_path / "saved.dcm", enforce_file_format=True)
    assert not read_segmentation_header(tmp_path / "saved.dcm").is_own


def test_segments_of_other_software_are_refused_with_the_names_we_know(
    draw: Draw, read: Read
) -> None:
    reason, text = refusal(read, draw(names={**NAMES, 2: "vertebrae_L5"}))
    assert reason == "unknown_segments"
    assert "'vertebrae_L5'; known are S1, L5" in text


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        ("StudyInstanceUID", "1.2.3", "other_study"),
        ("PatientID", "PHANTOM11", "other_patient"),
        ("PatientID", "", "other_patient"),
        ("FrameOfReferenceUID", "1.2.3", "other_frame_of_reference"),
        ("SegmentationType", "FRACTIONAL", "fractional_segmentation"),
        ("NumberOfFrames", 3, "unreadable_segmentation"),
        ("Rows", 63, "unreadable_segmentation"),
        ("Rows", 65, "unreadable_pixels"),
    ],
)
def test_what_belongs_elsewhere_is_refused(
    draw: Draw, read: Read, attribute: str, value: Any, reason: str
) -> None:
    assert refusal(read, draw(**{attribute: value}))[0] == reason


def test_an_id_with_a_backslash_is_that_of_a_patient_as_a_whole(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path, PatientID="7\\8")
    path = tmp_path / "seg.dcm"
    dataset = redrawn(series.sources, (labels == 1).astype(np.uint8), {1: "S1"})

    def read(patient_id: str) -> DecodedOutlines:
        dataset.PatientID = patient_id
        dataset.save_as(path, enforce_file_format=True)
        return read_outlines(path, series, known=KNOWN)

    assert read("7\\8").names == ("S1",)
    for other in ("7", "7\\9"):
        with pytest.raises(SeriesRejectedError) as outcome:
            read(other)
        assert outcome.value.reason == "other_patient"


def test_a_seg_may_leave_out_its_frame_of_reference(draw: Draw, read: Read) -> None:
    dataset = draw()
    del dataset.FrameOfReferenceUID
    assert_drawn(read(dataset), read(draw()).labels)


def test_another_picture_of_the_same_series_is_refused(draw: Draw, read: Read) -> None:
    dataset = draw()
    (series,) = dataset.ReferencedSeriesSequence
    series.ReferencedInstanceSequence[1].ReferencedSOPInstanceUID = "1.2.3"
    assert refusal(read, dataset) == (
        "other_instances",
        "the SEG refers to 1 instances that the series lacks",
    )


def test_a_resampled_seg_is_refused(draw: Draw, read: Read) -> None:
    dataset = draw()
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [4.0, 4.1]
    assert refusal(read, dataset)[0] == "off_grid"


@pytest.mark.parametrize("shift_mm", [0.8, 400.0], ids=["a fifth of a pixel", "far"])
def test_a_shifted_seg_is_refused(draw: Draw, read: Read, shift_mm: float) -> None:
    dataset = draw()
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0]
        x, y, z = (float(mm) for mm in position.ImagePositionPatient)
        position.ImagePositionPatient = [x, y, round(z + shift_mm, 6)]
    assert refusal(read, dataset)[0] == "off_grid"


def test_an_empty_seg_is_refused(draw: Draw, read: Read) -> None:
    dataset = draw()
    dataset.PixelData = bytes(len(dataset.PixelData))
    assert refusal(read, dataset)[0] == "outlines_empty"


def test_overlapping_segments_are_refused_with_their_names_and_voxels(
    draw: Draw, read: Read
) -> None:
    dataset = draw()
    disc, body = KNOWN.index("L4/L5 disc") + 1, KNOWN.index("L5") + 1
    frames = dataset.PerFrameFunctionalGroupsSequence

    def segment_of(frame: Dataset) -> Dataset:
        item: Dataset = frame.SegmentIdentificationSequence[0]
        return item

    of_disc = [
        index
        for index, frame in enumerate(frames)
        if segment_of(frame).ReferencedSegmentNumber == disc
    ]
    voxels = int(dataset.pixel_array[of_disc].sum())
    doubled = with_frames(dataset, [*range(len(frames)), *of_disc])
    for frame in doubled.PerFrameFunctionalGroupsSequence[len(frames) :]:
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber = body
    reason, text = refusal(read, doubled)
    assert reason == "overlapping_segments"
    assert f"L4/L5 disc and L5 share {voxels} voxels" in text


def test_two_segments_of_one_name_are_refused(draw: Draw, read: Read) -> None:
    dataset = draw()
    dataset.SegmentSequence[1].SegmentLabel = dataset.SegmentSequence[0].SegmentLabel
    assert refusal(read, dataset)[0] == "segments_named_twice"


def test_a_seg_that_breaks_off_is_refused(draw: Draw, read: Read) -> None:
    dataset = draw()
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
    assert refusal(read, dataset)[0] == "unreadable_pixels"


def test_a_file_that_is_no_dicom_is_refused(
    phantom: tuple[DecodedSeries, NDArray[np.uint8]], tmp_path: Path
) -> None:
    path = tmp_path / "seg.dcm"
    path.write_bytes(b"not DICOM")
    with pytest.raises(SeriesRejectedError) as outcome:
        read_outlines(path, phantom[0], known=KNOWN)
    assert outcome.value.reason == "unreadable_segmentation"
