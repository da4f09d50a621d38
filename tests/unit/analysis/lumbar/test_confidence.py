"""Confidence of an outline follows from the probabilities of its pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.imaging.grid import sagittal_grid
from analysis.lumbar.anatomy import DISCS, Tissue
from analysis.lumbar.confidence import outline_confidence
from analysis.lumbar.segment import FULL, PIXEL_MM, TissueMap
from tests.support.wedge_spine import Layout, map_of

L5_S1, L4_L5 = (disc.number for disc in DISCS[:2])


def _one_disc(inside: float, outside: float) -> tuple[TissueMap, NDArray[np.uint8]]:
    """A disc of 10 x 30 pixels; its probability there, and everywhere else."""
    grid = sagittal_grid(*Layout(size_mm=(12.0, 80.0, 80.0)).frame(), PIXEL_MM)
    share = np.full((grid.shape[0], 6, *grid.shape[1:]), 0.0)
    share[:, Tissue.DISC] = outside
    share[1, Tissue.DISC, 40:50, 30:60] = inside
    share[:, Tissue.BACKGROUND] = 1 - share[:, Tissue.DISC]
    names = np.zeros((grid.shape[0], *grid.shape[1:]), np.uint8)
    names[1, 40:50, 30:60] = L5_S1
    return map_of(grid, np.rint(share * FULL).astype(np.uint8)), names


def test_a_certain_outline_is_expected_to_be_right() -> None:
    assert outline_confidence(*_one_disc(1.0, 0.0)) == {L5_S1: pytest.approx(1.0)}


def test_doubt_inside_lowers_it_as_the_overlap_would() -> None:
    # Of 300 pixels 180 are expected to be disc: 2 * 180 / (300 + 180).
    found = outline_confidence(*_one_disc(0.6, 0.0))
    assert found[L5_S1] == pytest.approx(0.75, abs=0.005)


def test_what_may_have_been_missed_beside_it_counts_too() -> None:
    # Steps of 3 along the axes: 3 pixels on each of 80 border pixels, and 4 corners
    # of 3 more; a fifth of these 252 pixels is expected to be disc as well.
    found = outline_confidence(*_one_disc(1.0, 0.2))
    assert found[L5_S1] == pytest.approx(2 * 300 / (300 + 300 + 50.4), abs=0.005)


def test_a_few_pixels_say_nothing() -> None:
    tissues, names = _one_disc(1.0, 0.0)
    names[1, 45, 30:60] = L4_L5
    names[1, 46, 30:35] = L4_L5 + 1
    assert set(outline_confidence(tissues, names)) == {L5_S1, L4_L5}
