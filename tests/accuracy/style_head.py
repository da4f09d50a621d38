"""Tries what the last layers of the second look would learn of another reader's style.

Run as `python -m tests.accuracy.style_head`. The second look is kept as it ships, but
for its last block and its head, which learn anew from discs of MRSpineSeg, `train`, cut
out where they were drawn. What the frozen layers see of each crop is computed once.
Three folds over patients tell the figures of `train`; the fit to all of it those of
`public_test`. Nothing of it ships.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate
from tqdm import tqdm

from analysis.imaging.resample import resample
from analysis.imaging.sagittal_grid import SagittalGrid, sample_picture, turned_grid
from analysis.inference.model_card import MODELS
from analysis.inference.normalise import normalise_slices, with_neighbours
from analysis.inference.unet import UNet
from analysis.training.disc_places import DiscPlace, places_of
from analysis.training.labels import Label
from analysis.training.loss import marginal_loss
from analysis.training.readers import read_cases
from analysis.training.settings import Settings, SourceSettings, read_settings
from tests.accuracy.reader_style import agreement
from tests.support import spider

_SETTINGS = Path("analysis/training/disc.yaml")
_SOURCE = SourceSettings(
    reader="middle_slices",
    folder="mrspineseg2d",
    share=1.0,
    validation=(),
    s1_share=0.0,
)
_SEED, _FOLDS, _EPOCHS, _BATCH, _RATE = 20261129, 3, 5, 16, 0.005
_CENTRAL = 0.8
"""Of the drawn length, over which heights are compared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crops:
    """Discs cut out where they were drawn.

    Parameters
    ----------
    patient : ndarray, shape (N,), str
    seen : Tensor, shape (N, 16, R, C), float16
        What the last block is given.
    drawn : Tensor, shape (N, R, C), bool
    """

    patient: NDArray[np.str_]
    seen: Tensor
    drawn: Tensor


