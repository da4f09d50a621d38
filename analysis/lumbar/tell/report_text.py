"""A paragraph to be pasted into a radiology report: what was measured, in few words.

It says what the numbers say and no more: no diagnosis, no stenosis, no cause. What a
reader has to look at stands at its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.contract.result import Notice
from analysis.lumbar.judge.displacement.displacement import DiscDisplacement, Told
from analysis.lumbar.judge.grade.grading import DiscGrade
from analysis.lumbar.judge.grade.model import ROMAN
from analysis.lumbar.judge.grades_and_norms import Assessment
from analysis.lumbar.judge.height_loss_doubts import known_share
from analysis.lumbar.measure.height_loss import HeightLoss
from analysis.lumbar.measure.measurements import SpineMeasurements
from analysis.lumbar.tell.evaluations import canal_depths_mm, narrowest_canal
from analysis.lumbar.tell.grade_words import UNSURE, grades_in_words
from analysis.lumbar.tell.words import Words, languages, words_of

SLIP_MM = 3.0
"""A displacement that is told: vertebrae of healthy people move by less when they bend.

References
----------
.. [1] Boden SD, Wiesel SW. Lumbosacral segmental motion in normal individuals. Have we
   been measuring instability properly? Spine 1990;15(6):571-576.
"""


def report_text(
    measured: SpineMeasurements, assessment: Assessment, warnings: Sequence[Notice]
) -> dict[str, str]:
    """Return the paragraph by language (RFC 5646)."""
    return {
        language: words.report("sentences").join(
            _sentences(measured, assessment, warnings, words)
        )
        for language in languages()
        for words in (words_of(language),)
    }


def _sentences(
    measured: SpineMeasurements,
    assessment: Assessment,
    warnings: Sequence[Notice],
    words: Words,
) -> Iterator[str]:
    yield words.report("head")
    yield words.report("levels")
    yield from _discs(measured, assessment, words)
    yield from _narrowing(measured, assessment, words)
    yield from _displacement(measured, assessment, words)
    yield from _slips(measured, words)
    yield from _canal(measured, words)
    yield from _bodies(measured, words)
    for key, name in (
        ("lordosis_l1_s1_deg", "lordosis"),
        ("sacral_slope_deg", "slope"),
    ):
        value = measured.spine.number(key)
        if value is not None:
            yield words.report(name, value=f"{value:.0f}")
    if warnings:
        told = [words.notice(one).text.rstrip(".") for one in warnings]
        yield words.report("check", items=words.report("items").join(told))


def _discs(
    measured: SpineMeasurements, assessment: Assessment, words: Words
) -> Iterator[str]:
    by_grade: dict[str, list[str]] = {}
    for row in measured.discs:
        graded = assessment.grades[row.level]
        by_grade.setdefault(_graded(graded, words), []).append(row.level)
    items = [
        text.replace("{levels}", _listed(levels, words))
        for text, levels in by_grade.items()
    ]
    yield words.report("discs", items=words.report("items").join(items))
    heights = [
        words.report("height", level=row.level, value=f"{value:.1f}")
        for row in measured.discs
        if (value := row.number("disc_height_mm")) is not None
    ]
    if heights:
        yield words.report("heights", items=_listed(heights, words))


def _graded(graded: object, words: Words) -> str:
    """Return what is said of a grade, with a place for the levels that have it."""
    levels = "{levels}"
    if not isinstance(graded, DiscGrade):
        return words.report("no_grade", levels=levels)
    own = grades_in_words(graded, words)
    if graded.lowest == graded.highest:
        return words.report("of_grade", levels=levels, grade=own)
    return words.report(
        "of_range",
        levels=levels,
        grade=own,
        lowest=ROMAN[graded.lowest - 1],
        highest=ROMAN[graded.highest - 1],
    )


def _narrowing(
    measured: SpineMeasurements, assessment: Assessment, words: Words
) -> Iterator[str]:
    low, high = UNSURE
    shares = {
        row.level: graded.narrowing
        for row in measured.discs
        if isinstance(graded := assessment.grades[row.level], DiscGrade)
    }
    if not shares:
        return
    narrowed = [level for level, share in shares.items() if share >= high]
    unsure = [level for level, share in shares.items() if low < share < high]
    if narrowed:
        yield words.report("narrowed", levels=_listed(narrowed, words))
    if unsure:
        yield words.report("maybe_narrowed", levels=_listed(unsure, words))
    if not narrowed and not unsure and len(shares) == len(measured.discs):
        yield words.report("not_narrowed")


def _displacement(
    measured: SpineMeasurements, assessment: Assessment, words: Words
) -> Iterator[str]:
    told = {
        row.level: found.told
        for row in measured.discs
        if isinstance(found := assessment.displacements[row.level], DiscDisplacement)
    }
    displaced = [level for level, each in told.items() if each is Told.PRESENT]
    unsure = [level for level, each in told.items() if each is Told.UNSURE]
    if displaced:
        yield words.report("displaced", levels=_listed(displaced, words))
    if unsure:
        yield words.report("maybe_displaced", levels=_listed(unsure, words))
    if not displaced and not unsure and len(told) == len(measured.discs):
        yield words.report("not_displaced")


def _slips(measured: SpineMeasurements, words: Words) -> Iterator[str]:
    known = {
        row.level: value
        for row in measured.discs
        if (value := row.number("slip_mm")) is not None
    }
    told = [
        words.report(
            "slip_forward" if value > 0 else "slip_backward",
            level=level,
            value=f"{abs(value):.1f}",
        )
        for level, value in known.items()
        # As it is written here and on the pages: 2.96 is 3.0.
        if round(abs(value), 1) >= SLIP_MM
    ]
    if told:
        yield words.report("slips", items=words.report("items").join(told))
    elif len(known) == len(measured.discs) - 1:
        yield words.report("no_slip", limit=f"{SLIP_MM:.0f}")


def _canal(measured: SpineMeasurements, words: Words) -> Iterator[str]:
    known = canal_depths_mm(measured)
    if not known:
        return
    level = min(known, key=lambda one: known[one])
    unknown = [row.level for row in measured.discs if row.level not in known]
    value, levels = f"{known[level]:.1f}", _listed(unknown, words)
    if not unknown:
        yield words.report("canal", level=level, value=value)
    elif narrowest_canal(measured):
        yield words.report("canal_in_part", level=level, value=value, levels=levels)
    else:
        yield words.report("canal_not_all", level=level, value=value, levels=levels)


def _bodies(measured: SpineMeasurements, words: Words) -> Iterator[str]:
    known = {
        body.vertebra.label: share.grade
        for body in reversed(measured.bodies)
        if (share := known_share(body)) is not None
    }
    lost = [
        words.report(f"loss_{int(grade)}", level=label)
        for label, grade in known.items()
        if grade > HeightLoss.NONE
    ]
    if lost:
        yield words.report("losses", items=words.report("items").join(lost))
    elif known:
        yield words.report("no_loss", levels=_listed(list(known), words))


def _listed(names: Sequence[str], words: Words) -> str:
    return words.report("levels_joint").join(names)
