"""The pictures for the reader: outlines on the middle slice, and the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.contract.result import Notice, Page, Provenance
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy, outline_px
from analysis.lumbar.anatomy.structures import (
    CANAL,
    DISCS,
    STRUCTURES,
    VERTEBRAE,
    level_of,
)
from analysis.lumbar.judge.grades_and_norms import Assessment
from analysis.lumbar.measure.measurements import SpineMeasurements
from analysis.lumbar.tell.pages.norm_page import draw_norms
from analysis.lumbar.tell.pages.slice_window import View, view_spine
from analysis.lumbar.tell.pages.summary_table import (
    BRIGHT,
    Colour,
    draw_summary,
    draw_table,
    font,
)
from analysis.lumbar.tell.pages.title import HEIGHT_PX, MARGIN_PX, TOP_PX, draw_frame

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_PANEL_PX = 660
_FINER = 3
"""Lines are drawn on a picture this much larger, then reduced: smooth edges."""
_LINE_PX = 1.6
_CANAL_LINE_PX = 1.0
_FILL = 46
"""Of 255: a breath of colour that leaves the grey values to be read."""
_LABEL_PX, _SMALL_LABEL_PX = 24, 20
_DISC_LABEL_GAP_PX = 14
_RIM_PX = 2
_BLACK = (0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """All that the pages show."""

    volume: Volume
    anatomy: Anatomy
    rows: SpineMeasurements
    assessment: Assessment
    warnings: tuple[Notice, ...]
    provenance: Provenance


def draw_pages(sheet: Sheet) -> tuple[Page, ...]:
    """Draw the overlay with its summary beside it, the full table, and the norms."""
    return (
        Page(title="Overlay", pixels=np.asarray(_overlay_page(sheet))),
        Page(title="Parameters", pixels=np.asarray(_table_page(sheet))),
        Page(title="Norms", pixels=np.asarray(_norm_page(sheet))),
    )


def _overlay_page(sheet: Sheet) -> Image:
    from PIL import Image, ImageDraw

    index = _best_slice(sheet)
    view = view_spine(sheet.anatomy, index, HEIGHT_PX - 2 * TOP_PX)
    picture = Image.fromarray(view.picture(sheet.volume))
    picture = _outlined(picture, sheet.anatomy, view)
    page = Image.new("RGB", (picture.width + _PANEL_PX, HEIGHT_PX), _BLACK)
    page.paste(picture, (0, TOP_PX))
    draw = ImageDraw.Draw(page)
    number = sheet.anatomy.tissues.grid.source_slice(index) + 1
    count = sheet.volume.voxels.shape[0]
    draw_frame(
        draw, sheet.provenance, f"Lumbar discs, sagittal T2, slice {number} of {count}"
    )
    draw_summary(
        draw,
        (picture.width + MARGIN_PX, TOP_PX, _PANEL_PX - 2 * MARGIN_PX),
        sheet.rows,
        sheet.assessment,
        sheet.warnings,
    )
    return page


def _table_page(sheet: Sheet) -> Image:
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (HEIGHT_PX, HEIGHT_PX), _BLACK)
    draw = ImageDraw.Draw(page)
    draw_frame(draw, sheet.provenance, "Lumbar discs, parameters")
    box = (MARGIN_PX, TOP_PX, HEIGHT_PX - 2 * MARGIN_PX)
    draw_table(draw, box, sheet.rows, sheet.assessment, sheet.warnings)
    return page


def _norm_page(sheet: Sheet) -> Image:
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (HEIGHT_PX, HEIGHT_PX), _BLACK)
    draw_frame(ImageDraw.Draw(page), sheet.provenance, "Lumbar discs, grades and norms")
    box = (MARGIN_PX, TOP_PX, HEIGHT_PX - 2 * MARGIN_PX)
    draw_norms(page, box, sheet.rows, sheet.assessment)
    return page


def _best_slice(sheet: Sheet) -> int:
    """Return the slice of the grid that is nearest to the middle of most discs."""
    middles = [sheet.anatomy.middle_slice(row.disc) for row in sheet.rows.discs]
    found = [middle for middle in middles if middle is not None]
    return round(float(np.median(found)))


def _outlined(picture: Image, anatomy: Anatomy, view: View) -> Image:
    from PIL import Image, ImageDraw

    fine = (picture.width * _FINER, picture.height * _FINER)
    ink = Image.new("RGBA", fine, (0, 0, 0, 0))
    pen = ImageDraw.Draw(ink)
    places: dict[str, NDArray[np.float64]] = {}
    for structure in STRUCTURES:
        field = anatomy.field(structure, view.index)
        line = None if field is None else outline_px(field)
        if line is None:
            continue
        places[structure.label] = view.place(anatomy.tissues.grid, line)
        points = [(x, y) for x, y in (places[structure.label] * _FINER).tolist()]
        width = _CANAL_LINE_PX if structure is CANAL else _LINE_PX
        if structure is not CANAL:
            pen.polygon(points, fill=(*structure.colour, _FILL))
        pen.line(
            points,
            fill=(*structure.colour, 255),
            width=round(width * _FINER),
            joint="curve",
        )
    ink = ink.reduce(_FINER)
    drawn = Image.alpha_composite(picture.convert("RGBA"), ink).convert("RGB")
    _name(ImageDraw.Draw(drawn), places)
    return drawn


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
