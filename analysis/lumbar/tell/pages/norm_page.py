"""One page for the reader: grades, and each value on the norm of its level by age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.contract.measurement import NormPlace
from analysis.lumbar.judge.grade.grading import DiscGrade, Graded
from analysis.lumbar.judge.grade.model import ROMAN
from analysis.lumbar.judge.grades_and_norms import Assessment, reference_of
from analysis.lumbar.judge.norms.curves import (
    BAND_AGES,
    BOTH_SEXES,
    MAX_AGE,
    MIN_AGE,
    SEXES,
    Curve,
    load_curves,
)
from analysis.lumbar.judge.norms.place import AGE_UNKNOWN, NormAge, Places
from analysis.lumbar.measure.measurements import MeasuredDisc, SpineMeasurements
from analysis.lumbar.tell.pages.summary_table import (
    BRIGHT,
    DIM,
    RULE,
    Box,
    Colour,
    font,
)
from analysis.lumbar.value import Missing, Value

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_PARAMETERS = (
    ("dhi", "DHI", 2, (0.0, 0.6), (0.2, 0.4)),
    ("hdr", "HDR", 2, (0.0, 0.4), (0.1, 0.2, 0.3)),
    ("delta_si", "delta-SI", 0, (0.0, 160.0), (50.0, 100.0)),
)
"""Key, name, decimals, range of the axis, its marks."""
_OUTER_Z, _INNER_Z = 1.645, 0.674
"""5th to 95th and 25th to 75th percentile."""
_STEPS = 14
_AGE_MARKS = (20, 40, 60, 80)
_FINER = 2
"""Bands are drawn on a picture this much larger, then reduced: smooth edges."""

_BANDS: dict[str, tuple[Colour, Colour, Colour]] = {
    BOTH_SEXES: ((40, 52, 66), (62, 82, 104), (150, 175, 200)),
    "m": ((36, 52, 72), (54, 82, 112), (140, 175, 215)),
    "f": ((66, 46, 56), (102, 68, 82), (220, 170, 185)),
}
"""By sex: 5 to 95 %, 25 to 75 %, median."""
_PANEL: Colour = (18, 20, 23)
_BAR: Colour = (70, 78, 88)

_ROW_PX, _HEAD_PX, _CELL_PX, _SMALL_PX = 44, 20, 24, 16
_AXIS_PX, _PANEL_PX, _PANEL_GAP_PX = 62, 158, 14
_MARKS_PX = 24
_DOT_PX = 6
_LINE_PX = 22
_RANK_PX = 62
_BAR_PX, _BAR_STEP_PX = 12, 16

_COLUMNS = (0.0, 0.14, 0.33, 0.475, 0.65, 0.825, 1.0)
"""Shares of the width at which the columns of the table end."""
_NOTES = (
    "Dark band: 5th to 95th percentile, lighter: 25th to 75th, line: median; P: "
    "percentile, n: discs of that age. Bars: grades I to V.",
    "* By the definitions of Zheng 2022, to which these norms belong (other pages: "
    "ours). Collapsed discs were left out there, so",
    "heights seem to rise with age. Norms of patients of four hospitals, in 2-D spin "
    "echo; given for such pictures only.",
)


def draw_norms(
    page: Image, box: Box, rows: SpineMeasurements, assessment: Assessment
) -> None:
    """Draw the table of grades and places, and the norms by age below it.

    Parameters
    ----------
    page
        Is drawn on.
    box
        Left, top and width of what may be used (px); about 900 px high.
    rows, assessment
        What was measured, and what it says of the person.
    """
    from PIL import ImageDraw

    left, top, width = box
    draw = ImageDraw.Draw(page)
    top = _draw_table(draw, box, rows, assessment) + 18
    who = _who(assessment.person)
    draw.text((left, top), who, fill=BRIGHT, font=font(_HEAD_PX))
    top += 32
    panel_width = (width - _AXIS_PX) / len(rows.discs)
    for place, row in enumerate(rows.discs):
        right = left + _AXIS_PX + panel_width * (place + 1)
        middle = right - (panel_width - _PANEL_GAP_PX) / 2
        draw.text(
            (middle, top),
            row.level,
            fill=row.disc.colour,
            font=font(_HEAD_PX),
            anchor="ma",
        )
    top += 28
    for number in range(len(_PARAMETERS)):
        strip = _Strip(
            number=number,
            left=left + _AXIS_PX,
            top=top,
            width=round(panel_width - _PANEL_GAP_PX),
            step=panel_width,
        )
        strip.draw(page, draw, rows, assessment)
        top += _PANEL_PX + 10
    _draw_ages(draw, left + _AXIS_PX, top - 6, panel_width, len(rows.discs))
    top += _MARKS_PX
    for note in _NOTES:
        draw.text((left, top), note, fill=DIM, font=font(_SMALL_PX))
        top += _LINE_PX


def _who(person: NormAge | Missing) -> str:
    if isinstance(person, Missing):
        return f"Norms by age. {person.text}"
    sex = {
        "f": "woman",
        "m": "man",
        None: "sex not stated: women's norms red, men's blue",
    }[person.sex]
    return f"Norms by age ({sex}, {person.years:.0f} years)"


def _draw_table(
    draw: ImageDraw, box: Box, rows: SpineMeasurements, assessment: Assessment
) -> int:
    left, top, width = box
    edges = [left + round(share * width) for share in _COLUMNS]
    heads = ("Level", "Pfirrmann", "Height mm", "DHI*", "HDR*", "delta-SI*")
    draw.text((left, top), heads[0], fill=BRIGHT, font=font(_HEAD_PX))
    for head, right in zip(heads[1:], edges[2:], strict=True):
        draw.text((right, top), head, fill=BRIGHT, font=font(_HEAD_PX), anchor="ra")
    top += 30
    for row in rows.discs:
        draw.line((left, top, left + width, top), fill=RULE)
        middle = top + _ROW_PX // 2
        draw.rectangle((left, middle - 7, left + 14, middle + 7), fill=row.disc.colour)
        _text(draw, (left + 24, middle), row.level, BRIGHT, "lm")
        _draw_grade(draw, edges[2], middle, assessment.grades[row.level])
        _text(
            draw,
            (edges[3], middle),
            _shown(row.values["disc_height_mm"], 1),
            BRIGHT,
            "rm",
        )
        values = reference_of(row)
        for (key, _, decimals, _, _), right in zip(_PARAMETERS, edges[4:], strict=True):
            shown = _shown(values[key], decimals)
            rank = _rank(assessment.places[row.level][key])
            beside = _RANK_PX if rank else 0
            _text(draw, (right - beside, middle), shown, BRIGHT, "rm")
            draw.text(
                (right, middle), rank, fill=DIM, font=font(_SMALL_PX), anchor="rm"
            )
        top += _ROW_PX
    draw.line((left, top, left + width, top), fill=RULE)
    return top


def _text(
    draw: ImageDraw, spot: tuple[float, float], text: str, colour: Colour, anchor: str
) -> None:
    draw.text(spot, text, fill=colour, font=font(_CELL_PX), anchor=anchor)


def _shown(quantity: Value, decimals: int) -> str:
    return "-" if isinstance(quantity, Missing) else f"{quantity:.{decimals}f}"


def _rank(places: Places | Missing) -> str:
    """Return the percentile in words; never in a colour that warns.

    Other scanners read low against these norms, and nobody knows by how much.
    """
    if isinstance(places, Missing):
        return ""
    shown = "/".join(_percent(place.percentile) for place in places.values())
    return f"P{shown}"


def _percent(rank: float) -> str:
    if rank < 1:
        return "<1"
    return ">99" if rank > 99 else f"{rank:.0f}"  # noqa: PLR2004 - per cent


def _draw_grade(draw: ImageDraw, right: int, middle: int, grade: Graded) -> None:
    if not isinstance(grade, DiscGrade):
        _text(draw, (right, middle), "-", BRIGHT, "rm")
        return
    _text(draw, (right, middle), ROMAN[grade.grade - 1], BRIGHT, "rm")
    foot, full = middle + 15, 30
    start = right - 42 - _BAR_STEP_PX * len(grade.probabilities)
    for place, share in enumerate(grade.probabilities):
        x = start + place * _BAR_STEP_PX
        colour = BRIGHT if place == grade.grade - 1 else _BAR
        height = max(round(share * full), 1)
        draw.rectangle((x, foot - height, x + _BAR_PX, foot), fill=colour)


def _draw_ages(draw: ImageDraw, left: float, top: int, step: float, count: int) -> None:
    for place in range(count):
        for age in _AGE_MARKS:
            share = (age - MIN_AGE) / (MAX_AGE - MIN_AGE)
            x = left + place * step + share * (step - _PANEL_GAP_PX)
            draw.text((x, top), str(age), fill=DIM, font=font(_SMALL_PX), anchor="ma")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strip:
    """The panels of one parameter, one a level, side by side (px)."""

    number: int
    left: float
    top: int
    width: int
    step: float

    def draw(
        self,
        page: Image,
        draw: ImageDraw,
        rows: SpineMeasurements,
        assessment: Assessment,
    ) -> None:
        """Draw the axis, the bands, and the value of each level."""
        from PIL import Image, ImageDraw

        key, name, decimals, _, marks = _PARAMETERS[self.number]
        edge = self.left - 8
        start = self.left - _AXIS_PX
        draw.text((start, self.top), name, fill=BRIGHT, font=font(_SMALL_PX))
        for mark in marks:
            draw.text(
                (edge, self.top + self._y(mark)),
                f"{mark:.{min(decimals, 1)}f}",
                fill=DIM,
                font=font(_SMALL_PX),
                anchor="rm",
            )
        fine = Image.new("RGB", (self.width * _FINER, _PANEL_PX * _FINER), _PANEL)
        blank = fine.copy()
        for place, row in enumerate(rows.discs):
            fine.paste(blank)
            x = round(self.left + place * self.step)
            self._draw_panel(ImageDraw.Draw(fine), row, assessment)
            page.paste(fine.reduce(_FINER), (x, self.top))
            self._label(draw, x, assessment.places[row.level][key], row)

    def _y(self, value: float) -> float:
        low, high = _PARAMETERS[self.number][3]
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return (1 - share) * (_PANEL_PX - 1)

    def _x(self, age_years: float) -> float:
        return (age_years - MIN_AGE) / (MAX_AGE - MIN_AGE) * (self.width - 1)

    def _draw_panel(
        self, pen: ImageDraw, row: MeasuredDisc, assessment: Assessment
    ) -> None:
        key, _, _, _, marks = _PARAMETERS[self.number]
        person = assessment.person
        sex = None if isinstance(person, Missing) else person.sex
        curves = _curves(key, row.level, sex)
        for band, z_score in enumerate((_OUTER_Z, _INNER_Z)):
            for each, curve in curves:
                pen.polygon(self._band(curve, z_score), fill=_BANDS[each][band])
        for mark in marks:
            y = self._y(mark) * _FINER
            pen.line((0, y, self.width * _FINER, y), fill=_BAR)
        for each, curve in curves:
            line = self._line(curve, 0.0)
            pen.line(line, fill=_BANDS[each][2], width=2 * _FINER, joint="curve")
        value = reference_of(row)[key]
        if isinstance(value, Missing):
            return
        if not isinstance(person, Missing):
            self._mark(pen, value, person.years, row.disc.colour)
        elif person.code == AGE_UNKNOWN:
            self._mark(pen, value, None, row.disc.colour)

    def _mark(
        self, pen: ImageDraw, value: float, age: float | None, colour: Colour
    ) -> None:
        """Draw the value at the person's age, or across all ages if it is not known."""
        y = self._y(value) * _FINER
        if age is None:
            for start in range(0, self.width * _FINER, 16):
                pen.line((start, y, start + 8, y), fill=colour, width=2 * _FINER)
            return
        radius = _DOT_PX * _FINER
        x = self._x(age) * _FINER
        x = min(max(x, radius), self.width * _FINER - radius)
        y = min(max(y, radius), _PANEL_PX * _FINER - radius)
        spot = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(spot, fill=colour, outline=(255, 255, 255), width=_FINER)

    def _band(self, curve: Curve, z_score: float) -> list[tuple[float, float]]:
        upper = self._line(curve, z_score)
        return [*upper, *reversed(self._line(curve, -z_score))]

    def _line(self, curve: Curve, z_score: float) -> list[tuple[float, float]]:
        ages = [MIN_AGE, *_ages(), MAX_AGE]
        values = [curve.value_at(z_score, age) for age in ages]
        return [
            (self._x(age) * _FINER, self._y(value) * _FINER)
            for age, value in zip(ages, values, strict=True)
        ]

    def _label(
        self, draw: ImageDraw, x: int, places: Places | Missing, row: MeasuredDisc
    ) -> None:
        """Write the number of people of that age into the panel, or what is missing."""
        key = _PARAMETERS[self.number][0]
        spot = (x + self.width - 4, self.top + 3)
        if isinstance(places, Missing):
            missing = isinstance(reference_of(row)[key], Missing)
            text = "not measured" if missing else ""
        else:
            text = f"n {'/'.join(str(place.count) for place in _listed(places))}"
        draw.text(spot, text, fill=DIM, font=font(_SMALL_PX), anchor="ra")


def _listed(places: Places) -> Sequence[NormPlace]:
    return tuple(places.values())


def _ages() -> list[float]:
    first, last = BAND_AGES[0], BAND_AGES[-1]
    return [first + (last - first) * step / _STEPS for step in range(_STEPS + 1)]


def _curves(key: str, level: str, sex: str | None) -> list[tuple[str, Curve]]:
    """Return the curves that a panel shows: of the person's sex, or of both."""
    every = load_curves()
    if (key, level, BOTH_SEXES) in every:
        return [(BOTH_SEXES, every[key, level, BOTH_SEXES])]
    sexes = SEXES if sex is None else (sex,)
    return [(each, every[key, level, each]) for each in sexes]
