"""What lies in a folder, series by series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicom_node.decode.series_folder import read_folder
from dicom_node.decode.suitable_series import reject, summarise
from dicom_node.decode.volume import read_volume
from tests.support.mr_series import build_series, write_series
from tests.support.mr_sources import reheader_rsna
from tests.support.spine_phantom import AXIAL, frame_of

SHAPE = (3, 8, 6)
VOXELS = np.arange(144, dtype=np.float32).reshape(SHAPE)
RSNA = Path(__file__).parents[5] / "shared/data/rsna_dicom/100206310"


def test_series_are_told_apart_and_the_rest_is_counted(tmp_path: Path) -> None:
    sagittal = build_series(VOXELS, frame_of(SHAPE), seed="a", SeriesNumber=7)
    axial = build_series(
        VOXELS, frame_of(SHAPE, directions=AXIAL), seed="b", SeriesNumber=2
    )
    write_series(tmp_path / "deep" / "er", sagittal)
    write_series(tmp_path / "axial", axial)
    (tmp_path / "letter.txt").write_text("Dear colleague")
    (tmp_path / "deep" / "empty").touch()
    found = read_folder(tmp_path)
    assert [series.headers[0].series_number for series in found.series] == [2, 7]
    assert [len(series.paths) for series in found.series] == [3, 3]
    assert found.passed_over == 2


def test_a_file_that_breaks_off_is_counted_as_broken(tmp_path: Path) -> None:
    """It may be a slice; a letter, or bytes that only begin like DICOM, are none."""
    (whole, cut, *_) = write_series(tmp_path, build_series(VOXELS, frame_of(SHAPE)))
    cut.write_bytes(whole.read_bytes()[:700])
    (tmp_path / "letter.txt").write_text("Dear colleague")
    (tmp_path / "prefix").write_bytes(bytes(128) + b"DICM")
    found = read_folder(tmp_path)
    assert [len(series.paths) for series in found.series] == [2]
    assert (found.passed_over, found.broken) == (3, 1)


def test_a_folder_of_bytes_that_only_begin_like_dicom_holds_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "noise").write_bytes(bytes(128) + b"DICM" + bytes(range(256)))
    assert read_folder(tmp_path).series == ()


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    found = read_folder(tmp_path)
    assert (found.series, found.passed_over) == ((), 0)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(NotADirectoryError):
        read_folder(path)


@pytest.mark.shared
def test_raw_rsna_files_are_told_apart_and_refused_by_name() -> None:
    """Their UIDs collide between series, and SOP Class UID and Modality are missing."""
    if not RSNA.is_dir():
        pytest.skip(f"needs {RSNA}")
    found = read_folder(RSNA)
    assert sorted(len(series.paths) for series in found.series) == [18, 18, 60]
    for series in found.series:
        assert reject(series.headers) == (
            "headers_incomplete",
            "missing from the dataset: SOP Class UID, Modality",
        )


@pytest.mark.shared
def test_reheadered_rsna_files_become_volumes(tmp_path: Path) -> None:
    source = RSNA / "sag_T2_STIR_1792451510"
    if not source.is_dir():
        pytest.skip(f"needs {source}")
    write_series(tmp_path, reheader_rsna(source))
    (series,) = read_folder(tmp_path).series
    assert reject(series.headers) is None
    assert summarise(series.headers).plane.value == "sagittal"
    decoded = read_volume(series.paths)
    assert decoded.volume.voxels.shape == (18, 462, 448)
    assert decoded.volume.frame.spacing_mm == pytest.approx(
        [4.48, 0.5357, 0.5357], abs=1e-3
    )
