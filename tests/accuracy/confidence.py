"""Compares the confidence of outlines with their overlap with hand-drawn ones.

Run as `python -m tests.accuracy.confidence train` or `... public_test`. Prints how well
it tells the worst tenth of each kind of structure, and the line that fits true to
expected overlap: near 0 + 1 x on `train`, or the calibration of discs is out of date.
Discs and bodies are compared in the slices in which they are measured. What got another
name than the reader's is left out: that is no matter of outlines.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE, Structure
from analysis.lumbar.check.series import examine
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.judge.outline_confidence import (
    UNCERTAIN_BODY,
    UNCERTAIN_DISC,
    outline_confidence,
)
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.training.scores import dice_of
from tests.accuracy.report import drawn
from tests.support import spider

_KINDS = {
    "disc": (DISCS[:5], UNCERTAIN_DISC),
    "body": (VERTEBRAE[1:6], UNCERTAIN_BODY),
    "canal": ((CANAL,), 0.0),
}
_WORST = 0.1
_MISSED = 0.0
"""Confidence and overlap of a structure that was not found."""


def pairs(split: str) -> dict[str, list[tuple[float, float]]]:
    """Return expected and true overlap of every drawn structure, by kind."""
    networks = load_networks(threads=2)
    found = defaultdict(list)
    for patient in spider.patients(split):
        truth = drawn(patient)
        tissues = segment(examine(spider.read_volume(patient)), networks)
        anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
        names = anatomy.levels.names
        labels = label_source(tissues, names)
        expected = outline_confidence(tissues, names, slices=anatomy.measured_slices())
        for kind, (structures, _) in _KINDS.items():
            for structure in structures:
                true = true_overlap(anatomy, truth, labels, structure)
                if true is not None:
                    found[kind].append((expected.get(structure.number, _MISSED), true))
    return found


def true_overlap(
    anatomy: Anatomy,
    truth: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    structure: Structure,
) -> float | None:
    """Return the overlap of a structure with the drawn one where it is measured.

    Returns
    -------
    float or None
        None where it was not drawn, or got another name than the reader's.
    """
    number, grid = structure.number, anatomy.tissues.grid
    slices = anatomy.measured_slices().get(number, range(len(labels)))
    sources = [grid.source_slice(index) for index in slices]
    drawn, own = truth[sources] == number, labels[sources] == number
    if not drawn.any() or (own.any() and not (drawn & own).any()):
        return None
    return dice_of(drawn, own)


def separation(score: NDArray[np.float64], bad: NDArray[np.bool_]) -> float:
    """Return how often a bad one has the lower score: the area under the ROC curve."""
    low, high = score[bad][:, None], score[~bad][None]
    return float(((low < high) + 0.5 * (low == high)).mean())


def main(split: str) -> None:
    """Print one line for each kind of structure."""
    for kind, rows in pairs(split).items():
        expected, true = np.array(rows).T
        bad = true <= np.quantile(true, _WORST)
        flagged = expected < _KINDS[kind][1]
        slope, offset = np.polyfit(expected, true, 1)
        sys.stdout.write(
            f"{kind}: n {len(true)}, expected {expected.mean():.3f}, true "
            f"{true.mean():.3f}, mean abs. error {np.abs(expected - true).mean():.3f}; "
            f"worst tenth (true <= {true[bad].max():.3f}): AUC "
            f"{separation(expected, bad):.3f}, flagged {int((flagged & bad).sum())} of "
            f"{int(bad.sum())} with {int(flagged.sum())} flags; true = {offset:.3f} + "
            f"{slope:.3f} x expected\n"
        )


if __name__ == "__main__":
    main(sys.argv[1])
