"""The page that is read first: the picture with its outlines, and one table beside it.

Level, grade, and the quantities that are marked for it (`Shown.is_first`); below them
what is missing and why, and the warnings in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import (
    CANAL,
    DISCS,
    STRUCTURES,
    VERTEBRAE,
    Structure,
    level_of,
)
from analysis.lumbar.judge.grade.grading import Graded
from analysis.lumbar.measure.measurements import MeasuredDisc
from analysis.lumbar.measure.quantities import OF_LEVELS
from analysis.lumbar.number_or_reason import Missing
from analysis.lumbar.tell.grade_words import grade_words, narrowing_words
from analysis.lumbar.tell.pages.page_content import Sheet, written
from analysis.lumbar.tell.pages.slice_window import View, view_spine
from analysis.lumbar.tell.pages.typography import (
    BRIGHT,
    DIM,
    HEIGHT_PX,
    LINE_PX,
    MARGIN_PX,
    NOT_HAD,
    TOP_PX,
    WARNING,
    Colour,
    Column,
    Row,
    draw_lines,
    draw_table,
    draw_title,
    font,
)

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_PANEL_PX = 760
_ROW_PX = 52
_GRADE_SHARE = 1.7
"""Of a column: a grade comes with those that it may be."""
_FINER = 3
"""Lines are drawn on a picture this much larger, then reduced: smooth edges."""
_AROUND_PX = 3
"""Of the picture around all lines, more than half of the widest."""
_LINE_PX = 1.6
_CANAL_LINE_PX = 1.0
_FILL = 46
"""Of 255: a breath of colour that leaves the grey values to be read."""
_LABEL_PX, _SMALL_LABEL_PX = 24, 20
_DISC_LABEL_GAP_PX = 14
_RIM_PX = 2
_BLACK = (0, 0, 0)
_SHOWN = tuple(
    (quantity.key, shown, quantity.definition)
    for quantity in OF_LEVELS
    if (shown := quantity.shown) is not None and shown.is_first
)
_COLUMNS = (
    Column(head="Pfirrmann", unit="grade", share=_GRADE_SHARE),
    *(Column(head=shown.head, unit=shown.unit) for _, shown, _ in _SHOWN),
    Column(head="Narrowing"),
)
_NOTES = (
    "Pfirrmann: the most probable grade; in brackets the grades that held a reader's "
    "in nine of ten discs.",
    *(f"{shown.head}: {definition}." for _, shown, definition in _SHOWN),
    "Levels are counted upwards from S1. The next page has more values.",
)


def draw_first_page(sheet: Sheet) -> Image:
    """Draw the picture, the table and what must be known of it."""
    from PIL import Image, ImageDraw

    index = _best_slice(sheet)
    view = view_spine(sheet.anatomy, index, HEIGHT_PX - 2 * TOP_PX)
    picture = Image.fromarray(view.picture(sheet.volume))
    _outline(picture, sheet.anatomy, view)
    page = Image.new("RGB", (picture.width + _PANEL_PX, HEIGHT_PX), _BLACK)
    page.paste(picture, (0, TOP_PX))
    draw = ImageDraw.Draw(page)
    number = sheet.anatomy.tissues.grid.source_slice(index) + 1
    count = sheet.volume.voxels.shape[0]
    title = f"Lumbar discs, sagittal, slice {number} of {count}"
    draw_title(draw, sheet.provenance, title)
    left, width = picture.width + MARGIN_PX, _PANEL_PX - 2 * MARGIN_PX
    rows = [_row(row, sheet.assessment.grades[row.level]) for row in sheet.rows.discs]
    top = draw_table(draw, (left, TOP_PX, width), _COLUMNS, rows, _ROW_PX)
    notes = [(text, DIM) for text in _reasons(sheet)]
    notes += [(warning.text, WARNING) for warning in sheet.warnings]
    top = draw_lines(draw, (left, top + LINE_PX // 2, width), notes)
    definitions = [(text, DIM) for text in _NOTES]
    draw_lines(draw, (left, top + LINE_PX // 2, width), definitions)
    return page


def _row(row: MeasuredDisc, graded: Graded) -> Row:
    values = [written(row.values[key], shown) for key, shown, _ in _SHOWN]
    grade, narrowing = (
        (NOT_HAD, NOT_HAD)
        if isinstance(graded, Missing)
        else (grade_words(graded), narrowing_words(graded))
    )
    return Row(
        label=row.level, colour=row.disc.colour, cells=(grade, *values, narrowing)
    )


def _reasons(sheet: Sheet) -> list[str]:
    """Return each reason once, with the levels and quantities that it concerns."""
    found: dict[str, list[str]] = {}
    discs = sheet.rows.discs
    for row in discs:
        graded = sheet.assessment.grades[row.level]
        asked = [("grade", graded if isinstance(graded, Missing) else None)]
        asked += [
            (shown.head, value if isinstance(value, Missing) else None)
            for key, shown, _ in _SHOWN
            for value in (row.values[key],)
        ]
        named: dict[str, list[str]] = {}
        for name, reason in asked:
            if reason is not None:
                named.setdefault(reason.text, []).append(name)
        for text, names in named.items():
            what = "all" if len(names) == len(asked) else ", ".join(names)
            found.setdefault(f"{what}: {text}", []).append(row.level)
    told = " ".join(warning.text for warning in sheet.warnings)
    return [
        f"{'All levels' if len(levels) == len(discs) else ', '.join(levels)}, {text}"
        for text, levels in found.items()
        if text.partition(": ")[2] not in told
    ]


def _best_slice(sheet: Sheet) -> int:
    """Return the slice of the grid that is nearest to the middle of most discs."""
    middles = [sheet.anatomy.middle_slice(row.disc) for row in sheet.rows.discs]
    found = [middle for middle in middles if middle is not None]
    return round(float(np.median(found)))


def _outline(picture: Image, anatomy: Anatomy, view: View) -> None:
    """Draw the outlines into a picture, and name them."""
    from PIL import Image, ImageDraw

    places = {
        structure: view.place(anatomy.tissues.grid, line)
        for structure in STRUCTURES
        if (line := anatomy.outline_px(structure, view.index)) is not None
    }
    if not places:
        return
    ends = np.concatenate(list(places.values()))
    low = np.floor(ends.min(axis=0)).astype(int) - _AROUND_PX
    high = np.ceil(ends.max(axis=0)).astype(int) + _AROUND_PX
    left, top = np.maximum(low, 0).tolist()
    right, bottom = np.minimum(high, picture.size).tolist()
    ink = _inked(places, (left, top, right, bottom))
    part = picture.crop((left, top, right, bottom)).convert("RGBA")
    picture.paste(Image.alpha_composite(part, ink).convert("RGB"), (left, top))
    named = {structure.label: line for structure, line in places.items()}
    _name(ImageDraw.Draw(picture), named)


def _inked(
    places: dict[Structure, NDArray[np.float64]], box: tuple[int, int, int, int]
) -> Image:
    """Return the outlines on a clear ground, in a box of the picture."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = box
    fine = ((right - left) * _FINER, (bottom - top) * _FINER)
    ink = Image.new("RGBA", fine, (0, 0, 0, 0))
    pen = ImageDraw.Draw(ink)
    for structure, line in places.items():
        points = [(x, y) for x, y in ((line - [left, top]) * _FINER).tolist()]
        width = _CANAL_LINE_PX if structure is CANAL else _LINE_PX
        if structure is not CANAL:
            pen.polygon(points, fill=(*structure.colour, _FILL))
        pen.line(
            points,
            fill=(*structure.colour, 255),
            width=round(width * _FINER),
            joint="curve",
        )
    return ink.reduce(_FINER)


def _name(draw: ImageDraw, places: dict[str, NDArray[np.float64]]) -> None:
    """Write the vertebrae into their bodies, the discs before their front edge."""
    for vertebra in VERTEBRAE:
        line = places.get(vertebra.label)
        if line is not None:
            x, y = line.mean(axis=0).tolist()
            _write_on(draw, (x, y), vertebra.label, _LABEL_PX, BRIGHT, "mm")
    for disc in DISCS:
        line = places.get(disc.label)
        if line is not None:
            front = line[line[:, 0].argmin()]
            spot = (float(front[0]) - _DISC_LABEL_GAP_PX, float(front[1]))
            _write_on(draw, spot, level_of(disc), _SMALL_LABEL_PX, disc.colour, "rm")


def _write_on(
    draw: ImageDraw,
    spot: tuple[float, float],
    text: str,
    size: int,
    colour: Colour,
    anchor: str,
) -> None:
    """Write one line with a dark rim, which lifts it off the picture."""
    draw.text(
        spot,
        text,
        fill=colour,
        font=font(size),
        anchor=anchor,
        stroke_width=_RIM_PX,
        stroke_fill=_BLACK,
    )
