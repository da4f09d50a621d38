"""The page that is read first: the picture with its outlines, and one table beside it.

Level, grade, and the quantities that are marked for it (`Shown.is_first`); below them
what is missing and why, and the warnings in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.structures import (
    CANAL,
    DISCS,
    STRUCTURES,
    VERTEBRAE,
    Structure,
    level_of,
)
from analysis.lumbar.measure.measurements import MeasuredDisc
from analysis.lumbar.measure.quantities import OF_LEVELS
from analysis.lumbar.number_or_reason import Missing
from analysis.lumbar.tell.grade_words import (
    displacement_words,
    grade_words,
    narrowing_words,
)
from analysis.lumbar.tell.pages.headline import headline
from analysis.lumbar.tell.pages.page_content import Sheet, written
from analysis.lumbar.tell.pages.slice_window import View, view_spine
from analysis.lumbar.tell.pages.typography import (
    BRIGHT,
    DIM,
    HEIGHT_PX,
    LINE_PX,
    MARGIN_PX,
    TITLE_PX,
    TOP_PX,
    WARNING,
    Column,
    Notes,
    Pen,
    Row,
    broken_notes,
    draw_caption,
    draw_lines,
    draw_table,
    draw_title,
    lighter,
    new_page,
    table_height_px,
)

if TYPE_CHECKING:
    from PIL.Image import Image

_PANEL_PX = 892
_ROW_PX = 52
_GRADE_SHARE = 1.7
"""Of a column: a grade comes with those that it may be."""
_PROBABLE_SHARE = 1.3
"""The same: a word comes with its probability."""
_FINER = 3
"""Lines are drawn on a picture this much larger, then reduced: smooth edges."""
_AROUND_PX = 3
"""Of the picture around all lines, more than half of the widest."""
_LINE_PX = 1.6
_CANAL_LINE_PX = 1.0
_STRAIGHT, _NO_STEP_PX = 0.94, 1e-6
"""Cosine of the turn (20 deg) from which on a line has a corner."""
_FILL = 46
"""Of 255: a breath of colour that leaves the grey values to be read."""
_LABEL_PX, _SMALL_LABEL_PX = 24, 20
_DISC_LABEL_GAP_PX = 14
_LABEL_MARGIN_PX = 4
_SHOWN = tuple(
    (quantity, shown)
    for quantity in OF_LEVELS
    if (shown := quantity.shown) is not None and shown.is_first
)


def draw_first_page(sheet: Sheet) -> Image:
    """Draw the picture, the table and what must be known of it.

    The page grows downwards where there is more to be known than it has room for.
    """
    from PIL import Image

    index = _best_slice(sheet)
    scale, words = sheet.scale, sheet.words
    view = view_spine(sheet.anatomy, index, (HEIGHT_PX - 2 * TOP_PX) * scale)
    picture = Image.fromarray(view.picture(sheet.volume))
    _outline(picture, sheet, view)
    picture_px = picture.width / scale
    page_px = picture_px + _PANEL_PX
    left, width = round(picture_px) + MARGIN_PX, _PANEL_PX - 2 * MARGIN_PX
    ruler = Pen(new_page(1, 1), words, scale)
    known = broken_notes(ruler, _to_be_known(sheet), width)
    meant = broken_notes(ruler, [(text, DIM) for text in _meanings(sheet)], width)
    rows = [_row(row, sheet) for row in sheet.rows.discs]
    used = table_height_px(len(rows), _ROW_PX) + LINE_PX * (len(known) + len(meant) + 1)
    height = max(HEIGHT_PX, 2 * TOP_PX + used)
    page = new_page(page_px, height, scale)
    page.paste(picture, (0, TOP_PX * scale))
    pen = Pen(page, words, scale)
    count = sheet.volume.voxels.shape[0]
    # Slices of the grid run to the right; in what order the series has them, or what
    # numbers, a reader of the page does not know.
    title = words.page("first_title", number=index + 1, count=count)
    draw_title(pen, title, left)
    colour = WARNING if sheet.warnings else BRIGHT
    style = (TITLE_PX, colour, "la")
    pen.write_within((left, 12), headline(sheet), style, width)
    draw_caption(pen, sheet.provenance, (page_px, height))
    top = draw_table(pen, (left, TOP_PX, width), _columns(sheet), rows, _ROW_PX)
    top = draw_lines(pen, (left, top + LINE_PX // 2), known)
    draw_lines(pen, (left, top + LINE_PX // 2), meant)
    return page


def _columns(sheet: Sheet) -> tuple[Column, ...]:
    words = sheet.words
    numbers = (words.shown(quantity, shown) for quantity, shown in _SHOWN)
    grade, unit = words.page("pfirrmann"), words.page("grade")
    return (
        Column(head=grade, unit=unit, share=_GRADE_SHARE),
        *(Column(head=shown.head, unit=shown.unit) for shown in numbers),
        # Beside the canal: it has to be said what is narrowed.
        Column(head=words.page("disc_space"), unit=words.page("disc_space_narrowed")),
        Column(
            head=words.page("disc"),
            unit=words.page("disc_displaced"),
            share=_PROBABLE_SHARE,
        ),
    )


def _row(row: MeasuredDisc, sheet: Sheet) -> Row:
    words, graded = sheet.words, sheet.assessment.grades[row.level]
    values = [written(row.values[one.key], shown, words) for one, shown in _SHOWN]
    not_had = words.page("not_had")
    grade, narrowing = (
        (not_had, not_had)
        if isinstance(graded, Missing)
        else (grade_words(graded, words), narrowing_words(graded, words))
    )
    found = sheet.assessment.displacements[row.level]
    displaced = (
        not_had if isinstance(found, Missing) else displacement_words(found, words)
    )
    return Row(
        label=row.level,
        colour=row.disc.colour,
        cells=(grade, *values, narrowing, displaced),
    )


def _to_be_known(sheet: Sheet) -> Notes:
    """Return what is missing and why, and the warnings."""
    notices = map(sheet.words.notice, sheet.warnings)
    return [
        *((text, DIM) for text in _reasons(sheet)),
        *((sheet.words.page("notice", text=one.text), WARNING) for one in notices),
    ]


def _meanings(sheet: Sheet) -> list[str]:
    """Return what stands in the columns."""
    words = sheet.words
    return [
        words.page("about_grade"),
        *(
            words.page(
                "definition",
                head=words.shown(quantity, shown).head,
                definition=words.definition(quantity),
            )
            for quantity, shown in _SHOWN
        ),
        words.page("about_displacement"),
        words.page("about_levels"),
    ]


def _reasons(sheet: Sheet) -> list[str]:
    """Return each reason once, with the levels and quantities that it concerns."""
    words, discs = sheet.words, sheet.rows.discs
    told = " ".join(warning.text for warning in sheet.warnings)
    found: dict[tuple[str, str], list[str]] = {}
    for row in discs:
        asked = _asked(row, sheet)
        named: dict[Missing, list[str]] = {}
        for name, value in asked:
            if isinstance(value, Missing) and value.text not in told:
                named.setdefault(value, []).append(name)
        for reason, names in named.items():
            is_all = len(names) == len(asked)
            what = words.page("reason_names").join(names)
            key = words.page("all_values") if is_all else what, words.reason(reason)
            found.setdefault(key, []).append(row.level)
    return [
        words.page("reason", levels=_levels(levels, sheet), what=what, text=text)
        for (what, text), levels in found.items()
    ]


def _asked(row: MeasuredDisc, sheet: Sheet) -> list[tuple[str, object]]:
    """Return what is asked of a level, by its name: all columns that may lack it."""
    words = sheet.words
    return [
        (words.page("grade_name"), sheet.assessment.grades[row.level]),
        *(
            (words.shown(quantity, shown).head, row.values[quantity.key])
            for quantity, shown in _SHOWN
        ),
        (words.page("displacement_name"), sheet.assessment.displacements[row.level]),
    ]


def _levels(levels: list[str], sheet: Sheet) -> str:
    if len(levels) == len(sheet.rows.discs):
        return sheet.words.page("all_levels")
    return sheet.words.page("reason_names").join(levels)


def _best_slice(sheet: Sheet) -> int:
    """Return the slice of the grid that is nearest to the middle of most discs."""
    middles = [sheet.anatomy.middle_slice(row.disc) for row in sheet.rows.discs]
    found = [middle for middle in middles if middle is not None]
    return round(float(np.median(found)))


def _outline(picture: Image, sheet: Sheet, view: View) -> None:
    """Draw the outlines into a picture, and name them."""
    from PIL import Image

    anatomy, scale = sheet.anatomy, sheet.scale
    places = {
        structure: [view.place(anatomy.tissues.grid, line) for line in lines]
        for structure in STRUCTURES
        if (lines := _lines(sheet, structure, view.index))
    }
    if not places:
        return
    ends = np.concatenate([line for lines in places.values() for line in lines])
    low = np.floor(ends.min(axis=0)).astype(int) - _AROUND_PX * scale
    high = np.ceil(ends.max(axis=0)).astype(int) + _AROUND_PX * scale
    left, top = np.maximum(low, 0).tolist()
    right, bottom = np.minimum(high, picture.size).tolist()
    ink = _inked(places, (left, top, right, bottom), scale)
    part = picture.crop((left, top, right, bottom)).convert("RGBA")
    picture.paste(Image.alpha_composite(part, ink).convert("RGB"), (left, top))
    named = {structure.label: lines[0] / scale for structure, lines in places.items()}
    _name(Pen(picture, sheet.words, scale), named)


def _lines(
    sheet: Sheet, structure: Structure, index: int
) -> Sequence[NDArray[np.float64]]:
    """Return what is drawn of a structure: of the canal every piece.

    A narrow place parts it, and behind discs on both sides of that it is measured.
    """
    lines = sheet.anatomy.outlines_px(structure, index)
    return lines if structure is CANAL else lines[:1]


def _inked(
    places: dict[Structure, list[NDArray[np.float64]]],
    box: tuple[int, int, int, int],
    scale: int,
) -> Image:
    """Return the outlines on a clear ground, in a box of the picture."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = box
    fine = ((right - left) * _FINER, (bottom - top) * _FINER)
    ink = Image.new("RGBA", fine, (0, 0, 0, 0))
    pen = ImageDraw.Draw(ink)
    drawn = [(one, line) for one, lines in places.items() for line in lines]
    for structure, line in drawn:
        points = [(x, y) for x, y in ((line - [left, top]) * _FINER).tolist()]
        width = _CANAL_LINE_PX if structure is CANAL else _LINE_PX
        if structure is not CANAL:
            pen.polygon(points, fill=(*structure.colour, _FILL))
        ink_of_line, thick = (*structure.colour, 255), round(width * scale * _FINER)
        pen.line(points, fill=ink_of_line, width=thick)
        # Between segments a notch is left, which is seen only where a line turns.
        for x, y in _corners(points):
            half = thick / 2
            pen.ellipse((x - half, y - half, x + half, y + half), fill=ink_of_line)
    return ink.reduce(_FINER)


