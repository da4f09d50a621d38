"""Which slices make up the batch of a given step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.training.augment import REACH, Sample, draw_crops, normalise_crops
from analysis.training.grid import smooth_for
from analysis.training.labels import thin_disc_weight
from analysis.training.loss import unpack_allowed
from analysis.training.settings import Settings, SourceSettings
from analysis.training.sources import LabelledCase
from analysis.training.styles import style_number, with_style


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What one step learns from.

    Parameters
    ----------
    grey : Tensor, shape (N, 2 * context + 1 + styles, R, C), float32
        Normalised crops, channels last in memory; behind them a plane for each style
        that the network is told.
    allowed : Tensor, shape (N, classes, R, C), bool
        Classes that each pixel may have.
    weight : Tensor, shape (N, R, C), float32
        Of each pixel.
    """

    grey: Tensor
    allowed: Tensor
    weight: Tensor


class Batches:
    """Batches as a pure function of the step, so a run can stop and go on.

    Slices are smoothed once, when they are first drawn, and kept.

    Parameters
    ----------
    settings
        Crop, batch, shares and distortions.
    cases
        For each source of the settings, its training cases.
    """

    def __init__(
        self, settings: Settings, cases: Sequence[Sequence[LabelledCase]]
    ) -> None:
        self._settings = settings
        self._cases: list[LabelledCase] = []
        self._smooth: dict[int, NDArray[np.float32]] = {}
        self._weight: dict[tuple[int, int], NDArray[np.float32]] = {}
        self._columns: dict[tuple[int, int], tuple[float, float, float]] = {}
        self._slices: list[tuple[int, int]] = []
        self._styles: list[int] = []
        weights: list[float] = []
        for source, members in zip(settings.sources, cases, strict=True):
            start = len(self._cases)
            self._cases.extend(members)
            slices = [
                (start + number, index)
                for number, case in enumerate(members)
                for index in range(len(case.grey))
            ]
            drawn = np.array([i in self._cases[n].s1_slices for n, i in slices])
            self._slices.extend(slices)
            self._styles.extend([style_number(source, settings)] * len(slices))
            weights.extend(_weights(drawn, source))
        self._weights = torch.tensor(weights)

    @property
    def slice_count(self) -> int:
        """Number of different slices that can be drawn."""
        return len(self._slices)

    def draw(self, step: int) -> Batch:
        """Return the batch of one step."""
        settings = self._settings
        chosen, generator = choose(self._weights, settings, step)
        grey, bits, weight = draw_crops(
            [self._sample(*self._slices[number]) for number in chosen],
            settings.training.crop,
            settings.spacing_mm,
            settings.augmentation,
            generator,
        )
        if settings.network.context == 0:
            grey = grey[:, 1:2]
        grey = normalise_crops(grey, settings.normalisation)
        styles = [self._styles[number] for number in chosen]
        grey = with_style(grey, styles, len(settings.styles))
        return Batch(
            grey=grey.contiguous(memory_format=torch.channels_last),
            allowed=unpack_allowed(bits, len(settings.classes)),
            weight=weight,
        )

    def _sample(self, number: int, index: int) -> Sample:
        case = self._cases[number]
        if number not in self._smooth:
            self._smooth[number] = smooth_for(
                case.grey, case.spacing_mm, self._settings.spacing_mm
            )
        place = (number, index)
        if place not in self._weight:
            self._weight[place] = thin_disc_weight(case.allowed[index], case.spacing_mm)
        around = np.arange(index - REACH, index + REACH + 1).clip(0, len(case.grey) - 1)
        if place not in self._columns:
            self._columns[place] = _spine_columns(case, index)
        return Sample(
            stack=torch.from_numpy(self._smooth[number][around]),
            allowed=torch.from_numpy(case.allowed[index]),
            weight=torch.from_numpy(self._weight[place]),
            spacing_mm=case.spacing_mm,
            spine_columns=self._columns[place],
            complete=case.complete,
        )


def _spine_columns(case: LabelledCase, index: int) -> tuple[float, float, float]:
    """Return first, middle and last column of what is labelled in a slice."""
    columns = np.nonzero(case.exact_labels(index))[1]
    middle = columns if columns.size else np.arange(case.grey.shape[2])
    return float(middle.min()), float(middle.mean()), float(middle.max())


def choose(
    weights: Tensor, settings: Settings, step: int
) -> tuple[list[int], torch.Generator]:
    """Draw what makes up the batch of one step, and a generator for all else in it.

    Parameters
    ----------
    weights : Tensor, shape (N,)
        How often each of N is drawn.
    settings
        Seed and batch.
    step
        The same step draws the same.
    """
    generator = torch.Generator().manual_seed((settings.seed << 24) + step)
    batch = settings.training.batch
    chosen = torch.multinomial(weights, batch, replacement=False, generator=generator)
    return chosen.tolist(), generator


def _weights(drawn: NDArray[np.bool_], source: SourceSettings) -> list[float]:
    """Weight of each slice, so that slices with S1 get their share."""
    with_s1 = int(drawn.sum())
    without = drawn.size - with_s1
    if with_s1 == 0 or without == 0:
        return [source.share / drawn.size] * drawn.size
    each = (source.s1_share / with_s1, (1 - source.s1_share) / without)
    return [source.share * (each[0] if here else each[1]) for here in drawn]
