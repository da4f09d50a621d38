"""The sentences of the summary, in every language that there is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import analysis.lumbar
from analysis.contract.concepts import DERIVATION, HEIGHT, MEAN, MILLIMETRE, RATIO
from analysis.contract.measurement import Absence, Grade, Measurement, Unmeasured
from analysis.contract.result import Finding, Notice
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Structure, level_of
from analysis.lumbar.measure.quantities import quantity_of
from analysis.lumbar.tell.evaluations import (
    ABSENT,
    NARROWEST_CANAL,
    NARROWING,
    PFIRRMANN,
    PFIRRMANN_GRADES,
    PRESENT,
)
from analysis.lumbar.tell.summary import summarise

DISC_HEIGHT_INDEX = quantity_of("disc_height_index").concept
assert DISC_HEIGHT_INDEX is not None
L4_L5 = next(disc for disc in DISCS if disc.label == "L4/L5 disc")
HEIGHT_MM = Measurement(
    concept=HEIGHT,
    value=9.25,
    unit=MILLIMETRE,
    modifiers=((DERIVATION, MEAN),),
    uncertainty=0.4,
)
INDEX = Measurement(concept=DISC_HEIGHT_INDEX, value=1 / 3, unit=RATIO)
GRADE_IV = Grade(
    concept=PFIRRMANN,
    value=PFIRRMANN_GRADES[3],
    probabilities=((PFIRRMANN_GRADES[2], 0.25), (PFIRRMANN_GRADES[3], 0.75)),
)
MEASURED = Finding(
    site=L4_L5.concept,
    label=L4_L5.label,
    measurements=(HEIGHT_MM, INDEX),
    grades=(GRADE_IV,),
)
LOST = Finding(
    site=L4_L5.concept,
    label=L4_L5.label,
    measurements=(HEIGHT_MM,),
    unmeasured=tuple(
        Unmeasured(concept=concept, reason=Absence.SIGNAL_UNFIT, text="dark canal")
        for concept in (DISC_HEIGHT_INDEX, PFIRRMANN)
    ),
)


def test_a_disc_is_told_in_one_sentence() -> None:
    summary = summarise([MEASURED], [])
    assert summary["en"] == (
        "AI result, not verified. Research use, not for primary diagnosis.",
        "L4/L5 disc: mean height 9.2 mm (± 0.4), disc height index 0.33, "
        "Pfirrmann grade IV (75%).",
    )


def test_what_is_absent_is_named() -> None:
    narrowing = Grade(
        concept=NARROWING,
        value=ABSENT,
        probabilities=((PRESENT, 0.03), (ABSENT, 0.97)),
    )
    summary = summarise([replace(MEASURED, grades=(GRADE_IV, narrowing))], [])
    assert summary["en"][-1].endswith(
        "Pfirrmann grade IV (75%), disc space narrowing absent (97%)."
    )
    assert "椎间隙狭窄" in summary["zh-CN"][-1]


def test_the_place_where_the_canal_is_narrowest_does_not_read_as_a_finding() -> None:
    mark = Grade(concept=NARROWEST_CANAL, value=PRESENT)
    summary = summarise([replace(MEASURED, grades=(GRADE_IV, mark))], [])
    assert summary["en"][-1].endswith(
        "(75%), the canal is narrowest at this disc (stenosis is not graded)."
    )
    assert "未评定狭窄" in summary["zh-CN"][-1]


def test_a_disc_is_told_in_chinese() -> None:
    disclaimer, sentence = summarise([MEASURED], [])["zh-CN"]
    assert "不得作为主要诊断依据" in disclaimer
    for part in (
        "L4/L5 椎间盘",
        "平均高度 9.2 mm",
        "椎间盘高度指数 0.33",
        "IV 级",
        "75%",
    ):
        assert part in sentence


def test_what_was_not_measured_is_told() -> None:
    summary = summarise([LOST], [])
    assert (
        "not measured: disc height index, not measured: Pfirrmann grade"
        in (summary["en"][1])
    )
    assert "未能测量" in summary["zh-CN"][1]


def test_a_warning_goes_before_the_discs() -> None:
    known = Notice(code="levels_missing", text="Not measured: L1/L2")
    new = Notice(code="of_tomorrow", text="Something new.")
    summary = summarise([MEASURED], [known, new])
    assert summary["en"][1:3] == (
        "Warning: Not measured: L1/L2.",
        "Warning: Something new.",
    )
    assert "未能测量：L1/L2" in summary["zh-CN"][1]
    assert "Something new" in summary["zh-CN"][2]


def test_vertebrae_have_no_sentence() -> None:
    body = VERTEBRAE[1]
    finding = Finding(site=body.concept, label=body.label, measurements=(HEIGHT_MM,))
    assert all(len(each) == 1 for each in summarise([finding], []).values())


@pytest.mark.parametrize("disc", DISCS[:5], ids=lambda disc: disc.label)
def test_every_measured_disc_has_a_chinese_name(disc: Structure) -> None:
    finding = Finding(site=disc.concept, label=disc.label, measurements=(HEIGHT_MM,))
    sentence = summarise([finding], [])["zh-CN"][1]
    assert sentence.startswith(f"{level_of(disc)} 椎间盘")


def _codes_of_warnings() -> Iterator[str]:
    """Yield the codes of all doubts in the sources of the analysis."""
    for path in Path(analysis.lumbar.__path__[0]).rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            code: ast.expr | None = None
            if call.func.id in {"warning", "unfit_signal"}:
                code = call.args[0]
            if call.func.id in {"Doubt", "Notice"}:
                (code,) = (one.value for one in call.keywords if one.arg == "code")
            if isinstance(code, ast.Constant):
                yield str(code.value)


def test_every_warning_of_the_analysis_is_told_in_chinese() -> None:
    codes = set(_codes_of_warnings())
    known = {"thin_disc", "too_uncertain", "not_t2", "signal_uneven", "levels_missing"}
    assert known <= codes
    for code in codes:
        sentence = summarise([], [Notice(code=code, text="English")])["zh-CN"][1]
        assert "English" not in sentence, code
