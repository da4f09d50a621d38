"""What people read of the results, in the language that the route asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from analysis.contract.result import Notice
from analysis.lumbar.tell.in_language import in_language
from analysis.lumbar.tell.words import words_of
from dicom_node.decode.volume import DecodedSeries
from dicom_node.encode.result_objects import encode_result
from tests.support.encoded import (
    REQUEST,
    by_name,
    content_of,
    decoded_phantom,
    named,
    written,
)
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


CHINESE = words_of("zh-CN")
IN_CHINESE = replace(
    REQUEST,
    objects=("seg", "sr", "sc", "pdf", "gsps"),
    language="zh-CN",
    revision=2,
    notices=(Notice(code="revised", text="Revision 2 of this series: supersedes the "
                    "results of what it held before."),),
)  # fmt: skip


def in_chinese(phantom: Phantom) -> dict[str, Dataset]:
    series, labels = phantom
    result = in_language(phantom_result(labels), CHINESE)
    return by_name(encode_result(result, series, IN_CHINESE))


def codes_in(report: Dataset) -> set[tuple[str, str, str]]:
    found = set()
    for item in content_of(report):
        for part in (item, *item.get("MeasuredValueSequence", ())):
            for keyword in (
                "ConceptNameCodeSequence",
                "ConceptCodeSequence",
                "MeasurementUnitsCodeSequence",
            ):
                for code in part.get(keyword, ()):
                    scheme = str(code.CodingSchemeDesignator)
                    found.add((scheme, str(code.CodeValue), str(code.CodeMeaning)))
    return found


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= one <= "\u9fff" for one in text)


def test_every_code_of_a_chinese_report_says_what_it_means_in_chinese(
    phantom: Phantom,
) -> None:
    read = in_chinese(phantom)["sr"]
    codes = codes_in(read)
    assert len(codes) > 40
    # Its own test double has a scale that the analysis does not have.
    left = {code for code in codes if not is_chinese(code[2])}
    assert {value for _, value, _ in left} <= {"DELTA_SI"}
    assert max(len(meaning.encode()) for _, _, meaning in codes) <= 64
    (language, *_) = named(read, LANGUAGE)
    assert language.ConceptCodeSequence[0].CodeValue == "zh-CN"


def test_a_chinese_report_changes_no_code_and_no_later_report(phantom: Phantom) -> None:
    series, labels = phantom
    before, _, after = (
        by_name(encode_result(phantom_result(labels), series, request))["sr"]
        for request in (REQUEST, IN_CHINESE, REQUEST)
    )
    assert written(before) == written(after)
    chinese = in_chinese(phantom)["sr"]
    english = {code[:2] for code in codes_in(before)}
    assert english - {("RFC5646", "en-US")} <= {code[:2] for code in codes_in(chinese)}
    assert not any(is_chinese(meaning) for _, _, meaning in codes_in(before))


def test_all_that_is_read_of_chinese_results_is_chinese(phantom: Phantom) -> None:
    results = in_chinese(phantom)
    for name, dataset in results.items():
        assert is_chinese(dataset.SeriesDescription), name
        assert "AI \u8170\u690e" in dataset.SeriesDescription, name
    comments = [str(item.TextValue) for item in named(results["sr"], COMMENT)]
    assert any("\uff08revised\uff09" in one for one in comments)
    left = [one for one in comments if not is_chinese(one)]
    assert {one.partition("\uff1a")[0] for one in left} <= {
        "Signal intensity difference"
    }
    assert is_chinese(results["sc_01"].DerivationDescription)
    assert is_chinese(results["seg"].ContentDescription)
    assert is_chinese(results["gsps_01"].ContentDescription)
    # By these readers of outlines and viewers find a structure.
    labels = {str(one.SegmentLabel) for one in results["seg"].SegmentSequence}
    assert {"L5", "L4/L5 disc"} <= labels


def test_a_settled_description_stays(phantom: Phantom) -> None:
    series, labels = phantom
    request = replace(IN_CHINESE, description="Site 7", objects=("sr",))
    read = by_name(encode_result(phantom_result(labels), series, request))["sr"]
    assert read.SeriesDescription.endswith("\uff0cSite 7")


@pytest.mark.parametrize(
    ("label", "codec", "kept"),
    [
        ("GB18030", "gb18030", True),
        ("GBK", "gbk", True),
        ("ISO_IR 192", "utf-8", True),
        ("ISO_IR 100", "latin-1", False),
    ],
)
def test_texts_are_in_the_character_set_of_the_source_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, label: str, codec: str, kept: bool
) -> None:
    name = "\u738b^\u5c0f\u4e1c" if kept else "M\u00fcller^Jos\u00e9"
    phantom = decoded_phantom(
        tmp_path_factory.mktemp(codec), SpecificCharacterSet=label, PatientName=name
    )
    for which, dataset in in_chinese(phantom).items():
        stored = "utf-8" if not kept else codec
        assert dataset.SpecificCharacterSet == (label if kept else "ISO_IR 192"), which
        content = written(dataset)
        assert name.encode(stored) in content, which
        assert "AI \u8170\u690e".encode(stored) in content, which
        if which in {"sr", "sc_01"}:
            assert "\u672a\u7ecf\u6838\u5b9e".encode(stored) in content or which == "sr"
            assert dataset.PatientName == name
    report = in_chinese(phantom)["sr"]
    assert "L4/L5 \u690e\u95f4\u76d8".encode(stored) in written(report)
