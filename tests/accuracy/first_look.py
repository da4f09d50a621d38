"""Scores a first look that is told how a source's readers draw, in each style.

Run as `python -m tests.accuracy.first_look SETTINGS WEIGHTS [public_test] [--style S]`,
with the settings of a training and the folder of its run, or a file of weights of a
network that is told none. At native resolution, on patients of `train` that the
settings hold out of it, or on `public_test`; of long series nine slices. Without
`--style` each source in that of its readers. Names one row for each source and class.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from analysis.inference.unet import SliceNetwork, UNet
from analysis.training.commands import split_cases
from analysis.training.readers import read_cases
from analysis.training.run import load_average
from analysis.training.settings import Settings, read_settings
from analysis.training.sources import LabelledCase
from analysis.training.validation import Fold
from tests.support import spider


def _cases(settings: Settings, split: str) -> list[LabelledCase]:
    if split == "train":
        return split_cases(settings, spider.SHARED)[1]
    scored = [source for source in settings.sources if source.validation]
    return [case for one in scored for case in read_cases(spider.SHARED, one, split)]


def _network(weights: Path, settings: Settings) -> SliceNetwork:
    if weights.is_dir():
        return load_average(settings, weights)[0]
    return UNet.of_weights(load_file(weights))


def main(settings_file: Path, weights: Path, split: str, style: str | None) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    settings = read_settings(settings_file)
    network = _network(weights, settings)
    fold = Fold(settings, _cases(settings, split))
    write = sys.stdout.write
    write("| source and class | figure |\n|---|---|\n")
    for name, value in fold.figures(network, style).items():
        write(f"| {name} | {value:.3f} |\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("split", nargs="?", default="train")
    parser.add_argument("--style")
    chosen = parser.parse_args()
    main(chosen.settings, chosen.weights, chosen.split, chosen.style)
