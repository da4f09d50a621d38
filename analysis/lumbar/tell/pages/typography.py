"""What every page is written with: type, colours, tables of text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

from analysis.contract.result import Provenance

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

Colour = tuple[int, int, int]
Box = tuple[int, int, int]
"""Left, top, width, in pixels."""

BRIGHT: Colour = (240, 240, 240)
DIM: Colour = (160, 165, 170)
WARNING: Colour = (255, 200, 90)
RULE: Colour = (90, 95, 100)

HEIGHT_PX = 1024
TOP_PX = 52
"""Height of the bar of the title, and of that of the caption."""
MARGIN_PX = 24
HEAD_PX, CELL_PX, NOTE_PX = 20, 26, 18
LINE_PX = 25
_TITLE_PX, _CAPTION_PX = 28, 20
_CAPTION = "AI result, not verified. Research use."
_HEAD_ROW_PX, _UNIT_PX = 52, 24
_CHIP_PX = 14
_INDENT_PX = 24
NOT_HAD = "-"


@lru_cache(maxsize=8)
def font(size: int) -> FreeTypeFont | ImageFont:
    """Return Pillow's own type face, loaded once a size (px)."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def write(
    draw: ImageDraw,
    spot: tuple[float, float],
    text: str,
    size: int,
    colour: Colour,
    anchor: str = "la",
) -> None:
    """Write one line."""
    draw.text(spot, text, fill=colour, font=font(size), anchor=anchor)


def draw_title(
    draw: ImageDraw, provenance: Provenance, title: str, height: int = HEIGHT_PX
) -> None:
    """Write the title of a page above, and what made it below."""
    write(draw, (MARGIN_PX, 12), title, _TITLE_PX, BRIGHT)
    caption = f"{_CAPTION}  {provenance.name} {provenance.version}"
    write(draw, (MARGIN_PX, height - TOP_PX + 16), caption, _CAPTION_PX, BRIGHT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    head, unit
        What stands above it.
    share
        Of the width of the table.
    """

    head: str
    unit: str = ""
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table: a level in its colour, then a cell a column.

    Parameters
    ----------
    label, colour
        Of the level.
    cells
        As many as there are columns.
    """

    label: str
    colour: Colour
    cells: tuple[str, ...]


def draw_table(
    draw: ImageDraw,
    box: Box,
    columns: Sequence[Column],
    rows: Sequence[Row],
    row_px: int,
) -> int:
    """Draw a table; return where it ends.

    Parameters
    ----------
    columns
        After that of the level; their shares and `Level`'s own 1 fill the width.
    row_px
        Height of a row.
    """
    left, top, width = box
    step = width / (1 + sum(column.share for column in columns))
    rights, right = [], left + step
    for column in columns:
        right += step * column.share
        rights.append(right)
    write(draw, (left, top), "Level", HEAD_PX, BRIGHT)
    for column, right in zip(columns, rights, strict=True):
        write(draw, (right, top), column.head, HEAD_PX, BRIGHT, "ra")
        write(draw, (right, top + _UNIT_PX), column.unit, NOTE_PX, DIM, "ra")
    top += _HEAD_ROW_PX
    for row in rows:
        draw.line((left, top, left + width, top), fill=RULE)
        middle = top + row_px / 2
        draw_level(draw, (left, middle), row.label, row.colour)
        for cell, right in zip(row.cells, rights, strict=True):
            write(draw, (right, middle), cell, CELL_PX, BRIGHT, "rm")
        top += row_px
    draw.line((left, top, left + width, top), fill=RULE)
    return top


def draw_level(
    draw: ImageDraw, spot: tuple[float, float], label: str, colour: Colour
) -> None:
    """Write a level with a chip of its colour before it; `spot` is its left middle."""
    left, middle = spot
    half = _CHIP_PX / 2
    draw.rectangle((left, middle - half, left + _CHIP_PX, middle + half), fill=colour)
    write(draw, (left + _INDENT_PX, middle), label, CELL_PX, BRIGHT, "lm")


def draw_lines(draw: ImageDraw, box: Box, notes: Sequence[tuple[str, Colour]]) -> int:
    """Write notes, broken to the width; return where they end."""
    left, top, width = box
    for text, colour in notes:
        for line in broken(text, width):
            write(draw, (left, top), line, NOTE_PX, colour)
            top += LINE_PX
    return top


def broken(text: str, width: int) -> list[str]:
    """Return the lines of a note on a width (px)."""
    face = font(NOTE_PX)
    words, lines = text.split(), list[str]()
    while words:
        # To ask for the length of a line takes as long as to write it.
        fitting = bisect_right(
            range(2, len(words) + 1),
            width,
            key=lambda count: ceil(face.getlength(" ".join(words[:count]))),
        )
        lines.append(" ".join(words[: fitting + 1]))
        del words[: fitting + 1]
    return lines or [""]
