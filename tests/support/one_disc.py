"""A series with one disc that leans, and the settings of a training on it."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from analysis.training import settings as settings_of
from analysis.training.labels import Label
from analysis.training.settings import Settings, read_settings
from analysis.training.sources import LabelledCase

SPACING_MM = (0.6, 0.4)
MIDDLE_MM = (60.0, 45.0)
TURN_DEG = 20.0
"""Its front is lower than its back."""
LENGTH_MM, HEIGHT_MM = 34.0, 9.0


def disc_settings() -> Settings:
    path = Path(settings_of.__file__).with_name("disc.yaml")
    settings = read_settings(path)
    return replace(
        settings,
        sources=settings.sources[:1],
        training=replace(settings.training, batch=3),
    )


def still(settings: Settings) -> Settings:
    """Neither distort a crop nor change its grey values."""
    spared = {"blur_max_px", "coarse_min", "noise_max"}
    names = [one.name for one in fields(settings.augmentation)]
    still = {name: 0.0 for name in names if name not in spared}
    return replace(settings, augmentation=replace(settings.augmentation, **still))


def one_disc() -> LabelledCase:
    """Return a series with one leaning disc in its three middle slices."""
    rows, columns = np.mgrid[0:200, 0:220]
    down, back = (
        grid * step - middle
        for grid, step, middle in zip(
            (rows, columns), SPACING_MM, MIDDLE_MM, strict=True
        )
    )
    angle = math.radians(TURN_DEG)
    along = math.cos(angle) * back - math.sin(angle) * down
    across = math.sin(angle) * back + math.cos(angle) * down
    disc = (along / LENGTH_MM * 2) ** 2 + (across / HEIGHT_MM * 2) ** 2 < 1
    labels = np.full((7, 200, 220), Label.BACKGROUND, np.uint8)
    labels[2:5, disc] = Label.DISC
    return LabelledCase(
        source="some",
        name="one",
        patient="one",
        grey=np.where(labels == Label.DISC, 200, 80).astype(np.uint8),
        allowed=np.left_shift(np.uint8(1), labels).astype(np.uint8),
        spacing_mm=SPACING_MM,
        s1_slices=frozenset(),
        complete=True,
    )
