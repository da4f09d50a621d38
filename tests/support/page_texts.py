"""What pages write, and where: so that tests can look for what overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from unittest import mock

from PIL.ImageDraw import ImageDraw

Side = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Text:
    """One line as it was written on a page, with its box in pixels."""

    page: ImageDraw
    text: str
    box: Side


@contextmanager
def texts_on_pages() -> Iterator[list[Text]]:
    """Collect all lines that are written within the block."""
    found: list[Text] = []
    write = ImageDraw.text

    def recorded(pen: ImageDraw, xy: Any, text: str, *args: Any, **more: Any) -> None:
        box = pen.textbbox(
            xy, text, font=more.get("font"), anchor=more.get("anchor"),
            stroke_width=more.get("stroke_width", 0),
        )  # fmt: skip
        found.append(Text(pen, text, box))
        write(pen, xy, text, *args, **more)

    with mock.patch.object(ImageDraw, "text", recorded):
        yield found


def overlapping(texts: list[Text]) -> list[tuple[str, str]]:
    """Return the pairs of lines that are written over each other."""
    return [
        (one.text, other.text)
        for one, other in combinations(texts, 2)
        if one.page is other.page
        and one.text.strip()
        and other.text.strip()
        and _meet(one.box, other.box)
    ]


def _meet(one: Side, other: Side) -> bool:
    return (
        one[0] < other[2]
        and other[0] < one[2]
        and one[1] < other[3]
        and other[1] < one[3]
    )
