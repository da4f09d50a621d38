"""A stand-in for the lumbar network: it knows the phantom and answers from that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.inference.model_card import ModelCard
from analysis.inference.normalise import Normalisation
from analysis.lumbar.anatomy.structures import CLASSES
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM
from analysis.lumbar.find.networks import Networks

CARD = ModelCard(
    name="stand-in",
    version="0",
    weights_sha256="5" * 64,
    graph_sha256="6" * 64,
    classes=CLASSES,
    spacing_mm=PIXEL_MM,
    stride=1,
    context=0,
    normalisation=Normalisation(),
)


@dataclass(slots=True)
class PhantomSegmenter:
    """Answers slice after slice, whatever the slices show.

    Parameters
    ----------
    planes : ndarray, shape (K, 6, R, C), uint8
        Probabilities in 255ths of all slices of the series to come.
    """

    planes: NDArray[np.uint8]
    card: ModelCard = CARD
    missed: str = ""
    runtime: str = "none"
    done: int = 0

    def in_steps(self, slices: NDArray[np.float32], steps: int) -> NDArray[np.uint8]:
        """Return the probabilities of the next slices, (K, 6, R, C)."""
        assert steps == FULL
        planes = self.planes[self.done : self.done + len(slices)]
        self.done = (self.done + len(slices)) % len(self.planes)
        return planes.copy()

    def probabilities(
        self, slices: NDArray[np.float32], part: slice = slice(None)
    ) -> NDArray[np.float32]:
        """Return the same, whole."""
        planes = self.in_steps(slices[part], FULL)
        return planes.astype(np.float32) / np.float32(FULL)


def phantom_networks(planes: NDArray[np.uint8], card: ModelCard = CARD) -> Networks:
    """Return networks that know the phantom at the first look."""
    return Networks(tissue=PhantomSegmenter(planes, card=card))
