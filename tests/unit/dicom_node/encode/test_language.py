"""The summary of the report, in the language that the route asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from analysis.contract.result import Notice
from dicom_node.decode.volume import DecodedSeries
from dicom_node.encode.result_objects import encode_result
from tests.support.encoded import REQUEST, by_name, decoded_phantom, named
from tests.support.phantom_result import phantom_result

SUMMARY, LANGUAGE, COMMENT = "121111", "121049", "121106"

Phantom = tuple[DecodedSeries, NDArray[np.uint8]]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    return decoded_phantom(
        tmp_path_factory.mktemp("phantom"),
        PatientIdentityRemoved="YES",
        DeidentificationMethod="by hand",
    )


def report(phantom: Phantom, language: str, **summary: tuple[str, ...]) -> Dataset:
    series, labels = phantom
    said = {tag.replace("_", "-"): sentences for tag, sentences in summary.items()}
    result = replace(phantom_result(labels), summary=said)
    request = replace(
        REQUEST,
        objects=("sr",),
        language=language,
        notices=(Notice(code="max_wait", text="it came late"),),
    )
    return by_name(encode_result(result, series, request))["sr"]


def test_the_summary_is_in_the_language_of_the_route(phantom: Phantom) -> None:
    read = report(phantom, "zh-CN", en=("two discs",), zh_CN=("两个椎间盘", "完"))
    (section,) = named(read, SUMMARY)
    assert [item.TextValue for item in named(section, COMMENT)] == ["两个椎间盘", "完"]
    (language,) = named(section, LANGUAGE)
    assert language.RelationshipType == "HAS CONCEPT MOD"
    code = language.ConceptCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("zh-CN", "RFC5646")


def test_what_has_no_such_language_is_in_english(phantom: Phantom) -> None:
    (section,) = named(report(phantom, "zh-CN", en=("two discs",)), SUMMARY)
    assert named(section, COMMENT)[0].TextValue == "two discs"
    assert named(section, LANGUAGE)[0].ConceptCodeSequence[0].CodeValue == "en"


def test_an_analysis_without_summary_makes_none(phantom: Phantom) -> None:
    assert named(report(phantom, "en"), SUMMARY) == []


def test_words_stand_before_images_and_numbers(phantom: Phantom) -> None:
    """An archive that shows a report as text shows the beginning."""
    read = report(phantom, "en", en=("two discs",))
    names = [
        item.ConceptNameCodeSequence[0].CodeValue
        for item in read.ContentSequence
        if item.RelationshipType == "CONTAINS"
    ]
    assert names == [SUMMARY, COMMENT, COMMENT, "111028", "126010"]


def test_results_of_a_series_without_identity_say_so(phantom: Phantom) -> None:
    series, labels = phantom
    request = replace(REQUEST, objects=("seg", "sr", "sc", "pdf", "gsps"))
    for name, dataset in by_name(
        encode_result(phantom_result(labels), series, request)
    ).items():
        assert dataset.PatientIdentityRemoved == "YES", name
        assert dataset.DeidentificationMethod == "by hand", name
