"""Draws the worst discs of SPIDER's `train`: what was drawn, and what was found.

`python -m tests.accuracy.failures docs/accuracy/failures.png`. A row a disc, a column a
slice; green the drawn outline, red the one found, yellow where they meet. SPIDER alone
may be shown (CC-BY-4.0, attribution in docs/model-card.md).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from analysis.lumbar.anatomy.structures import DISCS, Structure
from analysis.lumbar.find.networks import Networks, load_networks
from analysis.training.overlay import save_sheet
from tests.accuracy.report import named
from tests.support import spider

# The four worst discs of the split, at most one a patient and kind of failure.
WORST = (("050", DISCS[1]), ("152", DISCS[1]), ("220", DISCS[3]), ("078", DISCS[0]))
_HEIGHT_PX = 150
_SIDE_PX = (110, 150)
"""Rows and columns of each crop."""


def edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the outermost pixels of a mask."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def row(patient: str, disc: Structure, networks: Networks) -> list[NDArray[np.uint8]]:
    """Return one picture a slice."""
    drawn = spider.read_disc_instances(patient) == DISCS.index(disc) + 1
    found = named(patient, networks)[0] == disc.number
    centre = np.argwhere(drawn).mean(axis=0)[1:].round().astype(int)
    half = np.array(_SIDE_PX) // 2
    low = np.maximum(centre - half, 0)
    window = tuple(slice(a, b) for a, b in zip(low, low + _SIDE_PX, strict=True))
    pictures = []
    for index, whole in enumerate(spider.read_volume(patient).voxels):
        grey = whole[window]
        tone = np.clip(grey / np.percentile(whole, 99), 0, 1) * 255
        shown = np.repeat(tone[..., None], 3, axis=2)
        green = edge(drawn[index])[window]
        red = edge(found[index])[window]
        shown[green | red] = 0
        shown[green, 1] = 255
        shown[red, 0] = 255
        pictures.append(shown.astype(np.uint8))
    return pictures


def main(out: Path) -> None:
    """Draw them all."""
    networks = load_networks(threads=2)
    rows = [row(patient, disc, networks) for patient, disc in WORST]
    save_sheet(rows, out, height_px=_HEIGHT_PX)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
