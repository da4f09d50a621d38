"""The files of a result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from analysis.contract.result import Page
from dicom_node.encode.result_objects import EncodedObject, encode_result
from dicom_node.spool_layout import REPORT, deliverable
from dicom_node.work.result_files import OVERLAY, write_results
from tests.support.encoded import REQUEST, decoded_phantom
from tests.support.peers import wait_until
from tests.support.phantom_result import phantom_result

PAGE = Page(
    title="Overlay",
    pixels=np.random.default_rng(7).integers(0, 256, (31, 47, 3), dtype=np.uint8),
)


def test_the_picture_shows_the_page_pixel_by_pixel(tmp_path: Path) -> None:
    write_results(tmp_path, list, {}, PAGE)
    with Image.open(tmp_path / OVERLAY) as picture:
        picture.verify()
    with Image.open(tmp_path / OVERLAY) as picture:
        assert picture.mode == "RGB"
        assert np.array_equal(np.asarray(picture), PAGE.pixels)
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_every_object_lies_in_a_file_of_its_name(tmp_path: Path) -> None:
    series, labels = decoded_phantom(tmp_path / "source")
    objects = encode_result(phantom_result(labels), series, REQUEST)
    (tmp_path / "out").mkdir()
    write_results(tmp_path / "out", lambda: objects, {"levels": []}, None)
    read = {path.stem: dcmread(path) for path in deliverable(tmp_path / "out")}
    assert {name: one.SOPInstanceUID for name, one in read.items()} == {
        one.name: one.dataset.SOPInstanceUID for one in objects
    }


def test_there_is_no_report_where_the_rest_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / OVERLAY).mkdir()
    with pytest.raises(IsADirectoryError):
        write_results(tmp_path, list, {}, PAGE)
    assert not (tmp_path / REPORT).exists()


def test_the_picture_is_being_written_while_objects_are_built(tmp_path: Path) -> None:
    def built() -> list[EncodedObject]:
        wait_until((tmp_path / OVERLAY).is_file, what="the picture lies there")
        return []

    write_results(tmp_path, built, {}, PAGE)
