"""What has changed since an earlier examination, against what can be detected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from analysis.contract.acquisition import Acquisition
from analysis.contract.concepts import MILLIMETRE, SQUARE_MILLIMETRE
from analysis.contract.follow_up import FollowsUp, Prior
from analysis.contract.measurement import Change, Grade, Measurement
from analysis.contract.result import AnalysisResult, Finding, Notice, Page, Provenance
from analysis.contract.segmentation import Segmentation
from analysis.lumbar.anatomy.structures import DISCS, MEASURED_LEVELS, level_of
from analysis.lumbar.measure.quantities import OF_LEVELS, quantity_of
from analysis.lumbar.plugin import LumbarMri
from analysis.lumbar.tell.change_report import followed_up
from analysis.lumbar.tell.compare_examinations import Comparison, compare
from analysis.lumbar.tell.evaluations import PFIRRMANN, PFIRRMANN_GRADES

SCANNER = Acquisition(
    manufacturer="SIEMENS",
    model="Avanto_fit",
    field_strength_t=1.494,
    sequence=("SE",),
    dimensions="2D",
    repetition_time_ms=3500,
    echo_time_ms=100,
)
VALUES: Mapping[str, float] = MappingProxyType(
    {
        "disc_height_mm": 9.0,
        "disc_height_index": 0.35,
        "height_diameter_ratio": 0.25,
        "delta_si": 40.0,
        "disc_length_mm": 36.0,
    }
)
HEIGHT_CHANGE = quantity_of("disc_height_mm").change
assert HEIGHT_CHANGE is not None
MDC_MM = HEIGHT_CHANGE.limit(9.0, 7.8)
"""Of the change that is told below."""
PROVENANCE = Provenance(name="lumbar-mri", version="1+r2", weights_sha256="ab" * 32)


def findings(*, grade: int = 2, **at_l4_l5: float) -> tuple[Finding, ...]:
    """Return five discs that are alike, but for values of L4/L5."""
    found = []
    for disc in DISCS:
        if level_of(disc) not in MEASURED_LEVELS:
            continue
        own = {**VALUES, **(at_l4_l5 if level_of(disc) == "L4/L5" else {})}
        found.append(
            Finding(
                site=disc.concept,
                label=disc.label,
                measurements=tuple(
                    Measurement(
                        concept=output.concept,
                        value=own[output.key],
                        unit=output.unit,
                        modifiers=output.modifiers,
                    )
                    for output in OF_LEVELS
                    if output.key in own and output.concept is not None
                ),
                grades=(Grade(concept=PFIRRMANN, value=PFIRRMANN_GRADES[grade - 1]),),
            )
        )
    return tuple(found)


def result(*, grade: int = 2, **at_l4_l5: float) -> AnalysisResult:
    return AnalysisResult(
        segmentation=Segmentation(labels=np.zeros((1, 2, 2), np.uint8), segments=()),
        findings=findings(grade=grade, **at_l4_l5),
        pages=(Page(title="Overlay", pixels=np.zeros((4, 4, 3), np.uint8)),),
        provenance=PROVENANCE,
        summary={"en": ("Said.",), "zh-CN": ("说。",)},
    )


PRIOR = Prior(
    days=400,
    analysis="lumbar-mri",
    version="1+r2",
    acquisition=SCANNER,
    findings=findings(),
)


def height_change(comparison: Comparison, level: str = "L4/L5") -> Change:
    (row,) = (row for row in comparison.levels if row.level == level)
    return row.changes["disc_height_mm"]


def test_the_plugin_can_follow_up() -> None:
    assert isinstance(LumbarMri(), FollowsUp)


@pytest.mark.parametrize(
    ("difference_mm", "verdict"),
    [
        # A tenth of 9 mm, which people who are examined twice may differ by.
        (0.0, "No change that could be shown"),
        (0.8, "No change that could be shown"),
        (-0.8, "No change that could be shown"),
        (1.0, "Increased"),
        (-1.0, "Decreased"),
        (-1.2, "Decreased"),
    ],
)
def test_a_change_counts_from_the_minimal_detectable_one_on(
    difference_mm: float, verdict: str
) -> None:
    compared = compare(result(disc_height_mm=9.0 + difference_mm), SCANNER, PRIOR)
    change = height_change(compared)
    assert change.difference == pytest.approx(difference_mm)
    assert change.verdict.meaning == verdict
    others = [row for row in compared.levels if row.level != "L4/L5"]
    assert all(row.changes["disc_height_mm"].difference == 0 for row in others)


def test_discs_are_compared_by_what_they_are_and_not_by_their_place() -> None:
    turned = replace(PRIOR, findings=tuple(reversed(findings(disc_height_mm=11.0))))
    compared = compare(result(), SCANNER, turned)
    assert height_change(compared).difference == pytest.approx(-2.0)
    assert height_change(compared, "L3/L4").difference == 0


def test_a_report_of_main_numbers_alone_is_compared_by_them() -> None:
    bare = tuple(
        replace(
            finding,
            measurements=tuple(
                replace(one, modifiers=()) for one in finding.measurements[:2]
            ),
        )
        for finding in findings(disc_height_mm=11.0)
    )
    compared = compare(result(), SCANNER, replace(PRIOR, findings=bare))
    assert height_change(compared).difference == pytest.approx(-2.0)


@pytest.mark.parametrize(
    ("now", "then", "told"),
    [
        ((), (), False),
        (("fat_suppressed",), ("fat_suppressed",), False),
        (("fat_suppressed",), (), True),
        ((), ("not_t2", "thin_disc"), True),
    ],
)
def test_series_of_another_weighting_are_told_to_differ(
    now: tuple[str, ...], then: tuple[str, ...], *, told: bool
) -> None:
    own = replace(result(), warnings=tuple(Notice(code=one, text="") for one in now))
    compared = compare(own, SCANNER, replace(PRIOR, warnings=then))
    codes = {notice.code for notice in compared.warnings}
    assert ("weighting_differs" in codes) is told


def test_the_mean_height_is_not_compared_with_a_height_in_front() -> None:
    front = quantity_of("anterior_height_mm")
    assert front.concept is not None
    only_front = tuple(
        replace(
            finding,
            measurements=(
                Measurement(
                    concept=front.concept,
                    value=7.0,
                    unit=MILLIMETRE,
                    modifiers=front.modifiers,
                ),
            ),
        )
        for finding in findings()
    )
    compared = compare(result(), SCANNER, replace(PRIOR, findings=only_front))
    for row in compared.levels:
        assert not row.changes
        assert (
            row.missing["disc_height_mm"] == "not measured in the earlier examination"
        )
        assert row.missing["anterior_height_mm"] == "not measured now"


def test_values_in_other_units_are_not_compared() -> None:
    other = tuple(
        replace(
            finding,
            measurements=tuple(
                replace(one, unit=SQUARE_MILLIMETRE) if one.unit == MILLIMETRE else one
                for one in finding.measurements
            ),
        )
        for finding in findings()
    )
    compared = compare(result(), SCANNER, replace(PRIOR, findings=other))
    assert compared.levels[0].missing["disc_height_mm"] == "in mm2 earlier, in mm now"
    assert "disc_height_index" in compared.levels[0].changes


@pytest.mark.parametrize(
    ("then", "codes"),
    [
        (SCANNER, set()),
        (replace(SCANNER, manufacturer="siemens ", field_strength_t=1.5), set()),
        (replace(SCANNER, repetition_time_ms=3400, echo_time_ms=102), set()),
        (replace(SCANNER, manufacturer="Philips"), {"scanner_differs"}),
        (replace(SCANNER, model="Skyra"), {"scanner_differs"}),
        (replace(SCANNER, field_strength_t=3.0), {"field_strength_differs"}),
        (replace(SCANNER, sequence=("GR",)), {"sequence_differs"}),
        (replace(SCANNER, dimensions="3D"), {"sequence_differs"}),
        (replace(SCANNER, repetition_time_ms=1000), {"sequence_differs"}),
        (replace(SCANNER, echo_time_ms=130), {"sequence_differs"}),
        (replace(SCANNER, field_strength_t=None), {"acquisition_unknown"}),
    ],
)
def test_another_scanner_or_sequence_is_warned_of(
    then: Acquisition, codes: set[str]
) -> None:
    compared = compare(result(), SCANNER, replace(PRIOR, acquisition=then))
    assert {notice.code for notice in compared.warnings} == codes


def test_another_version_of_the_analysis_is_warned_of() -> None:
    compared = compare(result(), SCANNER, replace(PRIOR, version="1+r1"))
    (notice,) = compared.warnings
    assert notice.code == "analysis_differs"
    assert "1+r1" in notice.text


def test_doubtful_levels_are_warned_of_whichever_examination_has_them() -> None:
    then = compare(result(), SCANNER, replace(PRIOR, warnings=("level_uncertain",)))
    doubt = Notice(code="level_uncertain", text="?")
    now = compare(replace(result(), warnings=(doubt,)), SCANNER, PRIOR)
    for compared in (then, now):
        assert [notice.code for notice in compared.warnings] == ["levels_may_differ"]


def test_outlines_that_a_reader_corrected_in_one_examination_are_warned_of() -> None:
    edited = replace(PRIOR, warnings=("outlines_edited",))
    own = Notice(code="outlines_edited", text="?")
    both = compare(replace(result(), warnings=(own,)), SCANNER, edited)
    only_then = compare(result(), SCANNER, edited)
    assert both.warnings == ()
    assert [notice.code for notice in only_then.warnings] == ["outlines_differ"]


def test_the_result_tells_of_the_change_everywhere() -> None:
    now = result(disc_height_mm=7.8, grade=3)
    then = replace(PRIOR, acquisition=replace(SCANNER, model="Skyra"))
    told = followed_up(now, compare(now, SCANNER, then))
    assert [page.title for page in told.pages] == ["Overlay"]
    high, wide, _ = told.pages[-1].pixels.shape
    assert (high <= 1024, wide) == (True, 4 + 700)
    by_label = {finding.label: finding.changes for finding in told.findings}
    assert [c.concept.value for c in by_label["L4/L5 disc"]] == [
        "CHANGE-HEIGHT",
        "CHANGE-DHI",
        "CHANGE-HDR",
    ]
    assert [notice.code for notice in told.warnings] == ["scanner_differs"]
    assert told.summary["en"][0] == "Said."
    graded = "Pfirrmann grade II to III (may be chance)"
    height = f"mean height -1.20 mm (detectable {MDC_MM:.2f} mm)"
    assert told.summary["en"][1] == (
        f"Compared with the examination 400 days earlier: L1/L2 disc {graded}; "
        f"L2/L3 disc {graded}; L3/L4 disc {graded}; L4/L5 disc {height}, {graded}; "
        f"L5/S1 disc {graded}."
    )
    assert "400" in told.summary["zh-CN"][1]
    assert "-1.20 mm" in told.summary["zh-CN"][1]


def test_the_report_for_programs_has_every_quantity() -> None:
    now = result(disc_height_mm=7.8)
    told = followed_up(now, compare(now, SCANNER, PRIOR))
    found = told.details["follow_up"]
    assert isinstance(found, dict)
    assert found["days"] == 400
    (row,) = (row for row in found["levels"] if row["level"] == "L4/L5")
    assert row["changes"]["disc_height_mm"] == {
        "earlier": 9.0,
        "now": 7.8,
        "change": -1.2,
        "detectable_change": round(MDC_MM, 4),
        "verdict": "decreased",
    }
    assert (
        row["changes"]["disc_length_mm"]["verdict"] == "no change that could be shown"
    )
    assert row["pfirrmann_grade"] == {"earlier": 2, "now": 2}
    assert "twice" in row["not_compared"]["wedge_angle_deg"]


def test_nothing_changed_is_said_in_words() -> None:
    told = followed_up(result(), compare(result(), SCANNER, PRIOR))
    assert told.summary["en"][1] == (
        "Compared with the examination 400 days earlier: no change that could be shown."
    )
