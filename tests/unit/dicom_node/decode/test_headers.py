"""Headers as senders write them: absent, empty, multi-valued, forbidden, cut off."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from dicom_node.decode.headers import read_header, read_headers
from dicom_node.decode.read_file import NotDicomError
from dicom_node.decode.suitable_series import reject, summarise
from dicom_node.errors import PixelDataError
from tests.support.mr_series import build_series, write_series
from tests.support.spine_phantom import frame_of

SHAPE = (1, 8, 6)
VOXELS = np.arange(48, dtype=np.float32).reshape(SHAPE)


def write_one(folder: Path, *, syntax: str | None = None) -> Path:
    datasets = build_series(VOXELS, frame_of(SHAPE))
    return write_series(folder, datasets, syntax=syntax)[0]


def spoil(path: Path, keyword: str, vr: str, content: bytes) -> None:
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom sees what is being done here
        dataset = dcmread(path)
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(
            tag, vr, len(content), content, 0, False, True, True
        )
        dataset.save_as(path)


@pytest.mark.parametrize(
    ("keyword", "vr", "content", "field"),
    [
        ("EchoTime", "DS", b"long", "echo_time_ms"),
        ("EchoTime", "DS", b"", "echo_time_ms"),
        ("RepetitionTime", "DS", b"NaN ", "repetition_time_ms"),
        ("SliceThickness", "DS", b"inf ", "thickness_mm"),
        ("PixelSpacing", "DS", b"0.5 ", "pixel_spacing_mm"),
        ("SeriesNumber", "IS", b"3.5 ", "series_number"),
    ],
)
def test_a_value_that_its_vr_forbids_is_no_value(
    tmp_path: Path, keyword: str, vr: str, content: bytes, field: str
) -> None:
    path = write_one(tmp_path)
    spoil(path, keyword, vr, content)
    assert getattr(read_header(path), field) is None


def test_an_orientation_of_five_numbers_is_none(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    spoil(path, "ImageOrientationPatient", "DS", b"0\\1\\0\\0\\0 ")
    assert read_header(path).orientations == ()


def test_several_echo_times_give_the_first(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    spoil(path, "EchoTime", "DS", b"100\\120 ")
    assert read_header(path).echo_time_ms == 100.0


def test_a_wrong_vr_is_read_by_its_content(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    spoil(path, "Modality", "LO", b"mr")
    assert read_header(path).modality == "MR"


def test_bytes_of_no_known_character_set_do_not_stop_the_reading(
    tmp_path: Path,
) -> None:
    path = write_one(tmp_path)
    spoil(path, "SpecificCharacterSet", "CS", b"KLINGON ")
    spoil(path, "SeriesDescription", "LO", b"T2 \xff\xfe\x81 ")
    header = read_header(path)
    assert header.description.startswith("T2")
    assert reject((header,)) is None
    summarise((header,))


@pytest.mark.parametrize("syntax", [None, RLELossless, DeflatedExplicitVRLittleEndian])
def test_pixels_are_noticed_without_being_read(
    tmp_path: Path, syntax: str | None
) -> None:
    assert read_header(write_one(tmp_path, syntax=syntax)).pixels


def test_a_dataset_that_ends_before_its_pixels_has_none(tmp_path: Path) -> None:
    path = write_one(tmp_path)
    dataset = dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    assert not read_header(path).pixels


@pytest.mark.parametrize("content", [b"", b"DICM", b"x" * 4000, b"\0" * 128 + b"DICM"])
def test_what_is_not_dicom_is_told_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.dcm"
    path.write_bytes(content)
    try:
        header = read_header(path)
    except NotDicomError:
        return
    assert reject((header,)) is not None


@pytest.mark.parametrize("length", range(132, 900, 37))
def test_a_file_cut_anywhere_never_raises_anything_else(
    tmp_path: Path, length: int
) -> None:
    path = write_one(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    try:
        header = read_header(path)
    except NotDicomError:
        return
    assert not header.pixels


def test_one_unreadable_instance_rejects_the_series(tmp_path: Path) -> None:
    good = write_one(tmp_path)
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear colleague")
    with pytest.raises(PixelDataError) as caught:
        read_headers([good, letter])
    assert caught.value.reason == "unreadable_instance"
    assert "colleague" not in str(caught.value)


@pytest.mark.parametrize(
    ("vr", "content"),
    [
        ("DS", b"0,5\\0,25"),
        ("LO", b"0.5\\0.25"),
        ("UN", b"0.5\\0.25"),
        ("LT", b"0,5\\0,25"),
    ],
)
def test_geometry_is_read_with_commas_and_under_other_vrs(
    tmp_path: Path, vr: str, content: bytes
) -> None:
    path = write_one(tmp_path)
    spoil(path, "PixelSpacing", vr, content + b" " * (len(content) % 2))
    assert read_header(path).pixel_spacing_mm == (0.5, 0.25)
