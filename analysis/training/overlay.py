"""Pictures of slices with labels drawn over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.training.labels import Label

_COLOURS = {
    Label.BODY: (230, 60, 60),
    Label.DISC: (60, 220, 60),
    Label.S1: (240, 220, 40),
    Label.CANAL: (70, 110, 255),
    Label.POSTERIOR: (220, 70, 220),
}
_OPACITY = 0.4
_SHEET_COLOURS = 128  # a sheet is looked at, not measured


def paint(grey: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a slice (R, C) as RGB (R, C, 3) with its labels tinted over it."""
    low, high = np.percentile(grey, [1, 99])
    tone = np.clip((grey - low) / max(float(high - low), 1e-6), 0, 1) * 255
    picture = np.repeat(tone[..., None], 3, axis=2)
    for label, colour in _COLOURS.items():
        here = labels == label
        picture[here] = (1 - _OPACITY) * picture[here] + _OPACITY * np.array(colour)
    return picture.astype(np.uint8)


def save_sheet(
    rows: Sequence[Sequence[NDArray[np.uint8]]], path: Path, height_px: int = 400
) -> None:
    """Save rows of RGB pictures as one sheet, each picture scaled to one height."""
    strips = []
    for row in rows:
        scaled = []
        for picture in row:
            width = round(picture.shape[1] * height_px / picture.shape[0])
            image = Image.fromarray(picture).resize((width, height_px))
            scaled.append(np.asarray(image))
        strips.append(np.concatenate(scaled, axis=1))
    widest = max(strip.shape[1] for strip in strips)
    padded = [
        np.pad(strip, ((0, 0), (0, widest - strip.shape[1]), (0, 0)))
        for strip in strips
    ]
    sheet = Image.fromarray(np.concatenate(padded)).quantize(_SHEET_COLOURS)
    sheet.save(path, optimize=True)
