"""Figures on the validation patients, at native resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.inference.normalise import normalise_slices, with_neighbours
from analysis.inference.unet import SliceNetwork
from analysis.training.architectures import logits_of
from analysis.training.grid import from_grid, to_grid
from analysis.training.labels import Label, decided
from analysis.training.scores import OutlineDistance, dice_of, outline_distance
from analysis.training.settings import Settings
from analysis.training.sources import LabelledCase
from analysis.training.styles import styles_of, with_style

FOREGROUND = tuple(label for label in Label if label is not Label.BACKGROUND)
DISC_DISTANCE = "disc_assd_mm"
DISC_HD95 = "disc_hd95_mm"
MEAN = "mean"
_MAX_SLICES = 9


class Fold:
    """The validation series, sampled once on the network's grid.

    Parameters
    ----------
    settings
        Grid and normalisation.
    cases
        Series of the fold; of long ones nine slices are taken, evenly spaced.
    """

    def __init__(self, settings: Settings, cases: Sequence[LabelledCase]) -> None:
        self._settings = settings
        self._cases = tuple(cases)
        self._inputs: list[NDArray[np.float32]] = []
        self._slices: list[NDArray[np.intp]] = []
        for case in cases:
            grey = to_grid(case.grey, case.spacing_mm, settings.spacing_mm)
            scaled = normalise_slices(grey, settings.normalisation)
            count = min(_MAX_SLICES, len(grey))
            chosen = np.linspace(0, len(grey) - 1, count).round().astype(np.intp)
            reach = settings.network.context
            self._slices.append(chosen)
            self._inputs.append(
                np.stack([with_neighbours(scaled, int(i), reach) for i in chosen])
            )

    def figures(
        self, network: SliceNetwork, style: str | None = None
    ) -> dict[str, float]:
        """Score a network.

        Parameters
        ----------
        network
            Told a style or not, as the settings say.
        style
            Which; that of each series' source if None.

        Returns
        -------
        dict
            Dice by "source class", mean over series; their mean as `mean`; and by
            source the distance of disc outlines (mm), its mean and its 95th percentile
            along the outline, median over slices and series.
        """
        network.eval()
        names, style_of = self._settings.styles, styles_of(self._settings)
        dice: dict[str, list[float]] = {}
        apart: dict[str, list[OutlineDistance]] = {}
        members = zip(self._cases, self._inputs, self._slices, strict=True)
        for case, inputs, chosen in members:
            told = style_of[case.source] if style is None else names.index(style)
            guess = self._predict(network, case, inputs, told)
            for name, value in _dice(case, chosen, guess).items():
                dice.setdefault(f"{case.source} {name}", []).append(value)
            apart.setdefault(case.source, []).extend(_distances(case, chosen, guess))
        result = {name: float(np.mean(values)) for name, values in dice.items()}
        result[MEAN] = float(np.mean(list(result.values())))
        for source, outlines in apart.items():
            if not outlines:
                continue
            mean_mm = np.median([outline.mean_mm for outline in outlines])
            hd95_mm = np.median([outline.percentile95_mm for outline in outlines])
            result[f"{source} {DISC_DISTANCE}"] = float(mean_mm)
            result[f"{source} {DISC_HD95}"] = float(hd95_mm)
        return result

    def _predict(
        self,
        network: SliceNetwork,
        case: LabelledCase,
        inputs: NDArray[np.float32],
        style: int,
    ) -> NDArray[np.intp]:
        labels = []
        seen = torch.from_numpy(inputs)
        told = with_style(seen, [style] * len(seen), len(self._settings.styles))
        with torch.inference_mode():
            for one in told.to(_device_of(network)):
                shares = logits_of(network, one[None])[0].softmax(dim=0).cpu().numpy()
                native = from_grid(
                    shares,
                    (case.grey.shape[1], case.grey.shape[2]),
                    case.spacing_mm,
                    self._settings.spacing_mm,
                )
                labels.append(native.argmax(axis=0))
        return np.stack(labels)


def _device_of(network: SliceNetwork) -> torch.device:
    return next(network.parameters()).device


def _dice(
    case: LabelledCase, chosen: NDArray[np.intp], guess: NDArray[np.intp]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for label in FOREGROUND:
        truth, known = decided(case.allowed[chosen], (label,))
        if label is Label.S1:
            known &= np.isin(chosen, list(case.s1_slices))[:, None, None]
        if not (truth & known).any():
            continue
        value = dice_of(truth & known, (guess == label) & known)
        if value is not None:
            found[label.name.lower()] = value
    return found


def _distances(
    case: LabelledCase, chosen: NDArray[np.intp], guess: NDArray[np.intp]
) -> list[OutlineDistance]:
    truth, known = decided(case.allowed[chosen], (Label.DISC,))
    pairs = zip(truth, (guess == Label.DISC) & known, strict=True)
    found = [outline_distance(one, two, case.spacing_mm) for one, two in pairs]
    return [distance for distance in found if distance is not None]