def _corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points of a closed line at which it turns."""
    line = np.array(points)
    steps = np.diff(line, axis=0)
    steps /= np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), _NO_STEP_PX)
    straight = (steps * np.roll(steps, 1, axis=0)).sum(axis=1)
    return [points[place] for place in np.flatnonzero(straight < _STRAIGHT)]


def _name(pen: Pen, places: dict[str, NDArray[np.float64]]) -> None:
    """Write the vertebrae into their bodies, the discs before their front edge."""
    for vertebra in VERTEBRAE:
        line = places.get(vertebra.label)
        if line is not None:
            x, y = line.mean(axis=0).tolist()
            pen.write_on((x, y), vertebra.label, (_LABEL_PX, BRIGHT, "mm"))
    for disc in DISCS:
        line = places.get(disc.label)
        if line is not None:
            front = line[line[:, 0].argmin()]
            name = level_of(disc)
            # A spine at the edge of the picture leaves no room for the whole gap.
            least = pen.width_of(name, _SMALL_LABEL_PX) + _LABEL_MARGIN_PX
            x = max(float(front[0]) - _DISC_LABEL_GAP_PX, least)
            style = (_SMALL_LABEL_PX, lighter(disc.colour), "rm")
            pen.write_on((x, float(front[1])), name, style)
