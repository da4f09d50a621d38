"""Train the architectures on the same crops and set their figures side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from analysis.inference.network import SliceNetwork
from analysis.training.settings import DEFAULT_SETTINGS, Settings, read_settings
from analysis.training.validation import DISC_DISTANCE, DISC_HD95

RIVALS = ("compact", "unet", "bianquenet")
_TIMED_SHAPE = (384, 320)  # a SPIDER slice on the network's grid, padded
_REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One network in the table.

    Parameters
    ----------
    name
        Of its settings.
    steps
        That it has learnt for.
    weights
        Number of its parameters.
    slice_ms
        Median time of one slice in torch on the CPU (ms).
    figures
        From `validation.Fold.figures`.
    """

    name: str
    steps: int
    weights: int
    slice_ms: float
    figures: Mapping[str, float]


def rival_settings(steps: int | None) -> list[Settings]:
    """Read the settings of all rivals; all run for as many steps."""
    found = []
    for name in RIVALS:
        settings = read_settings(DEFAULT_SETTINGS.with_name(f"{name}.yaml"))
        training = replace(settings.training, steps=steps or settings.training.steps)
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
    names = [name for name in entries[0].figures if " " in name]
    lines = [
        "# Networks side by side",
        "",
        "Written by `lumbar-node-train compare`. All began with random weights and saw "
        "the same crops in the same order; figures are of the end of each run, on "
        "patients of the validation fold, at native resolution: "
        f"{', '.join(patients)}.",
        "",
        f"| | {' | '.join(entry.name for entry in entries)} |",
        "|---|" + "---|" * len(entries),
        _row("steps", [str(entry.steps) for entry in entries]),
        _row("parameters (million)", [f"{e.weights / 1e6:.1f}" for e in entries]),
        _row(
            f"ms a slice of {_TIMED_SHAPE[0]} x {_TIMED_SHAPE[1]}, torch, "
            f"{torch.get_num_threads()} threads",
            [f"{entry.slice_ms:.0f}" for entry in entries],
        ),
    ]
    for name in names:
        digits = 2 if name.endswith((DISC_DISTANCE, DISC_HD95)) else 3
        values = [entry.figures.get(name, np.nan) for entry in entries]
        lines.append(_row(name, [f"{value:.{digits}f}" for value in values]))
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _row(name: str, values: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(values)} |"