class Frozen(nn.Module):
    """The second look without its last block."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network.eval()

    @torch.no_grad()
    def forward(self, crops: Tensor) -> Tensor:
        """Return what the last block is given."""
        network, skips = self.network, []
        features = crops
        for block in network.encoder:
            features = block(features)
            skips.append(features)
        skips.pop()
        steps = list(zip(network.narrow, network.decoder, strict=True))
        for narrow, block in steps[:-1]:
            wide = interpolate(narrow(features), scale_factor=2.0, mode="bilinear")
            features = block(wide + skips.pop())
        wide = interpolate(steps[-1][0](features), scale_factor=2.0, mode="bilinear")
        given: Tensor = wide + skips.pop()
        return given


def last_layers(network: UNet) -> nn.Sequential:
    """Return a copy of the last block and the head, as they ship."""
    return copy.deepcopy(nn.Sequential(network.decoder[-1], network.head)).eval()


def read_crops(split: str, settings: Settings, network: UNet) -> Crops:
    """Cut out every drawn disc of a split and look at it once."""
    frozen = Frozen(network)
    patients, seen, drawn = [], [], []
    for case in read_cases(spider.SHARED, _SOURCE, split):
        for place in places_of(case):
            crop, mask = _crop(place, settings)
            patients.append(case.patient)
            seen.append(frozen(crop)[0].half())
            drawn.append(mask)
    return Crops(
        patient=np.array(patients), seen=torch.stack(seen), drawn=torch.stack(drawn)
    )


def _crop(place: DiscPlace, settings: Settings) -> tuple[Tensor, Tensor]:
    case = place.case
    shape = (len(case.grey), *case.grey.shape[1:])
    whole = SagittalGrid(
        frame=case.frame, shape=shape, source_frame=case.frame, source_shape=shape
    )
    grid = turned_grid(
        whole,
        place.middle_mm,
        place.turn_rad,
        range(1),
        settings.training.crop,
        settings.spacing_mm,
    )
    picture = sample_picture(grid, case.grey.astype(np.float32), 0)[None]
    scaled = normalise_slices(picture, settings.normalisation)
    stack = with_neighbours(scaled, 0, settings.network.context)
    exact = (case.allowed[0] == 1 << Label.DISC).astype(np.float32)
    matrix, offset = grid.plane_map(to_source=True)
    mask = resample(exact, matrix, offset, grid.shape[1:], order=1) > 1 / 2
    # Another disc in the same crop is not this one, and teaches all the same.
    return torch.from_numpy(stack[None]), torch.from_numpy(mask)


def taught(layers: nn.Sequential, crops: Crops, chosen: NDArray[np.bool_]) -> None:
    """Teach the last layers the chosen crops."""
    chance = torch.Generator().manual_seed(_SEED)
    places = torch.from_numpy(np.flatnonzero(chosen))
    steps = _EPOCHS * -(-len(places) // _BATCH)
    optimiser = torch.optim.AdamW(layers.parameters(), lr=_RATE, weight_decay=1e-4)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    for _ in tqdm(range(_EPOCHS), unit="epoch"):
        order = places[torch.randperm(len(places), generator=chance)]
        for batch in torch.split(order, _BATCH):
            truth = crops.drawn[batch]
            loss = marginal_loss(
                layers(crops.seen[batch].float()),
                torch.stack([~truth, truth], dim=1),
                torch.ones(truth.shape),
                dice_weight=1.0,
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch stub
            optimiser.step()
            plan.step()


@torch.no_grad()
def found_by(layers: nn.Sequential, crops: Crops) -> NDArray[np.bool_]:
    """Return what the layers take for disc, shape (N, R, C)."""
    parts = [
        layers(part.float()).argmax(dim=1) == 1 for part in torch.split(crops.seen, 32)
    ]
    return torch.cat(parts).numpy()


def figures(found: NDArray[np.bool_], crops: Crops, spacing_mm: float) -> str:
    """Return Dice and the agreement of heights over the central 80 %."""
    drawn = crops.drawn.numpy()
    dice, heights = [], []
    for own, true in zip(found, drawn, strict=True):
        dice.append(2 * (own & true).sum() / max(1, own.sum() + true.sum()))
        columns = np.flatnonzero(true.any(axis=0))
        margin = (1 - _CENTRAL) / 2 * (columns[-1] - columns[0])
        part = slice(round(columns[0] + margin), round(columns[-1] - margin) + 1)
        heights.append(
            [mask[:, part].sum(axis=0).mean() * spacing_mm for mask in (own, true)]
        )
    own_mm, true_mm = np.array(heights).T
    return f"{len(dice)} | {np.mean(dice):.3f} | {agreement(own_mm, true_mm)}"


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(_SEED)
    settings = read_settings(_SETTINGS)
    network = UNet.of_weights(load_file(MODELS / "disc.safetensors"))
    train = read_crops("train", settings, network)
    names = np.unique(train.patient)
    fold = np.random.default_rng(_SEED).permutation(len(names)) % _FOLDS
    of_disc = fold[np.searchsorted(names, train.patient)]
    shipped = last_layers(network)
    left_out = np.zeros(train.drawn.shape, np.bool_)
    for number in range(_FOLDS):
        layers = last_layers(network)
        taught(layers, train, of_disc != number)
        left_out[of_disc == number] = found_by(layers, train)[of_disc == number]
    every = last_layers(network)
    taught(every, train, np.ones(len(of_disc), np.bool_))
    test = read_crops("public_test", settings, network)
    write = sys.stdout.write
    write("| second look alone | discs | Dice | height bias | SD | r | ICC |\n")
    write("|---|---|---|---|---|---|---|\n")
    for name, found, crops in (
        ("as it ships, train", found_by(shipped, train), train),
        ("last layers in their style, train, left out", left_out, train),
        ("as it ships, public_test", found_by(shipped, test), test),
        ("last layers in their style, public_test", found_by(every, test), test),
    ):
        write(f"| {name} | {figures(found, crops, settings.spacing_mm)} |\n")


if __name__ == "__main__":
    main()
