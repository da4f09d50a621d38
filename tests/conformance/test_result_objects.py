"""Result objects against dicom3tools: `dciodvfy` (IODs) and `dcentvfy` (entities)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from analysis.lumbar.tell.in_language import in_language
from analysis.lumbar.tell.words import words_of
from dicom_node.decode.headers import read_headers
from dicom_node.decode.suitable_series import reject
from dicom_node.decode.volume import read_volume
from dicom_node.encode.result_context import EditedOutlines, EncodeRequest
from dicom_node.encode.result_objects import encode_note, encode_result
from tests.support.dicom3tools import errors_of
from tests.support.phantom_result import phantom_result
from tests.support.result_files import VARIANTS, write_source

REQUEST = EncodeRequest(
    job_id="job",
    content_time=datetime(2026, 2, 3, 4, 5, 6),  # noqa: DTZ001 - a wall clock
    objects=("seg", "sr", "sc", "pdf", "gsps"),
)


@pytest.mark.parametrize("variant", VARIANTS)
def test_results_break_no_rule_of_their_iod(tmp_path: Path, variant: str) -> None:
    paths, labels = write_source(tmp_path / "source", variant)
    series = read_volume(paths)
    written = []
    for result in encode_result(phantom_result(labels), series, REQUEST):
        path = tmp_path / f"{result.name}.dcm"
        result.dataset.save_as(path, enforce_file_format=True)
        assert errors_of("dciodvfy", path) == [], result.name
        written.append(path)
    kinds = ["seg", "sr", "sc_01", "pdf", "gsps_01"]
    assert [path.stem for path in written] == kinds
    if variant not in {"careless", "chinese"}:
        # What we mend differs from the source; names it compares by their bytes.
        assert errors_of("dcentvfy", *paths, *written) == []
    refusal = reject(read_headers(written))
    assert refusal is not None
    assert refusal[0] == "own_result"


@pytest.mark.parametrize("variant", ["classic", "enhanced", "chinese"])
def test_results_in_chinese_break_no_rule_of_their_iod(
    tmp_path: Path, variant: str
) -> None:
    paths, labels = write_source(tmp_path / "source", variant)
    result = in_language(phantom_result(labels), words_of("zh-CN"))
    result = replace(result, summary={"zh-CN": ("腰椎间盘。",)}, language="zh-CN")
    request = replace(REQUEST, language="zh-CN", revision=2)
    for made in encode_result(result, read_volume(paths), request):
        path = tmp_path / f"{made.name}.dcm"
        made.dataset.save_as(path, enforce_file_format=True)
        assert errors_of("dciodvfy", path) == [], made.name


def test_a_revision_breaks_no_rule_beside_what_it_supersedes(tmp_path: Path) -> None:
    paths, labels = write_source(tmp_path / "source", "classic")
    series = read_volume(paths)
    later = replace(REQUEST, job_id="later", revision=2, supersedes="job")
    for request in (REQUEST, later):
        for result in encode_result(phantom_result(labels), series, request):
            path = tmp_path / f"{request.job_id}-{result.name}.dcm"
            result.dataset.save_as(path, enforce_file_format=True)
            assert errors_of("dciodvfy", path) == [], path.name
            paths.append(path)
    assert errors_of("dcentvfy", *paths) == []


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_a_correction_breaks_no_rule_beside_what_was_corrected(
    tmp_path: Path, kind: str
) -> None:
    paths, labels = write_source(tmp_path / "source", "oblique")
    series, result = read_volume(paths), phantom_result(labels)
    former = replace(REQUEST, segmentation=kind)
    for made in encode_result(result, series, former):
        paths.append(tmp_path / f"{made.name}.dcm")
        made.dataset.save_as(paths[-1], enforce_file_format=True)
    seg = dcmread(tmp_path / "seg.dcm", stop_before_pixels=True)
    drawn = [each for each in seg.SegmentSequence if "TrackingUID" in each]
    edited = EditedOutlines(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        series_uid=seg.SeriesInstanceUID,
        editor="Reader^Rita",
        segments={each.SegmentLabel: each.SegmentNumber for each in drawn},
        tracking={each.SegmentLabel: each.TrackingUID for each in drawn},
    )
    later = replace(former, job_id="edited", supersedes="job", edited=edited)
    corrected = encode_result(result, series, later)
    assert [made.name for made in corrected] == ["sr", "sc_01", "pdf", "gsps_01"]
    for made in corrected:
        assert " edited, " in made.dataset.SeriesDescription
        paths.append(tmp_path / f"edited-{made.name}.dcm")
        made.dataset.save_as(paths[-1], enforce_file_format=True)
        assert errors_of("dciodvfy", paths[-1]) == [], made.name
    assert errors_of("dcentvfy", *paths) == []
    by_name = {made.name: made.dataset for made in corrected}
    assert by_name["gsps_01"].ContentLabel == "EDITED_1"
    assert "edited by Reader^Rita" in by_name["sc_01"].DerivationDescription


def test_a_note_breaks_no_rule_of_its_iod(tmp_path: Path) -> None:
    paths, _ = write_source(tmp_path / "source", "classic")
    source = read_volume(paths).sources[0]
    note = encode_note(
        title="No measurement", text="why", source=source, request=REQUEST
    )
    path = tmp_path / "note.dcm"
    note.dataset.save_as(path, enforce_file_format=True)
    assert errors_of("dciodvfy", path) == []
    assert errors_of("dcentvfy", *paths, path) == []


def test_the_validator_finds_what_is_wrong(tmp_path: Path) -> None:
    """Were it blind, every test above would pass."""
    paths, labels = write_source(tmp_path / "source", "classic")
    results = encode_result(phantom_result(labels), read_volume(paths), REQUEST)
    for result in results:
        dataset = result.dataset
        del dataset.StudyInstanceUID
        path = tmp_path / f"{result.name}.dcm"
        dataset.save_as(path)
        assert errors_of("dciodvfy", path), result.name


def test_the_bundled_series_breaks_no_rule_of_its_iod() -> None:
    folder = Path(__file__).parents[2] / "deploy/demo/series"
    paths = sorted(folder.glob("*.dcm"))
    assert len(paths) == 9
    assert [line for path in paths for line in errors_of("dciodvfy", path)] == []
    assert errors_of("dcentvfy", *paths) == []
    assert reject(read_headers(paths)) is None
