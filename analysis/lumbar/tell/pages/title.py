"""What every page has: its title above, and below what made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.contract.result import Provenance
from analysis.lumbar.tell.pages.summary_table import BRIGHT, write

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

HEIGHT_PX = 1024
TOP_PX = 52
"""Height of the bar of the title, and of that of the caption."""
MARGIN_PX = 24
_TITLE_PX, _CAPTION_PX = 28, 20
_CAPTION = "AI result, not verified. Research use."


def draw_frame(draw: ImageDraw, provenance: Provenance, title: str) -> None:
    """Write the title above and what made the page below."""
    write(draw, (MARGIN_PX, 12), title, _TITLE_PX, BRIGHT)
    caption = f"{_CAPTION}  {provenance.name} {provenance.version}"
    write(draw, (MARGIN_PX, HEIGHT_PX - TOP_PX + 16), caption, _CAPTION_PX, BRIGHT)
