"""Loss and validation curves of a run, as a picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.training.run import Progress
from analysis.training.validation import MEAN

_WINDOW_STEPS = 50  # of the moving mean that makes the loss readable


def draw_curves(progress: Progress, path: Path) -> None:
    """Draw the loss of each step and the Dice of each validation as PNG."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    losses = np.asarray(progress.losses)
    window = max(1, min(_WINDOW_STEPS, losses.size))
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    left.plot(losses, color="0.85", linewidth=0.5)
    left.plot(np.arange(smooth.size) + window - 1, smooth, color="tab:blue")
    left.set_xlabel("step")
    left.set_ylabel("loss, training crops")
    if losses.size:
        left.set_ylim(0, math.ceil(float(smooth.max()) * 5) / 5)

    steps = [row["step"] for row in progress.validations]
    for name in progress.validations[-1] if progress.validations else ():
        if name in {"step", "minutes"} or name.endswith("_mm"):
            continue
        values = [row[name] for row in progress.validations]
        width = 2.5 if name == MEAN else 1.0
        right.plot(steps, values, marker=".", linewidth=width, label=name)
    right.set_xlabel("step")
    right.set_ylabel("Dice, validation patients")
    right.set_ylim(0.7, 1.0)
    right.legend(loc="lower right", fontsize=6)
    figure.savefig(path, dpi=110)
