"""The second page: the other values, and where each disc stands among its norms.

Every quantity stands here or on the first page, and on one of them alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.contract.measurement import NormPlace
from analysis.lumbar.judge.norms.curves import PARAMETERS
from analysis.lumbar.judge.norms.place import NormAge, Places
from analysis.lumbar.measure.measurements import MeasuredDisc
from analysis.lumbar.measure.quantities import OF_BODIES, OF_LEVELS, OF_SPINE
from analysis.lumbar.measure.quantity import Shown
from analysis.lumbar.number_or_reason import Missing
from analysis.lumbar.tell.pages.page_content import Sheet, written
from analysis.lumbar.tell.pages.typography import (
    BRIGHT,
    CELL_PX,
    DIM,
    HEAD_PX,
    HEIGHT_PX,
    LINE_PX,
    MARGIN_PX,
    NOTE_PX,
    RULE,
    TOP_PX,
    Box,
    Colour,
    Column,
    Row,
    draw_level,
    draw_lines,
    draw_table,
    draw_title,
    write,
)

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

NORMS_TITLE = "Norms"
"""Of the page, by which a follow-up finds it."""
_ROW_PX, _NORM_ROW_PX = 40, 46
_SHOWN = tuple(
    (quantity.key, shown)
    for quantity in OF_LEVELS
    if (shown := quantity.shown) is not None and not shown.is_first
)
_HEADS = dict(zip(PARAMETERS, ("DHI", "HDR", "delta-SI"), strict=True))
_BAND: Colour = (40, 52, 66)
_INNER_BAND: Colour = (62, 82, 104)
_LINE: Colour = (150, 175, 200)
_OUTER, _INNER = (5.0, 95.0), (25.0, 75.0)
"""Percentiles between which the bands lie."""
_BAND_HALF_PX, _DOT_PX = 9, 6
_RULER_SHARE = 0.62
"""Of the width of a column; the percentile stands beside it."""
_GAP_PX = 26
_ABOUT_UNCERTAINTY = (
    "\u00b1: typical difference from the outlines of one reader (SPIDER). Another "
    "reader may set the edges of all discs otherwise, by 1\u00a0mm in height."
)
_NOTES = (
    "Dark band: 5th to 95th percentile, lighter: 25th to 75th, line: median of people "
    "of the same level, sex and age; P: percentile, n: discs in that age band.",
    "Percentiles are of the values by the definitions of Zheng 2022, to which these "
    "norms belong (reference in report.json), not of those above. Patients of four "
    "hospitals, 2-D spin echo; collapsed discs were left out, so heights seem to rise "
    "with age. Other scanners may read low against them: a low percentile alone is no "
    "finding.",
)


def draw_second_page(sheet: Sheet) -> Image:
    """Draw the values that the first page has no room for, and the norms."""
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (HEIGHT_PX, HEIGHT_PX), (0, 0, 0))
    draw = ImageDraw.Draw(page)
    width = HEIGHT_PX - 2 * MARGIN_PX
    columns = [Column(head=shown.head, unit=shown.unit) for _, shown in _SHOWN]
    rows = [
        Row(
            label=row.level,
            colour=row.disc.colour,
            cells=tuple(_with_uncertainty(row, key, shown) for key, shown in _SHOWN),
        )
        for row in sheet.rows.discs
    ]
    top = draw_table(draw, (MARGIN_PX, TOP_PX, width), columns, rows, _ROW_PX)
    texts = (_ABOUT_UNCERTAINTY, *_of_bodies_and_spine(sheet))
    lines = [(text, DIM) for text in texts]
    top = draw_lines(draw, (MARGIN_PX, top + LINE_PX // 2, width), lines)
    end = _draw_norms(draw, (MARGIN_PX, top + LINE_PX, width), sheet)
    page = page.crop((0, 0, HEIGHT_PX, min(end + TOP_PX, HEIGHT_PX)))
    title = "Lumbar discs, more values and norms"
    draw_title(ImageDraw.Draw(page), sheet.provenance, title, page.height)
    return page


def _with_uncertainty(row: MeasuredDisc, key: str, shown: Shown) -> str:
    value, known = written(row.values[key], shown), row.uncertainty.get(key)
    if known is None:
        return value
    # One that would be rounded to 0 keeps a decimal more.
    decimals = shown.decimals + (round(known, shown.decimals) == 0)
    return f"{value} \u00b1 {known:.{decimals}f}"


def _of_bodies_and_spine(sheet: Sheet) -> list[str]:
    """Return a line a quantity of the bodies, and one of the whole spine."""
    found = []
    for body_quantity in OF_BODIES:
        if body_quantity.shown is None:
            continue
        shown = body_quantity.shown
        values = [
            f"{body.vertebra.label} {written(body.values[body_quantity.key], shown)}"
            for body in reversed(sheet.rows.bodies)
        ]
        found.append(f"{shown.head} ({shown.unit}): {', '.join(values)}")
    of_spine = [
        f"{quantity.shown.head} "
        f"{written(sheet.rows.spine.values[quantity.key], quantity.shown)} "
        f"{quantity.shown.unit}"
        for quantity in OF_SPINE
        if quantity.shown is not None
    ]
    return [*found, *([", ".join(of_spine)] if of_spine else [])]


def _draw_norms(draw: ImageDraw, box: Box, sheet: Sheet) -> int:
    """Draw the place of each disc, or why there is none; return where that ends."""
    left, top, width = box
    person = sheet.assessment.person
    write(draw, (left, top), _who(person), HEAD_PX, BRIGHT)
    top += 2 * LINE_PX
    if isinstance(person, Missing):
        return draw_lines(draw, (left, top, width), [(person.text, DIM)])
    step = width / (1 + 2 * len(_HEADS)) * 2
    first = left + step / 2
    for place, head in enumerate(_HEADS.values()):
        write(draw, (first + place * step, top), head, HEAD_PX, BRIGHT)
    top += LINE_PX
    for row in sheet.rows.discs:
        draw.line((left, top, left + width, top), fill=RULE)
        middle = top + _NORM_ROW_PX // 2
        draw_level(draw, (left, middle), row.level, row.disc.colour)
        for place, parameter in enumerate(_HEADS):
            places = sheet.assessment.places[row.level][parameter]
            spot = (first + place * step, middle)
            _draw_ruler(draw, spot, step - _GAP_PX, places, row.disc.colour)
        top += _NORM_ROW_PX
    draw.line((left, top, left + width, top), fill=RULE)
    notes = [(text, DIM) for text in _NOTES]
    return draw_lines(draw, (left, top + LINE_PX // 2, width), notes)


def _who(person: NormAge | Missing) -> str:
    if isinstance(person, Missing):
        return "Norms: none"
    sex = {"f": "woman", "m": "man", None: "sex not stated: for women and for men"}
    return f"Norms by age ({sex[person.sex]}, {person.years:.0f} years)"


def _draw_ruler(
    draw: ImageDraw,
    spot: tuple[float, float],
    width: float,
    places: Places | Missing,
    colour: Colour,
) -> None:
    """Draw percentiles 0 to 100 as a ruler, with a dot at each place of a disc."""
    left, middle = spot
    if isinstance(places, Missing):
        write(draw, (left, middle), "-", CELL_PX, DIM, "lm")
        return
    ruler = _RULER_SHARE * width
    top, bottom = middle - _BAND_HALF_PX, middle + _BAND_HALF_PX

    def across(percentile: float) -> float:
        return left + percentile / 100 * ruler

    for (low, high), shade in ((_OUTER, _BAND), (_INNER, _INNER_BAND)):
        draw.rectangle((across(low), top, across(high), bottom), fill=shade)
    draw.line((across(50), top, across(50), bottom), _LINE)
    for one in places.values():
        draw.circle((across(one.percentile), middle), _DOT_PX, fill=colour)
    write(draw, (left + width, middle), _rank(places), NOTE_PX, DIM, "rm")


def _rank(places: Places) -> str:
    """Return the percentiles in words, and how many discs stand behind them."""
    shown = "/".join(_percent(place) for place in places.values())
    return f"P{shown} n {next(iter(places.values())).count}"


def _percent(place: NormPlace) -> str:
    if place.percentile < 1:
        return "<1"
    over = place.percentile > 99  # noqa: PLR2004 - per cent
    return ">99" if over else f"{place.percentile:.0f}"
