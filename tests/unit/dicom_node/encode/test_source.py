"""What results take over from headers that are not as they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from dicom_node.encode.common import ROLES
from dicom_node.encode.objects import encode_result
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
    assert results["sr"].SeriesDescription.endswith(" SR")
