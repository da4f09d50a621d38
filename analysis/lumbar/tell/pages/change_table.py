"""What has changed since an earlier examination, on the right of the second page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.contract.measurement import Change
from analysis.contract.result import Page
from analysis.lumbar.judge.grade.model import ROMAN
from analysis.lumbar.measure.quantities import OF_LEVELS
from analysis.lumbar.measure.repeat_examinations import LENGTH_SHARE, RATIO_SHARE
from analysis.lumbar.tell.pages.typography import (
    BRIGHT,
    CELL_PX,
    DIM,
    HEAD_PX,
    HEAD_ROW_PX,
    HEIGHT_PX,
    LINE_PX,
    MARGIN_PX,
    NOTE_PX,
    RULE,
    TITLE_PX,
    TOP_PX,
    UNIT_PX,
    WARNING,
    Colour,
    Pen,
    broken_notes,
    draw_level,
    draw_lines,
    new_page,
)
from analysis.lumbar.tell.words import Words

if TYPE_CHECKING:
    from analysis.lumbar.tell.compare_examinations import Comparison, LevelChange

_MORE_DECIMALS = 1
"""Beyond those of the value: a change may be smaller than what a value is shown to."""
_WIDTH_PX = 700
_ROW_PX = 76
_GAP_PX = 10
_MOST_PX = 3 * HEIGHT_PX
_COLUMNS = tuple(
    (quantity, quantity.shown)
    for quantity in OF_LEVELS
    if quantity.shown and quantity.change and quantity.change.told_as
)
_CHANGED: Colour = (255, 150, 90)
_ARROW_PX = 9
_TITLE_STYLE = (TITLE_PX, BRIGHT, "la")


def with_change(page: Page, comparison: Comparison, words: Words) -> Page:
    """Return a page, of one or several times its usual width, with the changes."""
    from PIL import Image

    scale = max(round(page.pixels.shape[1] / HEIGHT_PX), 1)
    left = page.pixels.shape[1] // scale
    wide = new_page(left + _WIDTH_PX, _MOST_PX, scale)
    wide.paste(Image.fromarray(page.pixels), (0, 0))
    pen = Pen(wide, words, scale)
    width = _WIDTH_PX - MARGIN_PX
    pen.write_within((left, 12), _title(comparison, words), _TITLE_STYLE, width)
    top = _table(pen, comparison, left, width) + LINE_PX
    notices = map(words.notice, comparison.warnings)
    notes = broken_notes(
        pen, [(words.page("notice", text=one.text), WARNING) for one in notices], width
    )
    top = draw_lines(pen, (left, top), notes)
    top += LINE_PX if notes else 0
    about = words.page(
        "about_change", length=f"{LENGTH_SHARE:.0%}", ratio=f"{RATIO_SHARE:.0%}"
    )
    end = draw_lines(pen, (left, top), broken_notes(pen, [(about, DIM)], width))
    used = max(page.pixels.shape[0], (end + MARGIN_PX) * scale)
    return Page(
        title=page.title, pixels=np.asarray(wide.crop((0, 0, wide.width, used)))
    )


def _title(comparison: Comparison, words: Words) -> str:
    if comparison.days == 1:
        return words.page("change_title_one")
    return words.page("change_title", days=comparison.days)


def _table(pen: Pen, comparison: Comparison, left: int, width: int) -> int:
    words = pen.words
    step = width / (len(_COLUMNS) + 2)
    ends = [round(left + step * (place + 2)) for place in range(len(_COLUMNS) + 1)]
    top, room = TOP_PX, step - _GAP_PX
    pen.write_within((left, top), words.page("level"), (HEAD_PX, BRIGHT, "la"), room)
    shown = [words.shown(quantity, shown) for quantity, shown in _COLUMNS]
    heads = [(one.head, one.unit) for one in shown]
    heads.append((words.page("pfirrmann"), words.page("grade")))
    for (name, unit), end in zip(heads, ends, strict=True):
        pen.write_within((end, top), name, (HEAD_PX, BRIGHT, "ra"), room)
        pen.write_within((end, top + UNIT_PX), unit, (NOTE_PX, DIM, "ra"), room)
    top += HEAD_ROW_PX
    for level in comparison.levels:
        pen.line((left, top, left + width, top), RULE)
        _row(pen, level, ends, (left, top))
        top += _ROW_PX
    pen.line((left, top, left + width, top), RULE)
    return top


def _row(
    pen: Pen, level: LevelChange, ends: list[int], corner: tuple[int, int]
) -> None:
    left, top = corner
    middle, words = top + _ROW_PX / 2, pen.words
    room = ends[1] - ends[0] - _GAP_PX
    draw_level(pen, (left, middle), level.level, level.disc.colour)
    for (quantity, shown), end in zip(_COLUMNS, ends[:-1], strict=True):
        change = level.changes.get(quantity.key)
        _cell(pen, change, shown.decimals, (end, top, room))
    earlier, now = (
        words.page("not_had") if grade is None else ROMAN[grade - 1]
        for grade in level.grades
    )
    text = now
    if earlier != now:
        text = words.page("change_values", earlier=earlier, now=now)
    pen.write_within((ends[-1], middle), text, (CELL_PX, BRIGHT, "rm"), room)


def _cell(
    pen: Pen, change: Change | None, decimals: int, box: tuple[int, int, float]
) -> None:
    """Write a change; `box` is its right, top and width."""
    right, top, room = box
    if change is None:
        middle = top + _ROW_PX / 2
        pen.write((right, middle), pen.words.page("not_had"), CELL_PX, DIM, "rm")
        return
    text = f"{change.difference:+.{decimals + _MORE_DECIMALS}f}"
    colour = _CHANGED if change.is_detectable else DIM
    pen.write((right, top + 26), text, CELL_PX, colour, "rm")
    if change.is_detectable:
        left = right - pen.width_of(text, CELL_PX) - 3 * _ARROW_PX
        way = _ARROW_PX if change.difference < 0 else -_ARROW_PX
        middle = top + 26
        tip = (left + _ARROW_PX, middle + way)
        base = ((left, middle - way), (left + 2 * _ARROW_PX, middle - way))
        pen.polygon((tip, *base), _CHANGED)
    values = pen.words.page(
        "change_values",
        earlier=f"{change.earlier:.{decimals}f}",
        now=f"{change.now:.{decimals}f}",
    )
    pen.write_within((right, top + 56), values, (NOTE_PX, BRIGHT, "rm"), room)
