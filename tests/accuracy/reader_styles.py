"""Scores a second look that is told how a source's readers draw, in each style.

Run as `python -m tests.accuracy.reader_styles SETTINGS WEIGHTS [public_test]`, with the
settings of a training and the folder of its run, or a file of weights. Discs are cut
out where they were drawn, on patients of `train` that the settings hold out of it, or
on `public_test`. SPIDER's hard patients stand by themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from analysis.inference.unet import SliceNetwork, UNet
from analysis.training.commands import split_cases
from analysis.training.disc_fold import DiscFold, SeenDisc
from analysis.training.readers import read_cases
from analysis.training.run import load_average
from analysis.training.scores import dice_of
from analysis.training.settings import Settings, read_settings
from analysis.training.sources import LabelledCase
from tests.accuracy.lumbar import agreement
from tests.support import spider

_HARD = frozenset({"050", "065", "098", "146", "152", "162", "220"})
"""Scoliosis, metal, collapsed discs: see `disc_hard.yaml`."""
_SPIDER = "spider_t2space"
_CENTRAL = 0.8
"""Of the drawn length, over which heights are compared."""
_MIDDLE_SHARE = 0.5
"""Of a disc's largest area that a slice must show to be measured."""
_BEYOND_MM = 3.0
"""Above and below a disc; what lies further away is another one."""


def heights_mm(seen: SeenDisc, pixel_mm: float) -> tuple[float, float] | None:
    """Return the mean height of a disc as drawn and as found; None if not drawn."""
    rows = seen.drawn.shape[1]
    reach = round((seen.place.half_height_mm + _BEYOND_MM) / pixel_mm)
    near = slice(max(0, rows // 2 - reach), rows // 2 + reach)
    drawn, found = seen.drawn[:, near], seen.found[:, near]
    areas = drawn.sum(axis=(1, 2))
    measured: list[tuple[float, float]] = []
    for index in np.flatnonzero(areas >= max(1, _MIDDLE_SHARE * areas.max())):
        columns = np.flatnonzero(drawn[index].any(axis=0))
        margin = (1 - _CENTRAL) / 2 * (columns[-1] - columns[0])
        part = slice(round(columns[0] + margin), round(columns[-1] - margin) + 1)
        one, two = (
            float(mask[index][:, part].sum(axis=0).mean()) * pixel_mm
            for mask in (drawn, found)
        )
        measured.append((one, two))
    if not measured:
        return None
    one, two = np.array(measured).mean(axis=0).tolist()
    return one, two


def group_of(case: LabelledCase) -> str:
    """Return under which heading a patient is scored."""
    hard = case.source == _SPIDER and case.patient in _HARD
    return f"{case.source}, hard" if hard else case.source


def rows(
    fold: DiscFold, network: SliceNetwork, style: str | None, settings: Settings
) -> Iterable[str]:
    """Yield a row of the table for each group."""
    dice: dict[str, list[float]] = {}
    heights: dict[str, list[tuple[float, float]]] = {}
    for seen in fold.seen_by(network, style):
        group = group_of(seen.place.case)
        both = heights_mm(seen, settings.spacing_mm)
        value = dice_of(seen.drawn, seen.found)
        if both is not None and value is not None:
            heights.setdefault(group, []).append(both)
            dice.setdefault(group, []).append(value)
    for group, values in dice.items():
        yield (
            f"| {style or 'its own'} | {group} | {len(values)} "
            f"| {np.mean(values):.3f} | {_compared(np.array(heights[group]))} |"
        )


def _compared(both: NDArray[np.float64]) -> str:
    drawn, found = both.T
    gap = found - drawn
    return (
        f"{gap.mean():+.2f} | {np.abs(gap).mean():.2f} | {gap.std(ddof=1):.2f} "
        f"| {agreement(drawn, found):.3f}"
    )


def _network(weights: Path, settings: Settings) -> SliceNetwork:
    if weights.is_dir():
        return load_average(settings, weights)[0]
    return UNet.of_weights(load_file(weights))


def _cases(settings: Settings, split: str) -> list[LabelledCase]:
    if split == "train":
        return split_cases(settings, spider.SHARED)[1]
    return [
        case
        for source in settings.sources
        for case in read_cases(spider.SHARED, source, split)
    ]


def main(settings_file: str, weights: str, split: str = "train") -> None:
    """Print the table: in the style of each source, and all in each style."""
    torch.set_num_threads(1)
    settings = read_settings(Path(settings_file))
    network = _network(Path(weights), settings)
    fold = DiscFold(settings, _cases(settings, split))
    styles: Sequence[str | None] = (None, *settings.styles)
    write = sys.stdout.write
    write("| style | discs of | n | Dice | height bias (mm) | mean abs. | SD | ICC |\n")
    write("|---|---|---|---|---|---|---|---|\n")
    for style in styles:
        for row in rows(fold, network, style, settings):
            write(row + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
