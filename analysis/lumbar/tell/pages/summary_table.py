"""The table of the parameters, drawn as text."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from analysis.contract.result import Notice
from analysis.lumbar.judge.grade.model import ROMAN
from analysis.lumbar.judge.grades_and_norms import Assessment
from analysis.lumbar.measure.measurements import MeasuredDisc, SpineMeasurements
from analysis.lumbar.value import Missing, Value

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

_HEAD_PX, _CELL_PX, _NOTE_PX = 20, 28, 18
_ROW_PX, _LINE_PX = 54, 26
_CHIP_PX = 14
_NOT_HAD = "-"

_DEFINITIONS = (
    "Height: mean over the central 80 % of the disc, mid-sagittal.",
    "Depth: front to back, along the disc.",
    "DHI: height / mean height of the two bodies (L5/S1: of L5).",
    "HDR: height / depth of the disc.",
    "delta-SI: distance of the two peaks of the disc's grey values,",
    "in 255ths of the CSF signal.",
    "Levels are counted upwards from S1.",
)


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


def _shown(quantity: Value, decimals: int) -> str:
    if isinstance(quantity, Missing):
        return _NOT_HAD
    return f"{quantity:.{decimals}f}"


_Column = tuple[str, str]
_SUMMARY: tuple[_Column, ...] = (
    ("Level", ""),
    ("Height", "mm"),
    ("DHI", "ratio"),
    ("HDR", "ratio"),
    ("delta-SI", "1/255 CSF"),
    ("Pfirrmann", "grade"),
)


def _cells(row: MeasuredDisc, assessment: Assessment) -> tuple[str, ...]:
    graded = assessment.grades[row.level]
    grade = _NOT_HAD if isinstance(graded, Missing) else ROMAN[graded.grade - 1]
    return (
        row.level,
        _shown(row.values["disc_height_mm"], 1),
        _shown(row.values["disc_height_index"], 2),
        _shown(row.values["height_diameter_ratio"], 2),
        _shown(row.values["delta_si"], 0),
        grade,
    )


def draw_summary(
    draw: ImageDraw,
    box: Box,
    rows: SpineMeasurements,
    assessment: Assessment,
    warnings: tuple[Notice, ...],
) -> None:
    """Draw the five levels, the reasons for what is missing, and the warnings."""
    cells = [(row, _cells(row, assessment)) for row in rows.discs]
    top = _grid(draw, box, _SUMMARY, cells)
    notes = [(f"{level}: {text}", DIM) for level, text in _reasons(rows, assessment)]
    notes += [(warning.text, WARNING) for warning in warnings]
    top = draw_lines(draw, (box[0], top + _LINE_PX // 2, box[2]), notes)
    definitions = [(text, DIM) for text in _DEFINITIONS]
    draw_lines(draw, (box[0], top + _LINE_PX // 2, box[2]), definitions)


def _reasons(rows: SpineMeasurements, assessment: Assessment) -> list[tuple[str, str]]:
    """Return each reason once, with the levels and quantities that it concerns."""
    found: dict[str, list[str]] = {}
    for row in rows.discs:
        asked = (
            ("height", row.values["disc_height_mm"]),
            ("DHI", row.values["disc_height_index"]),
            ("HDR", row.values["height_diameter_ratio"]),
            ("delta-SI", row.values["delta_si"]),
            ("grade", assessment.grades[row.level]),
        )
        named: dict[str, list[str]] = {}
        for name, quantity in asked:
            if isinstance(quantity, Missing):
                named.setdefault(quantity.text, []).append(name)
        for text, names in named.items():
            what = "all" if len(names) == len(asked) else ", ".join(names)
            found.setdefault(f"{what}: {text}", []).append(row.level)
    everywhere = len(rows.discs)
    return [
        ("All levels" if len(levels) == everywhere else ", ".join(levels), text)
        for text, levels in found.items()
    ]


def _grid(
    draw: ImageDraw,
    box: Box,
    columns: tuple[_Column, ...],
    rows: list[tuple[MeasuredDisc, tuple[str, ...]]],
) -> int:
    """Draw heads and cells; return where they end."""
    left, top, width = box
    step = width / len(columns)
    rights = [left + step * (number + 1) for number in range(len(columns))]
    for (head, unit), right in zip(columns[1:], rights[1:], strict=True):
        write(draw, (right, top), head, _HEAD_PX, BRIGHT, "ra")
        write(draw, (right, top + 24), unit, _NOTE_PX, DIM, "ra")
    write(draw, (left, top), columns[0][0], _HEAD_PX, BRIGHT)
    top += 54
    for row, cells in rows:
        draw.line((left, top, left + width, top), fill=RULE)
        middle = top + _ROW_PX / 2
        chip = (left, middle - _CHIP_PX / 2, left + _CHIP_PX, middle + _CHIP_PX / 2)
        draw.rectangle(chip, fill=row.disc.colour)
        write(draw, (left + 24, middle), cells[0], _CELL_PX, BRIGHT, "lm")
        for cell, right in zip(cells[1:], rights[1:], strict=True):
            write(draw, (right, middle), cell, _CELL_PX, BRIGHT, "rm")
        top += _ROW_PX
    draw.line((left, top, left + width, top), fill=RULE)
    return top


def draw_lines(draw: ImageDraw, box: Box, notes: list[tuple[str, Colour]]) -> int:
    """Write notes, broken to the width; return where they end."""
    left, top, width = box
    for text, colour in notes:
        for line in _broken(text, width):
            write(draw, (left, top), line, _NOTE_PX, colour)
            top += _LINE_PX
    return top


def _broken(text: str, width: int) -> list[str]:
    face = font(_NOTE_PX)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and face.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


_FULL: tuple[_Column, ...] = (
    ("Level", ""),
    ("Height", "mm"),
    ("Depth", "mm"),
    ("DHI", "ratio"),
    ("HDR", "ratio"),
    ("delta-SI", "1/255 CSF"),
    ("Pfirrmann", "grade"),
)


def draw_table(
    draw: ImageDraw,
    box: Box,
    rows: SpineMeasurements,
    assessment: Assessment,
    warnings: tuple[Notice, ...],
) -> None:
    """Draw all quantities of the discs, the heights of the bodies, and the notes."""
    cells = [
        (
            row,
            (
                *_cells(row, assessment)[:2],
                _shown(row.values["disc_length_mm"], 1),
                *_cells(row, assessment)[2:],
            ),
        )
        for row in rows.discs
    ]
    top = _grid(draw, box, _FULL, cells) + _LINE_PX // 2
    heights = [
        f"{body.vertebra.label} {_shown(body.values['body_height_mm'], 1)}"
        for body in reversed(rows.bodies)
    ]
    bodies = f"Height of the bodies (mm): {', '.join(heights)}"
    notes = [(bodies, BRIGHT)]
    notes += [(f"{level}: {text}", DIM) for level, text in _reasons(rows, assessment)]
    notes += [(warning.text, WARNING) for warning in warnings]
    top = draw_lines(draw, (box[0], top, box[2]), notes) + _LINE_PX // 2
    draw_lines(draw, (box[0], top, box[2]), [(text, DIM) for text in _DEFINITIONS])
