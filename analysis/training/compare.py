"""Train the architectures on the same crops and set their figures side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from analysis.inference.unet import SliceNetwork
from analysis.training.settings import DEFAULT_SETTINGS, Settings, read_settings
from analysis.training.validation import DISC_DISTANCE, DISC_HD95

RIVALS = ("compact", "unet", "bianquenet")
_TIMED_SHAPE = (384, 320)  # a SPIDER slice on the network's grid, padded
_REPEATS = 5
_SAVE_EVERY_STEPS = 10  # a step of the largest takes a quarter of a minute on two cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What every network may learn from; None is what `lumbar.yaml` says.

    Parameters
    ----------
    steps
        Of the optimiser.
    batch
        Crops in a step.
    crop
        Rows and columns of a crop.
    """

    steps: int | None = None
    batch: int | None = None
    crop: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One network in the table.

    Parameters
    ----------
    name
        Of its settings.
    crops
        That it has learnt from.
    weights
        Number of its parameters.
    slice_ms
        Median time of one slice in torch on the CPU (ms).
    figures
        From `validation.Fold.figures`.
    """

    name: str
    crops: int
    weights: int
    slice_ms: float
    figures: Mapping[str, float]


def rival_settings(budget: Budget) -> list[Settings]:
    """Read the settings of all rivals; all have the same budget.

    They are scored once, at the end: a network of this size takes longer to score the
    fold than to learn for a hundred steps.
    """
    found = []
    for name in RIVALS:
        settings = read_settings(DEFAULT_SETTINGS.with_name(f"{name}.yaml"))
        usual = settings.training
        steps = budget.steps or usual.steps
        training = replace(
            usual,
            steps=steps,
            batch=budget.batch or usual.batch,
            crop=budget.crop or usual.crop,
            validate_every_steps=steps,
            save_every_steps=_SAVE_EVERY_STEPS,
        )
        found.append(replace(settings, training=training))
    return found


def time_slice(network: SliceNetwork, channels: int) -> float:
    """Return the median time of one slice (ms), on the CPU and threads of torch."""
    network = network.cpu().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stub
    slices = torch.zeros((1, channels, *_TIMED_SHAPE))
    slices = slices.contiguous(memory_format=torch.channels_last)
    taken = []
    with torch.inference_mode():
        for _ in range(_REPEATS):
            started = time.perf_counter()
            network(slices)
            taken.append(time.perf_counter() - started)
    return 1000 * float(np.median(taken))


def write_table(entries: Sequence[Entry], patients: Sequence[str], path: Path) -> None:
    """Write the comparison as Markdown."""
    head, *figures = figure_rows({entry.name: entry.figures for entry in entries})
    lines = [
        "# Networks side by side",
        "",
        "Written by `lumbar-node-train compare`. All began with random weights and saw "
        "the same crops in the same order; figures are of the end of each run, on "
        "patients of the validation fold, at native resolution: "
        f"{', '.join(patients)}.",
        "",
        head,
        "|---|" + "---|" * len(entries),
        _row("crops seen", [str(entry.crops) for entry in entries]),
        _row("parameters (million)", [f"{e.weights / 1e6:.1f}" for e in entries]),
        _row(
            f"ms a slice of {_TIMED_SHAPE[0]} x {_TIMED_SHAPE[1]}, torch, "
            f"{torch.get_num_threads()} threads",
            [f"{entry.slice_ms:.0f}" for entry in entries],
        ),
    ]
    path.write_text("\n".join([*lines, *figures, ""]), encoding="utf-8")


def figure_rows(columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a head and a row for each figure, in Markdown.

    Parameters
    ----------
    columns
        Of each run the figures of its fold; they are those of the first.
    """
    first, *_ = columns.values()
    rows = [f"| | {' | '.join(columns)} |"]
    for name in first:
        if " " not in name:
            continue
        digits = 2 if name.endswith((DISC_DISTANCE, DISC_HD95)) else 3
        values = [figures.get(name, np.nan) for figures in columns.values()]
        rows.append(_row(name, [f"{value:.{digits}f}" for value in values]))
    return rows


def _row(name: str, values: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(values)} |"
