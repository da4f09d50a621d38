"""The second page: the other values, and where each disc stands among its norms.

Every quantity stands here or on the first page, and on one of them alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.contract.measurement import NormPlace
from analysis.lumbar.anatomy.structures import VERTEBRAE
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
    Pen,
    Row,
    Spot,
    broken_notes,
    draw_caption,
    draw_level,
    draw_lines,
    draw_table,
    draw_title,
    new_page,
)
from analysis.lumbar.tell.words import Words

if TYPE_CHECKING:
    from PIL.Image import Image

NORMS_TITLE = "Norms"
"""Of the page, by which a follow-up finds it."""
_ROW_PX, _NORM_ROW_PX = 40, 46
_SHOWN = tuple(
    (quantity, shown)
    for quantity in OF_LEVELS
    if (shown := quantity.shown) is not None and not shown.is_first
)
_BAND: Colour = (40, 52, 66)
_INNER_BAND: Colour = (62, 82, 104)
_LINE: Colour = (150, 175, 200)
_OUTER, _INNER = (5.0, 95.0), (25.0, 75.0)
"""Percentiles between which the bands lie."""
_BAND_HALF_PX, _DOT_PX = 9, 6
_RULER_SHARE = 0.62
"""Of the width of a column; the percentile stands beside it."""
_GAP_PX = 26
_MOST_PX = 3 * HEIGHT_PX
"""Of the height: what is written is short of it in every language."""


def draw_second_page(sheet: Sheet) -> Image:
    """Draw the values that the first page has no room for, and the norms."""
    scale, words = sheet.scale, sheet.words
    page = new_page(HEIGHT_PX, _MOST_PX, scale)
    pen = Pen(page, words, scale)
    width = HEIGHT_PX - 2 * MARGIN_PX
    heads = [words.shown(quantity, shown) for quantity, shown in _SHOWN]
    columns = [Column(head=shown.head, unit=shown.unit) for shown in heads]
    rows = [
        Row(
            label=row.level,
            colour=row.disc.colour,
            cells=tuple(
                _with_uncertainty(row, quantity.key, shown, words)
                for quantity, shown in _SHOWN
            ),
        )
        for row in sheet.rows.discs
    ]
    draw_title(pen, words.page("second_title"), HEIGHT_PX)
    top = draw_table(pen, (MARGIN_PX, TOP_PX, width), columns, rows, _ROW_PX)
    texts = (words.page("about_uncertainty"), *_of_bodies_and_spine(sheet))
    top = _draw_notes(pen, (MARGIN_PX, top + LINE_PX // 2, width), texts)
    end = _draw_norms(pen, (MARGIN_PX, top + LINE_PX, width), sheet)
    height = end + TOP_PX
    draw_caption(pen, sheet.provenance, (HEIGHT_PX, height))
    return page.crop((0, 0, page.width, height * scale))


def _draw_notes(pen: Pen, box: Box, texts: Sequence[str]) -> int:
    left, top, width = box
    notes = [(text, DIM) for text in texts]
    return draw_lines(pen, (left, top), broken_notes(pen, notes, width))


def _with_uncertainty(row: MeasuredDisc, key: str, shown: Shown, words: Words) -> str:
    value, known = written(row.values[key], shown, words), row.uncertainty.get(key)
    if known is None:
        return value
    # One that would be rounded to 0 keeps a decimal more.
    decimals = shown.decimals + (round(known, shown.decimals) == 0)
    return f"{value} \u00b1 {known:.{decimals}f}"


def _of_bodies_and_spine(sheet: Sheet) -> list[str]:
    """Return a line a quantity of the bodies, and one of the whole spine."""
    words = sheet.words
    found = []
    for quantity in OF_BODIES:
        if quantity.shown is None:
            continue
        shown = words.shown(quantity, quantity.shown)
        values = words.page("list").join(
            f"{body.vertebra.label} {written(body.values[quantity.key], shown, words)}"
            for body in reversed(sheet.rows.bodies)
            if body.vertebra is not VERTEBRAE[0]  # S1 has none of them
        )
        found.append(
            words.page("of_bodies", head=shown.head, unit=shown.unit, values=values)
        )
    of_spine = [
        words.page(
            "of_spine",
            head=shown.head,
            value=written(sheet.rows.spine.values[one.key], shown, words),
            unit=shown.unit,
        )
        for one in OF_SPINE
        if one.shown is not None
        for shown in (words.shown(one, one.shown),)
    ]
    return [*found, *([words.page("list").join(of_spine)] if of_spine else [])]


def _draw_norms(pen: Pen, box: Box, sheet: Sheet) -> int:
    """Draw the place of each disc, or why there is none; return where that ends."""
    left, top, width = box
    person, words = sheet.assessment.person, sheet.words
    pen.write_within((left, top), _who(person, words), (HEAD_PX, BRIGHT, "la"), width)
    top += 2 * LINE_PX
    if isinstance(person, Missing):
        return _draw_notes(pen, (left, top, width), [words.reason(person)])
    step = width / (1 + 2 * len(PARAMETERS)) * 2
    first = left + step / 2
    for place, head in enumerate(("DHI", "HDR", words.page("delta_si"))):
        pen.write((first + place * step, top), head, HEAD_PX, BRIGHT)
    top += LINE_PX
    for row in sheet.rows.discs:
        pen.line((left, top, left + width, top), RULE)
        middle = top + _NORM_ROW_PX // 2
        draw_level(pen, (left, middle), row.level, row.disc.colour)
        for place, parameter in enumerate(PARAMETERS):
            places = sheet.assessment.places[row.level][parameter]
            spot = (first + place * step, middle)
            _draw_ruler(pen, spot, step - _GAP_PX, places, row.disc.colour)
        top += _NORM_ROW_PX
    pen.line((left, top, left + width, top), RULE)
    texts = (words.page("about_bands"), words.page("about_norms"))
    return _draw_notes(pen, (left, top + LINE_PX // 2, width), texts)


def _who(person: NormAge | Missing, words: Words) -> str:
    if isinstance(person, Missing):
        return words.page("norms_none")
    sex = words.page(f"sex_{person.sex or 'unknown'}")
    return words.page("norms_of", sex=sex, years=math.floor(person.years))


def _draw_ruler(
    pen: Pen, spot: Spot, width: float, places: Places | Missing, colour: Colour
) -> None:
    """Draw percentiles 0 to 100 as a ruler, with a dot at each place of a disc."""
    left, middle = spot
    if isinstance(places, Missing):
        pen.write((left, middle), pen.words.page("not_had"), CELL_PX, DIM, "lm")
        return
    ruler = _RULER_SHARE * width
    top, bottom = middle - _BAND_HALF_PX, middle + _BAND_HALF_PX

    def across(percentile: float) -> float:
        return left + percentile / 100 * ruler

    for (low, high), shade in ((_OUTER, _BAND), (_INNER, _INNER_BAND)):
        pen.rectangle((across(low), top, across(high), bottom), shade)
    pen.line((across(50), top, across(50), bottom), _LINE)
    for one in places.values():
        pen.circle((across(one.percentile), middle), _DOT_PX, colour)
    style = (NOTE_PX, DIM, "rm")
    room = width - ruler - _DOT_PX
    pen.write_within((left + width, middle), _rank(places, pen.words), style, room)


def _rank(places: Places, words: Words) -> str:
    """Return the percentiles in words, and how many discs stand behind them."""
    shown = "/".join(_percent(place) for place in places.values())
    count = next(iter(places.values())).count
    return words.page("rank", percentiles=shown, count=count)


def _percent(place: NormPlace) -> str:
    if place.percentile < 1:
        return "<1"
    over = place.percentile > 99  # noqa: PLR2004 - per cent
    return ">99" if over else f"{place.percentile:.0f}"
