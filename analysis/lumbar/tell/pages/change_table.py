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
    HEIGHT_PX,
    LINE_PX,
    MARGIN_PX,
    NOTE_PX,
    RULE,
    TOP_PX,
    WARNING,
    Colour,
    draw_level,
    draw_lines,
    font,
    write,
)

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

    from analysis.lumbar.tell.compare_examinations import Comparison, LevelChange

_MORE_DECIMALS = 1
"""Beyond those of the value: a change may be smaller than what a value is shown to."""
_WIDTH_PX = 700
_ROW_PX, _HEAD_ROW_PX, _LOWER_PX = 76, 52, 24
_COLUMNS = tuple(
    (quantity.key, quantity.shown)
    for quantity in OF_LEVELS
    if quantity.shown and quantity.change and quantity.change.told_as
)
_CHANGED: Colour = (255, 150, 90)
_ARROW_PX = 9
_NOTE = (
    "Large: change; below: the earlier value to the value now. With an arrow: more "
    "than could be chance. Without: no change that could be shown. The limit is "
    f"{LENGTH_SHARE:.0%} of a height and {RATIO_SHARE:.0%} of a ratio, from people who "
    "were examined twice (Eur Spine J 2025). What nobody is known to have measured "
    "twice, such as signal and angles, is not judged, and neither is a grade."
)


def with_change(page: Page, comparison: Comparison) -> Page:
    """Return a page with the changes to its right."""
    from PIL import Image, ImageDraw

    left = int(page.pixels.shape[1])
    wide = Image.new("RGB", (left + _WIDTH_PX, HEIGHT_PX), (0, 0, 0))
    wide.paste(Image.fromarray(page.pixels), (0, 0))
    draw = ImageDraw.Draw(wide)
    days = "1 day" if comparison.days == 1 else f"{comparison.days} days"
    write(draw, (left, 12), f"Change in {days}", 28, BRIGHT)
    width = _WIDTH_PX - MARGIN_PX
    top = _table(draw, comparison, left, width) + LINE_PX
    notes = [(notice.text, WARNING) for notice in comparison.warnings]
    top = draw_lines(draw, (left, top, width), notes)
    top += LINE_PX if notes else 0
    end = draw_lines(draw, (left, top, width), [(_NOTE, DIM)]) + MARGIN_PX
    used = min(max(int(page.pixels.shape[0]), end), HEIGHT_PX)
    return Page(
        title=page.title, pixels=np.asarray(wide.crop((0, 0, wide.width, used)))
    )


def _table(draw: ImageDraw, comparison: Comparison, left: int, width: int) -> int:
    step = width / (len(_COLUMNS) + 2)
    ends = [round(left + step * (place + 2)) for place in range(len(_COLUMNS) + 1)]
    top = TOP_PX
    write(draw, (left, top), "Level", HEAD_PX, BRIGHT)
    heads = [(shown.head, shown.unit) for _, shown in _COLUMNS]
    heads.append(("Pfirrmann", "grade"))
    for (name, unit), end in zip(heads, ends, strict=True):
        write(draw, (end, top), name, HEAD_PX, BRIGHT, "ra")
        write(draw, (end, top + _LOWER_PX), unit, NOTE_PX, DIM, "ra")
    top += _HEAD_ROW_PX
    for level in comparison.levels:
        draw.line((left, top, left + width, top), fill=RULE)
        _row(draw, level, ends, (left, top))
        top += _ROW_PX
    draw.line((left, top, left + width, top), fill=RULE)
    return top


def _row(
    draw: ImageDraw, level: LevelChange, ends: list[int], corner: tuple[int, int]
) -> None:
    left, top = corner
    middle = top + _ROW_PX / 2
    draw_level(draw, (left, middle), level.level, level.disc.colour)
    for (key, shown), end in zip(_COLUMNS, ends[:-1], strict=True):
        _cell(draw, level.changes.get(key), shown.decimals, (end, top))
    earlier, now = (
        "-" if grade is None else ROMAN[grade - 1] for grade in level.grades
    )
    text = now if earlier == now else f"{earlier} to {now}"
    write(draw, (ends[-1], middle), text, CELL_PX, BRIGHT, "rm")


def _cell(
    draw: ImageDraw, change: Change | None, decimals: int, spot: tuple[int, int]
) -> None:
    right, top = spot
    if change is None:
        write(draw, (right, top + _ROW_PX / 2), "-", CELL_PX, DIM, "rm")
        return
    text = f"{change.difference:+.{decimals + _MORE_DECIMALS}f}"
    colour = _CHANGED if change.is_detectable else DIM
    write(draw, (right, top + 26), text, CELL_PX, colour, "rm")
    if change.is_detectable:
        left = right - font(CELL_PX).getlength(text) - 3 * _ARROW_PX
        way = _ARROW_PX if change.difference < 0 else -_ARROW_PX
        middle = top + 26
        tip = (left + _ARROW_PX, middle + way)
        base = ((left, middle - way), (left + 2 * _ARROW_PX, middle - way))
        draw.polygon((tip, *base), fill=_CHANGED)
    values = f"{change.earlier:.{decimals}f} to {change.now:.{decimals}f}"
    write(draw, (right, top + 56), values, NOTE_PX, BRIGHT, "rm")
