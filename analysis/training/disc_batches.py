"""Which crops of single discs make up the batch of a given step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.training.augment import REACH, Sample, draw_crops, normalise_crops
from analysis.training.batches import Batch, choose
from analysis.training.disc_places import DiscPlace, places_of
from analysis.training.grid import smooth_for
from analysis.training.labels import Label
from analysis.training.settings import Settings
from analysis.training.sources import LabelledCase
from analysis.training.styles import style_number, with_style


class DiscBatches:
    """Batches of discs as a pure function of the step.

    Parameters
    ----------
    settings
        Crop, batch, shares and distortions; the classes are background and disc.
    cases
        For each source of the settings, its training cases.
    """

    def __init__(
        self, settings: Settings, cases: Sequence[Sequence[LabelledCase]]
    ) -> None:
        self._settings = settings
        self._slices: list[tuple[DiscPlace, NDArray[np.float32], int]] = []
        self._styles: list[int] = []
        weights: list[float] = []
        for source, members in zip(settings.sources, cases, strict=True):
            found = []
            for case in members:
                smooth = smooth_for(case.grey, case.spacing_mm, settings.spacing_mm)
                found += [
                    (place, smooth, index)
                    for place in places_of(case)
                    for index in place.slices
                ]
            self._slices += found
            self._styles += [style_number(source, settings)] * len(found)
            weights += [source.share / len(found)] * len(found)
        self._weights = torch.tensor(weights)

    def draw(self, step: int) -> Batch:
        """Return the batch of one step."""
        settings = self._settings
        chosen, generator = choose(self._weights, settings, step)
        grey, bits, weight = draw_crops(
            [_sample(*self._slices[number]) for number in chosen],
            settings.training.crop,
            settings.spacing_mm,
            settings.augmentation,
            generator,
        )
        grey = normalise_crops(grey, settings.normalisation)
        styles = [self._styles[number] for number in chosen]
        grey = with_style(grey, styles, len(settings.styles))
        return Batch(
            grey=grey.contiguous(memory_format=torch.channels_last),
            allowed=_disc_or_not(bits),
            weight=weight,
        )


def _sample(place: DiscPlace, smooth: NDArray[np.float32], index: int) -> Sample:
    rows, columns = place.window
    around = np.arange(index - REACH, index + REACH + 1).clip(0, len(smooth) - 1)
    stack = np.ascontiguousarray(smooth[around][:, rows, columns])
    allowed = np.ascontiguousarray(place.case.allowed[index, rows, columns])
    middle = place.middle_mm / place.case.spacing_mm - [rows.start, columns.start]
    return Sample(
        stack=torch.from_numpy(stack),
        allowed=torch.from_numpy(allowed),
        weight=torch.ones(allowed.shape),
        spacing_mm=place.case.spacing_mm,
        spine_columns=(0.0, float(middle[1]), float(allowed.shape[1])),
        complete=place.case.complete,
        centre_px=(float(middle[0]), float(middle[1])),
        turn_rad=place.turn_rad,
        half_height_mm=place.half_height_mm,
    )


def _disc_or_not(bits: Tensor) -> Tensor:
    """Turn sets of tissues (N, R, C) into sets of background and disc (N, 2, R, C)."""
    other = (bits & ~(1 << Label.DISC) & 0xFF) != 0
    disc = (bits & (1 << Label.DISC)) != 0
    return torch.stack([other, disc], dim=1)
