"""What every page is written with: type, colours, tables of text.

All places and sizes are in pixels of a page of the usual size; a pen multiplies them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING

from analysis.contract.line_breaks import pieces_of
from analysis.contract.result import Provenance
from analysis.contract.typeface import FACE, drawable, is_latin
from analysis.lumbar.tell.words import ENGLISH, Words

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

Colour = tuple[int, int, int]
Spot = tuple[float, float]
Box = tuple[int, int, int]
"""Left, top, width."""

BRIGHT: Colour = (240, 240, 240)
DIM: Colour = (160, 165, 170)
WARNING: Colour = (255, 200, 90)
RULE: Colour = (90, 95, 100)
BLACK: Colour = (0, 0, 0)

HEIGHT_PX = 1024
TOP_PX = 52
"""Height of the bar of the title, and of that of the caption."""
MARGIN_PX = 24
HEAD_PX, CELL_PX, NOTE_PX = 20, 26, 18
LINE_PX = 25
TITLE_PX = 28
_CAPTION_PX = 20
HEAD_ROW_PX, UNIT_PX = 52, 24
_CHIP_PX = 14
_INDENT_PX = 24
_GAP_PX = 10
"""Between the texts of two columns."""
_RIM_PX = 2
_LEAST_SHARE = 0.6
"""To which a text is made smaller that has no room; what is still too long is cut."""
_CUT = "..."


@lru_cache(maxsize=32)
def _font(size: int, *, is_wide: bool) -> FreeTypeFont | ImageFont:
    """Return a type face, loaded once a size (px)."""
    from PIL import ImageFont

    if not is_wide:
        return ImageFont.load_default(size=size)
    # Without shaping, which not every build has: the same pixels everywhere.
    return ImageFont.truetype(FACE, size, layout_engine=ImageFont.Layout.BASIC)


class Pen:
    """Writes and draws on a page, in one language.

    Parameters
    ----------
    page
        Changed by everything that is drawn.
    words
        Of the language.
    scale
        Pixels of the page for each of a page of the usual size.
    """

    def __init__(self, page: Image, words: Words, scale: int = 1) -> None:
        from PIL import ImageDraw

        self.words = words
        self.scale = scale
        self._draw = ImageDraw.Draw(page)
        self._widths: dict[tuple[str, float], float] = {}

    def write(
        self,
        spot: Spot,
        text: str,
        size: float,
        colour: Colour,
        anchor: str = "la",
    ) -> None:
        """Write one line."""
        self._write(spot, drawable(text), size, colour, anchor)

    def write_within(
        self,
        spot: Spot,
        text: str,
        style: tuple[float, Colour, str],
        room: float,
    ) -> None:
        """Write one line, smaller where it is too long; then cut if it still is.

        Parameters
        ----------
        style
            Size, colour, anchor.
        room
            Its width at most.
        """
        size, colour, anchor = style
        text = drawable(text)
        size = self.fitting([(text, room)], size)
        self._write(spot, self._cut(text, size, room), size, colour, anchor)

    def write_on(self, spot: Spot, text: str, style: tuple[float, Colour, str]) -> None:
        """Write one line with a dark rim, which lifts it off a picture."""
        size, colour, anchor = style
        self._draw.text(
            self._at(spot),
            text,
            fill=colour,
            font=self._face(text, size),
            anchor=anchor,
            stroke_width=_RIM_PX * self.scale,
            stroke_fill=BLACK,
        )

    def width_of(self, text: str, size: float) -> float:
        """Return how wide a line is; most are asked for twice or more."""
        known = self._widths.get((text, size))
        if known is None:
            known = self._face(text, size).getlength(text) / self.scale
            self._widths[text, size] = known
        return known

    def fitting(self, texts: Sequence[tuple[str, float]], size: float) -> float:
        """Return the size, not above one, in which each text has its room."""
        shares = [
            room / width
            for text, room in texts
            if (width := self.width_of(drawable(text), size)) > room
        ]
        if not shares:
            return size
        # To whole pixels downwards, or what was to fit would be a little too wide.
        least = size * max(min(shares), _LEAST_SHARE)
        return max(floor(least * self.scale), 1) / self.scale

    def line(self, ends: Sequence[float], colour: Colour) -> None:
        """Draw a line from one point to another."""
        points = [end * self.scale for end in ends]
        self._draw.line(points, fill=colour, width=self.scale)

    def rectangle(self, sides: Sequence[float], colour: Colour) -> None:
        """Fill a rectangle: left, top, right, bottom."""
        self._draw.rectangle([side * self.scale for side in sides], fill=colour)

    def circle(self, spot: Spot, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self._draw.circle(self._at(spot), radius * self.scale, fill=colour)

    def polygon(self, points: Sequence[Spot], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([self._at(point) for point in points], fill=colour)

    def _write(
        self, spot: Spot, text: str, size: float, colour: Colour, anchor: str
    ) -> None:
        face = self._face(text, size)
        self._draw.text(self._at(spot), text, fill=colour, font=face, anchor=anchor)

    def _cut(self, text: str, size: float, room: float) -> str:
        if self.width_of(text, size) <= room:
            return text
        fitting = bisect_right(
            range(1, len(text) + 1),
            room,
            key=lambda count: self.width_of(text[:count] + _CUT, size),
        )
        return text[:fitting] + _CUT

    def _at(self, spot: Spot) -> Spot:
        return spot[0] * self.scale, spot[1] * self.scale

    def _face(self, text: str, size: float) -> FreeTypeFont | ImageFont:
        is_wide = self.words.language != ENGLISH or not is_latin(text)
        return _font(max(round(size * self.scale), 1), is_wide=is_wide)


def lighter(colour: Colour) -> Colour:
    """Return a colour in which small letters are read on black by everyone.

    Half of it is white: pure red and violet are dark to the colour-blind, and on a
    monitor without colours.
    """
    red, green, blue = ((255 + part) // 2 for part in colour)
    return red, green, blue


def new_page(width: float, height: float, scale: int = 1) -> Image:
    """Return a black page, its size in pixels of the usual size."""
    from PIL import Image

    return Image.new("RGB", (round(width * scale), round(height * scale)), BLACK)


def draw_title(pen: Pen, title: str, right: float) -> None:
    """Write the title of a page above, up to a place."""
    room = right - 2 * MARGIN_PX
    pen.write_within((MARGIN_PX, 12), title, (TITLE_PX, BRIGHT, "la"), room)


def draw_caption(
    pen: Pen, provenance: Provenance, size_px: tuple[float, float]
) -> None:
    """Write below a page, whose size is given, what it is and what made it."""
    width, height = size_px
    made_by = pen.words.page(
        "made_by", name=provenance.name, version=provenance.version
    )
    caption = f"{pen.words.page('caption')}  {made_by}"
    spot = (MARGIN_PX, height - TOP_PX + 16)
    room = width - 2 * MARGIN_PX
    pen.write_within(spot, caption, (_CAPTION_PX, BRIGHT, "la"), room)


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
    pen: Pen, box: Box, columns: Sequence[Column], rows: Sequence[Row], row_px: int
) -> int:
    """Draw a table; return where it ends.

    Parameters
    ----------
    columns
        After that of the level; their shares and the level's own 1 fill the width.
    row_px
        Height of a row.
    """
    left, top, width = box
    step = width / (1 + sum(column.share for column in columns))
    rights, right = [], left + step
    for column in columns:
        right += step * column.share
        rights.append(right)
    rooms = [step * column.share - _GAP_PX for column in columns]
    level = pen.words.page("level")
    pen.write_within((left, top), level, (HEAD_PX, BRIGHT, "la"), step - _GAP_PX)
    cells = [pair for row in rows for pair in zip(row.cells, rooms, strict=True)]
    size = pen.fitting(cells, CELL_PX)
    for column, right, room in zip(columns, rights, rooms, strict=True):
        pen.write_within((right, top), column.head, (HEAD_PX, BRIGHT, "ra"), room)
        under = (right, top + UNIT_PX)
        pen.write_within(under, column.unit, (NOTE_PX, DIM, "ra"), room)
    top += HEAD_ROW_PX
    for row in rows:
        pen.line((left, top, left + width, top), RULE)
        middle = top + row_px / 2
        draw_level(pen, (left, middle), row.label, row.colour)
        for cell, right, room in zip(row.cells, rights, rooms, strict=True):
            pen.write_within((right, middle), cell, (size, BRIGHT, "rm"), room)
        top += row_px
    pen.line((left, top, left + width, top), RULE)
    return top


def table_height_px(count: int, row_px: int) -> int:
    """Return how high a table of so many rows is."""
    return HEAD_ROW_PX + count * row_px


def draw_level(pen: Pen, spot: Spot, label: str, colour: Colour) -> None:
    """Write a level with a chip of its colour before it; `spot` is its left middle."""
    left, middle = spot
    half = _CHIP_PX / 2
    pen.rectangle((left, middle - half, left + _CHIP_PX, middle + half), colour)
    pen.write((left + _INDENT_PX, middle), label, CELL_PX, BRIGHT, "lm")


Notes = Sequence[tuple[str, Colour]]
"""Texts, each with its colour."""


def broken_notes(pen: Pen, notes: Notes, width: int) -> list[tuple[str, Colour]]:
    """Return notes as lines of a width."""
    return [
        (line, colour) for text, colour in notes for line in broken(pen, text, width)
    ]


def draw_lines(pen: Pen, spot: tuple[int, int], lines: Notes) -> int:
    """Write lines, one below the other; return where they end."""
    left, top = spot
    for line, colour in lines:
        pen.write((left, top), line, NOTE_PX, colour)
        top += LINE_PX
    return top


def broken(pen: Pen, text: str, width: int) -> list[str]:
    """Return the lines of a note on a width."""
    pieces, lines = pieces_of(drawable(text)), list[str]()
    while pieces:
        # To ask for the length of a line takes as long as to write it.
        fitting = bisect_right(
            range(2, len(pieces) + 1),
            width,
            key=lambda count: ceil(
                pen.width_of("".join(pieces[:count]).rstrip(), NOTE_PX)
            ),
        )
        lines.append("".join(pieces[: fitting + 1]).rstrip())
        del pieces[: fitting + 1]
    return lines or [""]
