"""Text on a page of ours: one type face for Latin, another for all else."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import ImageDraw, ImageFont

from analysis.contract.line_breaks import pieces_of
from analysis.contract.typeface import FACE, drawable, is_latin

if TYPE_CHECKING:
    from PIL.Image import Image

_WHITE = (235, 235, 235)
_LINE_SPACING = 1.5
_CUT = "..."
_LEAST_SHARE = 0.6
"""To which a text is made smaller that has no room; then it is cut."""

_Face = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_one_line(
    page: Image,
    spot: tuple[int, int],
    text: str,
    points: int,
    room: int,
    anchor: str = "lm",
) -> None:
    """Write one line, smaller or cut where it is wider than its room."""
    text = drawable(text)
    width = _face(points, is_wide=not is_latin(text)).getlength(text)
    if width > room:
        points = max(int(points * max(room / width, _LEAST_SHARE)), 1)
    face = _face(points, is_wide=not is_latin(text))
    if face.getlength(text) > room:
        while text and face.getlength(text + _CUT) > room:
            text = text[:-1]
        text += _CUT
    ImageDraw.Draw(page).text(spot, text, fill=_WHITE, font=face, anchor=anchor)


def draw_lines(
    page: Image, spot: tuple[int, int], text: str, points: int, room: int
) -> int:
    """Write a text in lines that have room; return where it ends."""
    left, top = spot
    face = _face(points, is_wide=not is_latin(text))
    pen, line = ImageDraw.Draw(page), ""
    for piece in [*pieces_of(drawable(text)), None]:
        if piece is not None and face.getlength((line + piece).rstrip()) <= room:
            line += piece
            continue
        if line:
            pen.text((left, top), line.rstrip(), fill=_WHITE, font=face)
            top += int(points * _LINE_SPACING)
        line = piece or ""
    return top


@lru_cache(maxsize=16)
def _face(points: int, *, is_wide: bool) -> _Face:
    if not is_wide:
        return ImageFont.load_default(points)
    return ImageFont.truetype(FACE, points, layout_engine=ImageFont.Layout.BASIC)
