"""One page for the reader: what has changed since an earlier examination."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.contract.measurement import Change
from analysis.contract.result import Page, Provenance
from analysis.lumbar.judge.grade.model import ROMAN
from analysis.lumbar.measure.quantities import OF_LEVELS
from analysis.lumbar.tell.pages.summary_table import (
    BRIGHT,
    DIM,
    RULE,
    WARNING,
    Colour,
    draw_lines,
    font,
    write,
)
from analysis.lumbar.tell.pages.title import HEIGHT_PX, MARGIN_PX, TOP_PX, draw_frame

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

    from analysis.lumbar.tell.comparison import Comparison, LevelChange

_MORE_DECIMALS = 1
"""Beyond those of the value: a change may be smaller than what a value is shown to."""
_HEAD_PX, _CELL_PX, _SMALL_PX = 20, 28, 20
_ROW_PX, _HEAD_ROW_PX, _LINE_PX = 76, 58, 26
_CHIP_PX = 14
_ENDS = (0.0, 0.29, 0.47, 0.65, 0.83, 1.0)
"""Shares of the width at which the columns end, from that of the height on."""
_COLUMNS = tuple(
    (quantity.key, quantity.shown, quantity.change.limit)
    for quantity in OF_LEVELS
    if quantity.shown and quantity.change and quantity.change.told_as
)
_CHANGED: Colour = (255, 150, 90)
_ARROW_PX = 9
_NOTE = (
    "Large: change; below: the earlier value to the value now. With an arrow: at least "
    "the minimal detectable change, which stands in the last line; less may be chance. "
    "It was found by repeating the measurement on altered pictures, not by examining "
    "people twice, so it is a lower bound. For a grade none is known."
)


def draw_follow_up(comparison: Comparison, provenance: Provenance) -> Page:
    """Draw changes, the least that can be detected, and what stands against both."""
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (HEIGHT_PX, HEIGHT_PX), (0, 0, 0))
    draw = ImageDraw.Draw(page)
    days = "1 day" if comparison.days == 1 else f"{comparison.days} days"
    draw_frame(draw, provenance, f"Lumbar discs, change in {days}")
    width = HEIGHT_PX - 2 * MARGIN_PX
    top = _table(draw, comparison, width) + _LINE_PX
    notes = [(notice.text, WARNING) for notice in comparison.warnings]
    top = draw_lines(draw, (MARGIN_PX, top, width), notes)
    top += _LINE_PX if notes else 0
    draw_lines(draw, (MARGIN_PX, top, width), [(_NOTE, DIM)])
    return Page(title="Follow-up", pixels=np.asarray(page))


def _table(draw: ImageDraw, comparison: Comparison, width: int) -> int:
    ends = [MARGIN_PX + round(share * width) for share in _ENDS]
    top = TOP_PX
    write(draw, (MARGIN_PX, top), "Level", _HEAD_PX, BRIGHT)
    heads = [(shown.head, shown.unit) for _, shown, _ in _COLUMNS]
    heads.append(("Pfirrmann", "grade"))
    for (name, unit), end in zip(heads, ends[1:], strict=True):
        write(draw, (end, top), name, _HEAD_PX, BRIGHT, "ra")
        write(draw, (end, top + 26), unit, _HEAD_PX, DIM, "ra")
    top += _HEAD_ROW_PX
    for level in comparison.levels:
        draw.line((MARGIN_PX, top, MARGIN_PX + width, top), fill=RULE)
        _row(draw, level, ends, top)
        top += _ROW_PX
    draw.line((MARGIN_PX, top, MARGIN_PX + width, top), fill=RULE)
    middle = top + _ROW_PX / 3
    write(draw, (MARGIN_PX, middle), "Detectable", _SMALL_PX, BRIGHT, "lm")
    for (_, shown, limit), end in zip(_COLUMNS, ends[1:-1], strict=True):
        text = f"{limit:.{shown.decimals + _MORE_DECIMALS}f}"
        write(draw, (end, middle), text, _SMALL_PX, BRIGHT, "rm")
    return top + 2 * _ROW_PX // 3


def _row(draw: ImageDraw, level: LevelChange, ends: list[int], top: int) -> None:
    middle = top + _ROW_PX / 2
    chip = (MARGIN_PX, middle - _CHIP_PX / 2, MARGIN_PX + _CHIP_PX, middle)
    draw.rectangle((*chip[:3], chip[3] + _CHIP_PX / 2), fill=level.disc.colour)
    write(draw, (MARGIN_PX + 24, middle), level.level, _CELL_PX, BRIGHT, "lm")
    for (key, shown, _), end in zip(_COLUMNS, ends[1:-1], strict=True):
        decimals = shown.decimals + _MORE_DECIMALS
        _cell(draw, level.changes.get(key), decimals, (end, top))
    earlier, now = (
        "-" if grade is None else ROMAN[grade - 1] for grade in level.grades
    )
    text = now if earlier == now else f"{earlier} to {now}"
    write(draw, (ends[-1], middle), text, _CELL_PX, BRIGHT, "rm")


def _cell(
    draw: ImageDraw, change: Change | None, decimals: int, spot: tuple[int, int]
) -> None:
    right, top = spot
    if change is None:
        write(draw, (right, top + _ROW_PX / 2), "-", _CELL_PX, DIM, "rm")
        return
    text = f"{change.difference:+.{decimals}f}"
    colour = _CHANGED if change.is_detectable else DIM
    write(draw, (right, top + 26), text, _CELL_PX, colour, "rm")
    if change.is_detectable:
        left = right - font(_CELL_PX).getlength(text) - 3 * _ARROW_PX
        way = _ARROW_PX if change.difference < 0 else -_ARROW_PX
        middle = top + 26
        tip = (left + _ARROW_PX, middle + way)
        base = ((left, middle - way), (left + 2 * _ARROW_PX, middle - way))
        draw.polygon((tip, *base), fill=_CHANGED)
    values = f"{change.earlier:.{decimals}f} to {change.now:.{decimals}f}"
    write(draw, (right, top + 56), values, _SMALL_PX, BRIGHT, "rm")
