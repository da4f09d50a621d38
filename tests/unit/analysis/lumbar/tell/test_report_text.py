"""The paragraph to be pasted into a report says what the numbers say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.contract.concepts import Concept
from analysis.contract.measurement import Absence
from analysis.contract.result import Notice
from analysis.lumbar.judge.displacement.displacement import DiscDisplacement, Displaced
from analysis.lumbar.judge.grade.grading import DiscGrade
from analysis.lumbar.judge.grades_and_norms import Assessment
from analysis.lumbar.measure.measurements import SpineMeasurements
from analysis.lumbar.number_or_reason import Missing, Value
from analysis.lumbar.tell.evaluations import (
    ABSENT as ABSENT_VALUE,
)
from analysis.lumbar.tell.evaluations import (
    INDETERMINATE,
    NARROWING,
    PRESENT,
    grades_of,
    narrowest_canal,
)
from analysis.lumbar.tell.report_text import report_text
from tests.support.measured_phantom import measured
from tests.support.wedge_spine import WedgeSpine

LEVELS = ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1")
ABSENT = Missing(absence=Absence.GEOMETRY_UNFIT, code="sacrum", text="no")


@pytest.fixture(scope="module")
def spine() -> SpineMeasurements:
    return measured(WedgeSpine())


def graded(grade: int, *, most: int | None = None, narrowing: float = 0.1) -> DiscGrade:
    return DiscGrade(
        grade=grade,
        lowest=grade,
        highest=most or grade,
        rival=None,
        probabilities=(0.2,) * 5,
        narrowing=narrowing,
    )


def assessed(**grades: DiscGrade) -> Assessment:
    """Return an assessment; L4/L5 is given as `l4_l5`, what is not given is II."""
    named = {level: level.lower().replace("/", "_") for level in LEVELS}
    return Assessment(
        person=ABSENT,
        grades={level: grades.get(key, graded(2)) for level, key in named.items()},
        places={},
        displacements=dict.fromkeys(LEVELS, DiscDisplacement(probability=0.1)),
    )


def displaced(assessment: Assessment, **found: Displaced) -> Assessment:
    """Say of some levels, given as `l4_l5`, how they are displaced."""
    named = {key.upper().replace("_", "/"): value for key, value in found.items()}
    return replace(assessment, displacements={**assessment.displacements, **named})


def with_values(
    spine: SpineMeasurements, level: str, **values: Value
) -> SpineMeasurements:
    rows = tuple(
        replace(row, values={**row.values, **values}) if row.level == level else row
        for row in spine.discs
    )
    return replace(spine, discs=rows)


def test_levels_of_one_grade_are_told_together(spine: SpineMeasurements) -> None:
    told = report_text(
        spine, assessed(l4_l5=graded(4, narrowing=0.9), l5_s1=graded(3, most=4)), ()
    )
    assert (
        "Discs: L1/L2, L2/L3, L3/L4 Pfirrmann grade II; L4/L5 Pfirrmann grade IV; "
        "L5/S1 Pfirrmann grade III (III to IV possible). " in told["en"]
    )
    assert "Disc space narrowed: L4/L5." in told["en"]
    assert (
        "椎间盘：L1/L2、L2/L3、L3/L4 Pfirrmann II 级；L4/L5 Pfirrmann IV 级；"
        "L5/S1 Pfirrmann III 级（可能为 III～IV 级）。" in told["zh-CN"]
    )
    assert "L4/L5 椎间隙狭窄。" in told["zh-CN"]


def test_it_says_first_what_it_is_and_last_what_is_to_be_checked(
    spine: SpineMeasurements,
) -> None:
    doubt = Notice(code="levels_missing", text="Not measured: L1/L2")
    told = report_text(spine, assessed(), (doubt, doubt))
    assert told["en"].startswith("MR of the lumbar spine, sagittal, measured by softwa")
    assert told["en"].endswith("check: Not measured: L1/L2; Not measured: L1/L2.")
    assert told["zh-CN"].startswith("腰椎 MR 矢状位，由软件测量，未经医师核实")
    assert told["zh-CN"].endswith("请核对：未能测量：L1/L2；未能测量：L1/L2。")


@pytest.mark.parametrize(
    ("slip_mm", "english", "chinese"),
    [
        (4.26, "L4/L5 4.3 mm forwards", "L4/L5 上位椎体前移 4.3 mm"),
        (-3.0, "L4/L5 3.0 mm backwards", "L4/L5 上位椎体后移 3.0 mm"),
        (2.96, "L4/L5 3.0 mm forwards", "L4/L5 上位椎体前移 3.0 mm"),
        (2.94, "No vertebral displacement of 3 mm", "未见 3 mm 及以上的椎体移位"),
    ],
)
def test_a_slip_is_told_from_three_millimetres_on(
    spine: SpineMeasurements, slip_mm: float, english: str, chinese: str
) -> None:
    told = report_text(with_values(spine, "L4/L5", slip_mm=slip_mm), assessed(), ())
    assert english in told["en"]
    assert chinese in told["zh-CN"]


def test_what_was_not_measured_is_not_called_normal(spine: SpineMeasurements) -> None:
    """Nothing is said of slips or narrowing where one disc could not be read."""
    told = report_text(with_values(spine, "L4/L5", slip_mm=ABSENT), assessed(), ())
    assert "vertebral displacement" not in told["en"]
    assert "移位" not in told["zh-CN"]
    ungraded = assessed()
    ungraded = replace(ungraded, grades={**ungraded.grades, "L1/L2": ABSENT})
    told = report_text(spine, ungraded, ())
    assert "L1/L2 not graded" in told["en"]
    assert "narrow" not in told["en"]
    assert "L1/L2 未分级" in told["zh-CN"]


def test_stenosis_is_not_graded_and_a_healthy_spine_is_told_as_one(
    spine: SpineMeasurements,
) -> None:
    told = report_text(spine, assessed(), ())
    assert "stenosis is not graded" in told["en"]
    assert "未评定椎管狭窄" in told["zh-CN"]
    assert "No disc space narrowing." in told["en"]
    assert "No reduced vertebral height among" in told["en"]
    assert "{" not in told["en"] + told["zh-CN"]


def test_displaced_discs_are_named_and_so_are_those_in_doubt(
    spine: SpineMeasurements,
) -> None:
    told = report_text(spine, assessed(), ())
    assert "No disc displacement in the middle slices." in told["en"]
    assert "中间层面未见椎间盘膨出、突出或脱出。" in told["zh-CN"]
    found = displaced(
        assessed(),
        l4_l5=DiscDisplacement(probability=0.9),
        l5_s1=DiscDisplacement(probability=0.5),
    )
    told = report_text(spine, found, ())
    assert (
        "Disc displaced (bulge, protrusion or extrusion) in the middle slices: L4/L5. "
        "Disc displacement uncertain: L5/S1." in told["en"]
    )
    assert "中间层面见 L4/L5 椎间盘膨出、突出或脱出。" in told["zh-CN"]
    assert "No disc displacement" not in told["en"]


def test_nothing_is_said_of_displacement_where_one_disc_could_not_be_read(
    spine: SpineMeasurements,
) -> None:
    told = report_text(spine, displaced(assessed(), l4_l5=ABSENT), ())
    assert "isplacement in the middle" not in told["en"]


def test_the_least_canal_says_at_which_levels_it_was_not_measured(
    spine: SpineMeasurements,
) -> None:
    told = report_text(
        with_values(spine, "L5/S1", canal_ap_diameter_mm=ABSENT), assessed(), ()
    )
    assert "where it was measured (not at L5/S1): " in told["en"]
    assert "所测节段（不含 L5/S1）硬膜囊" in told["zh-CN"]


def test_a_canal_that_is_not_found_at_a_level_may_be_narrowest_there(
    spine: SpineMeasurements,
) -> None:
    unseen = with_values(spine, "L4/L5", canal_ap_diameter_mm=ABSENT)
    values = {**unseen.spine.values, "least_canal_ap_diameter_mm": ABSENT}
    unseen = replace(unseen, spine=replace(unseen.spine, values=values))
    told = report_text(unseen, assessed(), ())
    assert (
        "The dural sac was not measured at L4/L5 and may be narrowest there; elsewhere "
        "its least AP diameter" in told["en"]
    )
    assert "未测得 L4/L5 水平的硬膜囊，其最窄处可能在此" in told["zh-CN"]
    assert narrowest_canal(unseen) is None
    assert narrowest_canal(spine) is not None


def test_two_grades_that_are_as_probable_are_both_told(
    spine: SpineMeasurements,
) -> None:
    tie = replace(graded(3, most=4), rival=4)
    told = report_text(spine, assessed(l4_l5=tie), ())
    assert "L4/L5 Pfirrmann grade III or IV (III to IV possible)" in told["en"]
    assert "L4/L5 Pfirrmann III 或 IV 级" in told["zh-CN"]


@pytest.mark.parametrize(
    ("share", "value", "text"),
    [
        (0.30, ABSENT_VALUE, "No disc space narrowing"),
        (0.55, INDETERMINATE, "Disc space narrowing uncertain: L4/L5"),
        (0.70, PRESENT, "Disc space narrowed: L4/L5"),
    ],
)
def test_the_coded_narrowing_says_what_the_paragraph_says(
    spine: SpineMeasurements, share: float, value: Concept, text: str
) -> None:
    found = assessed(l4_l5=graded(2, narrowing=share))
    (narrowing,) = (
        one.value for one in grades_of("L4/L5", found) if one.concept == NARROWING
    )
    assert narrowing == value
    assert text in report_text(spine, found, ())["en"]
