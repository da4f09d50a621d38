"""Our own SR, read back; and what only looks like it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from analysis.contract.acquisition import Acquisition
from analysis.contract.concepts import MILLIMETRE, PRIVATE_SCHEME, Concept
from analysis.contract.measurement import Change, Measurement
from analysis.contract.result import AnalysisResult
from dicom_node.decode.volume import DecodedSeries
from dicom_node.encode.result_context import EncodeRequest, Reference
from dicom_node.encode.result_objects import encode_result
from dicom_node.prior.read_report import ForeignReportError, read_report
from tests.support.encoded import REQUEST, by_name, decoded_phantom, named
from tests.support.phantom_result import phantom_result

CHANGE = Change(
    concept=Concept("CHANGE-HEIGHT", PRIVATE_SCHEME, "Change of height"),
    unit=MILLIMETRE,
    earlier=12.25,
    now=11.0,
    detectable=0.5,
)
Case = tuple[AnalysisResult, DecodedSeries]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    series, labels = decoded_phantom(
        tmp_path_factory.mktemp("phantom"), MagneticFieldStrength="1.5"
    )
    result = phantom_result(labels)
    findings = (replace(result.findings[0], changes=(CHANGE,)), *result.findings[1:])
    return replace(result, findings=findings), series


@pytest.fixture(scope="module")
def report(case: Case) -> Dataset:
    result, series = case
    return by_name(encode_result(result, series, REQUEST))["sr"]


def codes(quantity: Measurement) -> tuple[str, ...]:
    narrowed = [value.value for _, value in quantity.modifiers]
    return (quantity.concept.value, *narrowed)


def test_the_numbers_come_back_with_unit_and_uncertainty(
    case: Case, report: Dataset
) -> None:
    result, _ = case
    read = {finding.site: finding for finding in read_report(report).findings}
    assert set(read) == {finding.site for finding in result.findings}
    for finding in result.findings:
        back = sorted(read[finding.site].measurements, key=codes)
        written = sorted(finding.measurements, key=codes)
        assert [(codes(one), one.unit) for one in back] == [
            (codes(one), one.unit) for one in written
        ]
        assert [one.value for one in back] == pytest.approx(
            [one.value for one in written], rel=1e-5
        )
        assert [one.uncertainty for one in back] == [one.uncertainty for one in written]


def test_grades_come_back_and_what_was_not_measured_is_none(
    case: Case, report: Dataset
) -> None:
    result, _ = case
    read = {finding.site: finding for finding in read_report(report).findings}
    for finding in result.findings:
        back = [(one.concept, one.value) for one in read[finding.site].grades]
        assert back == [(one.concept, one.value) for one in finding.grades]


def as_arranged_before(report: Dataset) -> Dataset:
    """Return a report as the node wrote it at first: numbers beside the region.

    A planar group had outline, numbers, grades and all comments; a volumetric one with
    the same tracking UID had the segment alone.
    """
    former = copy.deepcopy(report)
    (measured,) = named(former, "126010")
    groups = []
    for group in measured.ContentSequence:
        segment = [item for item in group.ContentSequence if is_named(item, *SEGMENT)]
        own = [item for item in group.ContentSequence if item not in segment]
        names = [copy.deepcopy(item) for item in own if is_named(item, *NAMES)]
        region, remarks = lifted(own)
        planar, volumetric = copy.deepcopy(group), copy.deepcopy(group)
        planar.ContentSequence = [*own, region, *remarks]
        volumetric.ContentSequence = [*names, *segment]
        groups += [planar, volumetric]
    measured.ContentSequence = groups
    return former


def lifted(items: list[Dataset]) -> tuple[Dataset, list[Dataset]]:
    """Take the outline and the remarks from below items, as parts of their group."""
    outlines, remarks = [], []
    for item in items:
        below = list(item.get("ContentSequence", ()))
        inferred = [one for one in below if one.RelationshipType == "INFERRED FROM"]
        said = [one for one in below if is_named(one, "121106")]
        outlines += [one for one in inferred if one.ValueType == "SCOORD"]
        remarks += said
        item.ContentSequence = [one for one in below if one not in (*inferred, *said)]
    for one in (outlines[0], *remarks):
        one.RelationshipType = "CONTAINS"
    return outlines[0], remarks


SEGMENT = ("121191", "121232", "121233")
NAMES = ("112039", "112040", "121071", "363698007", "111001", "111003")
"""Tracking identifier and UID, finding, its site, name and version of the algorithm."""


def is_named(item: Dataset, *values: str) -> bool:
    return item.ConceptNameCodeSequence[0].CodeValue in values


def test_a_report_of_the_former_arrangement_says_the_same(report: Dataset) -> None:
    former = as_arranged_before(report)
    assert len(named(former, "125007")) == 2 * len(named(report, "125007"))
    assert read_report(former) == read_report(report)


def test_scanner_sequence_and_analysis_come_back(report: Dataset) -> None:
    read = read_report(report)
    assert read.acquisition == Acquisition(
        manufacturer="Phantom Imaging",
        model="Boxes",
        field_strength_t=1.5,
        sequence=("SE",),
        dimensions="2D",
        repetition_time_ms=3500,
        echo_time_ms=100,
    )
    assert (read.analysis, read.version) == ("lumbar-mri", "1.0.0")
    assert read.study_date == "20260102"
    assert read.warnings == ("phantom",)


def test_a_change_is_told_and_is_not_read_back_as_a_quantity(report: Dataset) -> None:
    number, verdict = named(report, "CHANGE-HEIGHT")
    assert float(number.MeasuredValueSequence[0].NumericValue) == -1.25
    assert [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in number.ContentSequence
    ] == [12.25, 0.5]
    assert verdict.ConceptCodeSequence[0].CodeMeaning == "Decreased"
    read = read_report(report).findings[0]
    told = {one.concept.value for one in read.measurements}
    told |= {one.concept.value for one in read.grades}
    assert "CHANGE-HEIGHT" not in told


def test_a_report_names_those_that_it_replaces(case: Case) -> None:
    result, series = case
    second = replace(REQUEST, job_id="job 2", revision=2, supersedes="job 1")
    newer = by_name(encode_result(result, series, second))["sr"]
    assert read_report(newer).predecessors == (REQUEST.instance_uid("sr"),)


def test_a_report_refers_to_the_one_it_was_compared_with(case: Case) -> None:
    result, series = case
    request: EncodeRequest = replace(
        REQUEST,
        compared_with=Reference(
            study_uid="2.25.1", series_uid="2.25.2", instances=(("1.2.3", "2.25.3"),)
        ),
    )
    (study,) = by_name(encode_result(result, series, request))[
        "sr"
    ].PertinentOtherEvidenceSequence
    (series_item,) = study.ReferencedSeriesSequence
    (instance,) = series_item.ReferencedSOPSequence
    assert study.StudyInstanceUID == "2.25.1"
    assert series_item.SeriesInstanceUID == "2.25.2"
    assert instance.ReferencedSOPInstanceUID == "2.25.3"


def by_another_maker(report: Dataset) -> None:
    report.Manufacturer = "Another"


def of_another_class(report: Dataset) -> None:
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.22"


def of_another_template(report: Dataset) -> None:
    report.ContentTemplateSequence[0].TemplateIdentifier = "2000"


def with_another_title(report: Dataset) -> None:
    report.ConceptNameCodeSequence[0].CodeValue = "126001"


def without_content(report: Dataset) -> None:
    report.ContentSequence = []


def with_text_for_a_number(report: Dataset) -> None:
    (number, *_) = (
        item for item in named(report, "121207") if "MeasuredValueSequence" in item
    )
    del number.MeasuredValueSequence[0].NumericValue


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (by_another_maker, "not_ours"),
        (of_another_class, "not_ours"),
        (of_another_template, "not_ours"),
        (with_another_title, "not_ours"),
        (without_content, "unreadable_report"),
        (with_text_for_a_number, "unreadable_report"),
    ],
)
def test_what_only_looks_like_ours_is_refused_with_a_reason(
    report: Dataset, spoil: Callable[[Dataset], None], reason: str
) -> None:
    foreign = copy.deepcopy(report)
    spoil(foreign)
    with pytest.raises(ForeignReportError) as error:
        read_report(foreign)
    assert error.value.reason == reason
