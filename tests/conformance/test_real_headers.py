"""Files of real scanners get a right answer: measured, or refused for a true reason."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.encode.write_part10 import encode_file
from dicom_node.plugins.analyse_series import analyse_series
from dicom_node.work.analyse_folder import HowToAnalyse, analyse_folder
from dicom_node.work.encode import encode_series
from tests.conftest import SHARED_DATA
from tests.support.dicom3tools import errors_of
from tests.support.encoded import REQUEST
from tests.support.phantom_plugin import PhantomMri

pytestmark = pytest.mark.shared

KNEE = SHARED_DATA / "knee_mr_t2_dicom" / "mese_echo4_te25.zip"
HEADERS = SHARED_DATA / "alandalus_dicom"
SINGLE = ("aa_ge1", "aa_ge2", "aa_philips1")

HOW = HowToAnalyse(analysis="lumbar-mri", threads=1)


def test_a_knee_never_runs_a_lumbar_analysis(tmp_path: Path) -> None:
    """In Explicit VR Big Endian, without body part and description: its echo tells."""
    with zipfile.ZipFile(KNEE) as archive:
        archive.extractall(tmp_path / "knee")
    out = tmp_path / "out"
    out.mkdir()
    ended = analyse_folder(tmp_path / "knee", out, HOW, tell=lambda _: None)
    assert ended.report["reason"] == "not_t2"
    assert [one.name for one in out.iterdir()] == ["report.json"]


@pytest.mark.parametrize("name", SINGLE)
def test_headers_of_ge_and_philips_give_valid_results(
    tmp_path: Path, name: str
) -> None:
    analysed = analyse_series([HEADERS / f"{name}.dcm"], PhantomMri(), threads=1)
    assert analysed.decoded.warnings == ()
    request = replace(REQUEST, objects=("seg", "sr", "sc"))
    for one in encode_series(analysed, request):
        path = tmp_path / f"{one.name}.dcm"
        path.write_bytes(encode_file(one.dataset))
        assert errors_of("dciodvfy", path) == []


def test_one_slice_of_a_lumbar_spine_is_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "1.dcm").symlink_to(HEADERS / "aa_ge1.dcm")
    out = tmp_path / "out"
    out.mkdir()
    ended = analyse_folder(tmp_path / "sent", out, HOW, tell=lambda _: None)
    assert ended.report["reason"] == "too_few_slices"
