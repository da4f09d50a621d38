"""Series numbers and descriptions: two T2 series of one study stand apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom_node.encode.result_context import ROLES, EncodeRequest
from dicom_node.encode.result_objects import encode_note, encode_result
from tests.support.encoded import REQUEST, by_name, decoded_phantom
from tests.support.phantom_result import phantom_result

ALL = replace(REQUEST, objects=ROLES)


def results_of(folder: Path, source_number: int, request: EncodeRequest) -> list[str]:
    """Return number and description of each result series, in order."""
    series, labels = decoded_phantom(folder, SeriesNumber=source_number)
    found = by_name(encode_result(phantom_result(labels), series, request)).values()
    return [shown(dataset) for dataset in found]


def shown(dataset: Dataset) -> str:
    return f"{dataset.SeriesNumber} {dataset.SeriesDescription}"


def test_results_of_two_series_of_a_study_have_other_numbers_and_names(
    tmp_path: Path,
) -> None:
    first = results_of(tmp_path / "a", 3, ALL)
    second = results_of(tmp_path / "b", 4, replace(ALL, job_id="job 2"))
    assert len({*first, *second}) == 2 * len(ROLES)
    assert first[:2] == [
        "9030 SEG of series 3, AI lumbar (not for primary diagnosis)",
        "9031 SR of series 3, AI lumbar (not for primary diagnosis)",
    ]
    assert second[0] == "9040 SEG of series 4, AI lumbar (not for primary diagnosis)"
    numbers = [text.split()[0] for text in (*first, *second)]
    assert len(set(numbers)) == len(numbers)


def test_a_revision_keeps_the_numbers(tmp_path: Path) -> None:
    first = results_of(tmp_path / "a", 3, ALL)
    later = replace(ALL, job_id="job 2", revision=2, supersedes="job 1")
    assert results_of(tmp_path / "b", 3, later) == [
        text.replace(" of series 3,", " of series 3 rev 2,") for text in first
    ]


def test_a_route_may_number_all_alike(tmp_path: Path) -> None:
    request = replace(ALL, per_source=0, series_number=700)
    numbers = [text.split()[0] for text in results_of(tmp_path, 3, request)]
    assert numbers == ["700", "701", "702", "703", "704"]


@pytest.mark.parametrize("number", [None, 0, -1])
def test_a_source_without_a_number_adds_none(number: int | None) -> None:
    request = replace(ALL, source_number=number)
    assert request.number_of("seg") == 9000


def test_a_number_that_series_number_cannot_hold_is_not_added() -> None:
    assert replace(ALL, source_number=2**31 - 1).number_of("seg") == 9000


def test_a_description_has_at_most_64_characters_and_keeps_its_beginning() -> None:
    """VR LO (PS3.5 6.2)."""
    request = replace(
        ALL, description="x" * 40, source_number=99999, revision=12, per_source=0
    )
    said = request.describe("gsps", "11/12")
    assert len(said) == 64
    assert said.startswith("GSPS 11/12 of series 99999 rev 12, xx")


def test_the_first_twenty_characters_tell_all_series_apart(tmp_path: Path) -> None:
    """OHIF 3.13 shows no more of them on a small screen."""
    first = results_of(tmp_path / "a", 3, ALL)
    second = results_of(tmp_path / "b", 14, replace(ALL, job_id="job 2"))
    shown_of_it = [text.split(maxsplit=1)[1][:20] for text in (*first, *second)]
    assert len(set(shown_of_it)) == 2 * len(ROLES)
    assert shown_of_it[0] == "SEG of series 3, AI "


def test_a_note_tells_its_series_too(tmp_path: Path) -> None:
    series, _ = decoded_phantom(tmp_path, SeriesNumber=301)
    note = encode_note(title="t", text="t", source=series.sources[0], request=ALL)
    assert shown(note.dataset) == (
        "12012 SC of series 301, AI lumbar (not for primary diagnosis)"
    )
