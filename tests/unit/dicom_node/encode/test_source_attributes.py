"""What results take over from headers that are not as they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_node.encode.result_context import ROLES
from dicom_node.encode.result_objects import encode_result
from tests.support.dicom3tools import errors_of
from tests.support.encoded import REQUEST, by_name, decoded_phantom
from tests.support.phantom_result import phantom_result


def test_a_decimal_of_more_than_sixteen_characters_is_shortened(
    tmp_path: Path,
) -> None:
    """PS3.5 6.2: a DS has at most 16; senders that compute it write 17 or more."""
    with config.disable_value_validation():
        series, labels = decoded_phantom(
            tmp_path / "source", SliceThickness=4.480000104184166, PatientWeight=200 / 3
        )
        assert len(str(series.sources[0].SliceThickness)) == 17
    request = replace(REQUEST, objects=ROLES)
    for name, dataset in by_name(
        encode_result(phantom_result(labels), series, request)
    ).items():
        path = tmp_path / f"{name}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        assert errors_of("dciodvfy", path) == [], name
        assert abs(dataset.PatientWeight - 200 / 3) < 1e-9


CHARACTER_SETS = {
    "Latin 1": ("ISO_IR 100", "Müller^Jörg"),
    "Cyrillic": ("ISO_IR 144", "Чехов^Антон"),
    "Chinese GB18030": ("GB18030", "Wang^XiaoDong=王^小东"),
    "Chinese of four bytes": ("GB18030", "Li^Gang=李^㐀"),
    "Chinese GBK": ("GBK", "Zhang^San=张^三"),
    "Chinese UTF-8": ("ISO_IR 192", "=王^小東"),
    "Japanese kanji and kana": (
        ["", "ISO 2022 IR 87"],
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "Japanese half-width": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
}
"""PS3.5 H, I, J, K; the first component group may be empty."""


@pytest.mark.parametrize(
    ("charset", "name"), CHARACTER_SETS.values(), ids=CHARACTER_SETS
)
def test_names_come_through_every_object_byte_for_byte(
    tmp_path: Path, charset: str | list[str], name: str
) -> None:
    series, labels = decoded_phantom(
        tmp_path,
        SpecificCharacterSet=charset,
        PatientName=name,
        ReferringPhysicianName=name,
        StudyDescription=name,
    )
    source = dcmread(next(tmp_path.iterdir()))
    request = replace(REQUEST, objects=ROLES)
    results = by_name(encode_result(phantom_result(labels), series, request))
    assert len(results) == 5
    for kind, dataset in results.items():
        assert dataset.SpecificCharacterSet == charset, kind
        for keyword in ("PatientName", "ReferringPhysicianName", "StudyDescription"):
            assert raw(dataset, keyword) == raw(source, keyword), kind


def test_what_the_character_set_of_the_source_lacks_is_written_in_utf_8(
    tmp_path: Path,
) -> None:
    name = "Müller^Jörg"
    series, labels = decoded_phantom(tmp_path, PatientName=name)
    request = replace(REQUEST, description="腰椎", objects=ROLES)
    results = by_name(encode_result(phantom_result(labels), series, request))
    for dataset in results.values():
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert raw(dataset, "PatientName") == name.encode()
        assert "腰椎" in dataset.SeriesDescription


def raw(dataset: Dataset, keyword: str) -> bytes:
    """Return the bytes of an element as they stand in its file, without padding."""
    element = dataset.get_item(keyword)
    assert isinstance(element, RawDataElement)
    assert element.value is not None
    return element.value.rstrip(b" ")


def test_other_decimals_stay_as_they_were_written(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path, PatientWeight="070.50")
    request = replace(REQUEST, objects=ROLES)
    for name, dataset in by_name(
        encode_result(phantom_result(labels), series, request)
    ).items():
        assert raw(dataset, "PatientWeight") == b"070.50", name


def test_a_series_number_that_is_no_number_adds_none(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path)
    number = Tag("SeriesNumber")
    for source in series.sources:
        source[number] = RawDataElement(
            number, "IS", 6, b"three ", 0, is_implicit_VR=False,
            is_little_endian=True, is_raw=True,
        )  # fmt: skip
    results = by_name(encode_result(phantom_result(labels), series, REQUEST))
    assert [found.SeriesNumber for found in results.values()] == [9000, 9001, 9002]
    assert results["sr"].SeriesDescription.startswith("SR, ")
