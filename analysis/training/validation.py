"""Dice on the validation fold, on the network's own grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.inference.normalise import normalise_slices
from analysis.training.grid import to_grid
from analysis.training.labels import Label
from analysis.training.loss import unpack_allowed
from analysis.training.network import UNet, stride_of
from analysis.training.settings import Settings
from analysis.training.sources import LabelledCase

FOREGROUND = tuple(label for label in Label if label is not Label.BACKGROUND)


class Fold:
    """The validation patients, sampled once on the network's grid.

    Parameters
    ----------
    settings
        Grid, normalisation and stride.
    cases
        Patients of the fold.
    """

    def __init__(self, settings: Settings, cases: Sequence[LabelledCase]) -> None:
        self.patients = tuple(case.patient for case in cases)
        self._stride = stride_of(settings.network.widths)
        self._pairs: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
        grid_mm = settings.spacing_mm
        for case in cases:
            grey = to_grid(case.grey, case.spacing_mm, grid_mm)
            bits = _nearest(case.allowed, case.spacing_mm, grid_mm, grey.shape[1:])
            allowed = unpack_allowed(torch.from_numpy(bits), len(settings.classes))
            self._pairs.append(
                (normalise_slices(grey, settings.normalisation), allowed.numpy())
            )

    def dice(self, network: UNet) -> dict[Label, float]:
        """Mean over patients of the Dice of each class, over exactly known pixels."""
        network.eval()
        each: dict[Label, list[float]] = {label: [] for label in FOREGROUND}
        for grey, allowed in self._pairs:
            predicted = self._predict(network, grey)
            known = allowed.sum(axis=1) == 1
            for label in FOREGROUND:
                truth = allowed[:, label] & known
                if not truth.any():
                    continue
                guess = (predicted == label) & known
                overlap = 2 * int((truth & guess).sum())
                each[label].append(overlap / int(truth.sum() + guess.sum()))
        return {label: float(np.mean(each[label])) for label in FOREGROUND}

    def _predict(self, network: UNet, grey: NDArray[np.float32]) -> NDArray[np.intp]:
        rows, columns = grey.shape[1:]
        tall, wide = (-n % self._stride for n in (rows, columns))
        padded = np.pad(grey, ((0, 0), (0, tall), (0, wide)), mode="edge")
        tensor = torch.from_numpy(padded)[:, None]
        with torch.inference_mode():
            logits = torch.cat([network(one[None]) for one in tensor])
        return logits.argmax(dim=1).numpy()[:, :rows, :columns]


def _nearest(
    bits: NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    grid_mm: float,
    shape: tuple[int, ...],
) -> NDArray[np.uint8]:
    picks = [
        np.minimum(((np.arange(n) + 0.5) * grid_mm / step).astype(int), limit - 1)
        for n, step, limit in zip(shape, spacing_mm, bits.shape[1:], strict=True)
    ]
    return np.ascontiguousarray(bits[:, picks[0]][:, :, picks[1]])
