"""The trained networks of the lumbar analysis, loaded and checked together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.contract.errors import AnalysisFailed
from analysis.inference.model_card import MODELS, ModelCard, read_card
from analysis.inference.places import Crop, Mixing, Sampling
from analysis.lumbar.anatomy.structures import CLASSES, DISC_CLASSES
from analysis.lumbar.anatomy.tissue_map import PIXEL_MM

TISSUE, DISC = "lumbar", "disc"
"""Names of the networks: of whole slices, and of one disc at a time."""
DISC_PIXEL_MM = 0.5
"""The grid on which the second network looks at a disc."""


class Segmenter(Protocol):
    """A trained network, as `analysis.inference` loads it."""

    @property
    def card(self) -> ModelCard:
        """What the network is."""

    @property
    def missed(self) -> str:
        """Why it does not run on the device asked for; empty where it does."""

    @property
    def runtime(self) -> str:
        """The library that runs it, its version and the precision, as of now."""

    def probabilities(
        self, slices: NDArray[np.float32], part: slice = slice(None)
    ) -> NDArray[np.float32]:
        """Map grey values (K, R, C) to probabilities (slices in part, N, R, C)."""


class SliceSegmenter(Segmenter, Protocol):
    """A network that sees the slices of a whole series."""

    def in_steps(self, slices: NDArray[np.float32], steps: int) -> NDArray[np.uint8]:
        """Map grey values (K, R, C) to probabilities in steps (K, N, R, C)."""


class SeriesOnDevice(Protocol):
    """A series that lies on a device, as `analysis.inference.device` takes it there.

    Each method raises `DeviceFailed` where the device gives out.
    """

    def look_first(self, sampling: Sampling) -> None:
        """Find the tissues of whole slices."""

    def look_again(self, crops: Sequence[Crop], rule: Mixing) -> None:
        """Outline structures anew, each in its crop, and mix both looks."""

    def mix_slices(self, weights: NDArray[np.float64]) -> None:
        """Replace each slice of the probabilities by a mean of slices."""

    def tissue(self) -> NDArray[np.uint8]:
        """Bring down the likeliest class of each pixel (K, R, C)."""

    def probability(self) -> NDArray[np.uint8]:
        """Bring down the probabilities (K, N, R, C), in steps."""


class Chain(Protocol):
    """Both networks and all that lies between them, on one device."""

    @property
    def missed(self) -> str:
        """Why the device is not used any more; empty where it is."""

    def series(self, voxels: NDArray[np.float32], steps: int) -> SeriesOnDevice:
        """Bring a series onto the device, or raise `DeviceFailed`."""

    def leave(self, why: str) -> None:
        """Leave the device for the CPU, for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """What looks at a series.

    Parameters
    ----------
    tissue
        Tells the tissues of whole slices.
    disc
        Outlines one disc in a crop; None where there is to be no second look.
    chain
        Has both on a device, and does there what lies between; None on the CPU.

    Raises
    ------
    AnalysisFailed
        If one is not a network that this code was written for.
    """

    tissue: SliceSegmenter
    disc: Segmenter | None = None
    chain: Chain | None = None

    def __post_init__(self) -> None:
        _expect(self.tissue.card, CLASSES, PIXEL_MM)
        if self.disc is not None:
            _expect(self.disc.card, DISC_CLASSES, DISC_PIXEL_MM)

    @property
    def missed(self) -> str:
        """Why one does not run on the device asked for; empty where all do."""
        return self.tissue.missed or (self.disc.missed if self.disc else "")

    @property
    def runtime(self) -> str:
        """What runs them, as of now; joined by `+` where that differs."""
        both = (self.tissue, self.disc)
        return "+".join(dict.fromkeys(one.runtime for one in both if one is not None))

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """What they are."""
        both = (self.tissue, self.disc)
        return tuple(one.card for one in both if one is not None)

    @property
    def weights_sha256(self) -> str:
        """Stands for the weights of all: see `weights_digest`."""
        return weights_digest(self.cards)


def load_networks(
    *, threads: int = 2, device: str = "cpu", folder: Path | None = None
) -> Networks:
    """Load the networks of this package.

    Parameters
    ----------
    threads, device, folder
        As `analysis.inference.engine.load_segmenter` takes them.

    Raises
    ------
    AnalysisFailed
        If one is missing, damaged, or not one that this code was written for.
    """
    # OpenVINO comes with it; an idle process does without.
    from analysis.inference.engine import load_segmenter

    load = partial(load_segmenter, threads=threads, device=device, folder=folder)
    # To compile a network lets other threads run; a GPU takes one after the other.
    at_once = 1 if device.startswith("cuda") else min(threads, 2)
    with ThreadPoolExecutor(at_once) as pool:
        tissue, disc = pool.map(load, (TISSUE, DISC))
    return Networks(tissue=tissue, disc=disc)


def shipped_weights() -> str:
    """Return the digest of the networks of this package, from their cards alone.

    Raises
    ------
    AnalysisFailed
        If a card is missing or incomplete.
    """
    return weights_digest([read_card(name, MODELS) for name in (TISSUE, DISC)])


def weights_digest(cards: Sequence[ModelCard]) -> str:
    """Return one SHA-256 for the weights of several networks.

    It is that of their digests in hexadecimal, one after the other.
    """
    digests = "".join(card.weights_sha256 for card in cards)
    return hashlib.sha256(digests.encode()).hexdigest()


def _expect(card: ModelCard, classes: tuple[str, ...], pixel_mm: float) -> None:
    if card.classes != classes or card.spacing_mm != pixel_mm:
        message = (
            f"network {card.name} {card.version}: expected classes {classes} at "
            f"{pixel_mm} mm, got {card.classes} at {card.spacing_mm} mm"
        )
        raise AnalysisFailed(message)
