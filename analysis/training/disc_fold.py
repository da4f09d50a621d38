"""Figures of a network that looks at one disc, on the validation patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.imaging.resample import resample
from analysis.imaging.sagittal_grid import SagittalGrid, sample_picture, turned_grid
from analysis.inference.normalise import normalise_slices, with_neighbours
from analysis.inference.unet import SliceNetwork
from analysis.training.architectures import logits_of
from analysis.training.disc_places import DiscPlace, places_of
from analysis.training.labels import Label, decided
from analysis.training.scores import dice_of
from analysis.training.settings import Settings
from analysis.training.sources import LabelledCase
from analysis.training.styles import styles_of, with_style
from analysis.training.validation import MEAN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenDisc:
    """One labelled disc beside what a network takes for disc, in a crop about it.

    Parameters
    ----------
    place
        The disc.
    drawn, found : ndarray, shape (K, R, C), bool
        Where the labels decide.
    """

    place: DiscPlace
    drawn: NDArray[np.bool_]
    found: NDArray[np.bool_]


class DiscFold:
    """The labelled discs of the validation series, cut out where they lie.

    Parameters
    ----------
    settings
        Crop, grid and normalisation.
    cases
        Series of the fold.
    """

    def __init__(self, settings: Settings, cases: Sequence[LabelledCase]) -> None:
        self._settings = settings
        self._places = [place for case in cases for place in places_of(case)]

    def figures(self, network: SliceNetwork) -> dict[str, float]:
        """Score a network.

        Returns
        -------
        dict
            Dice by "source disc", mean over discs, on the network's grid, in the style
            of the source if the network is told one; and the mean of these as `mean`.
        """
        dice: dict[str, list[float]] = {}
        for seen in self.seen_by(network):
            value = dice_of(seen.drawn, seen.found)
            if value is not None:
                dice.setdefault(f"{seen.place.case.source} disc", []).append(value)
        result = {name: float(np.mean(values)) for name, values in dice.items()}
        result[MEAN] = float(np.mean(list(result.values())))
        return result

    def seen_by(
        self, network: SliceNetwork, style: str | None = None
    ) -> Iterator[SeenDisc]:
        """Yield each disc as a network outlines it.

        Parameters
        ----------
        network
            Told a style or not, as the settings say.
        style
            Which; that of each disc's source if None.
        """
        network.eval()
        names, style_of = self._settings.styles, styles_of(self._settings)
        for place in self._places:
            if not names:
                told = 0
            elif style is None:
                told = style_of[place.case.source]
            else:
                told = names.index(style)
            yield self._seen(network, place, told)

    def _seen(self, network: SliceNetwork, place: DiscPlace, style: int) -> SeenDisc:
        case, settings = place.case, self._settings
        frame = case.frame
        count, rows, columns = case.grey.shape
        shape = (count, rows, columns)
        whole = SagittalGrid(
            frame=frame, shape=shape, source_frame=frame, source_shape=shape
        )
        grid = turned_grid(
            whole,
            place.middle_mm,
            place.turn_rad,
            place.slices,
            settings.training.crop,
            settings.spacing_mm,
        )
        grey = case.grey.astype(np.float32)
        pictures = np.stack(
            [sample_picture(grid, grey, index) for index in range(grid.shape[0])]
        )
        scaled = normalise_slices(pictures, settings.normalisation)
        reach = settings.network.context
        seen = torch.from_numpy(
            np.stack(
                [with_neighbours(scaled, index, reach) for index in range(len(scaled))]
            )
        )
        told = with_style(seen, [style] * len(seen), len(settings.styles))
        device = next(network.parameters()).device
        with torch.inference_mode():
            logits = logits_of(network, told.to(device))
        guess = logits.argmax(dim=1).cpu().numpy() == 1
        allowed = _crop_labels(case.allowed, grid)
        truth, known = decided(allowed, (Label.DISC,))
        return SeenDisc(place=place, drawn=truth & known, found=guess & known)


def _crop_labels(allowed: NDArray[np.uint8], grid: SagittalGrid) -> NDArray[np.uint8]:
    matrix, offset = grid.plane_map(to_source=True)
    return np.stack(
        [
            resample(
                allowed[grid.source_slice(index)],
                matrix,
                offset,
                grid.shape[1:],
                order=0,
                outside=1 << Label.BACKGROUND,
            )
            for index in range(grid.shape[0])
        ]
    )
