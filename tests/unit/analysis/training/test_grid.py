"""Pictures go to the network's grid and back without moving."""

import numpy as np
import pytest

from analysis.training.grid import from_grid, to_grid

SPACING_MM = (0.46875, 0.5)
GRID_MM = 0.8


def test_the_new_grid_covers_the_picture() -> None:
    slices = np.zeros((2, 640, 512), np.uint8)
    # 640 rows of 0.46875 mm are 300 mm: 375 rows. 512 mm / 2 / 0.8 = 320 columns.
    assert to_grid(slices, SPACING_MM, GRID_MM).shape == (2, 375, 320)


def test_a_ramp_keeps_its_place() -> None:
    rows = np.arange(128)
    ramp = np.repeat(rows[:, None], 96, axis=1).astype(np.uint8)[None]
    there = to_grid(ramp, SPACING_MM, GRID_MM)
    # Pixel i of the grid has its centre at (i + 0.5) * 0.8 mm.
    expected = (20 + 0.5) * GRID_MM / SPACING_MM[0] - 0.5
    assert there[0, 20, 30] == pytest.approx(expected, abs=0.02)
    back = from_grid(there, (128, 96), SPACING_MM, GRID_MM)
    np.testing.assert_allclose(back[0, 5:-5, 5:-5], ramp[0, 5:-5, 5:-5], atol=0.1)
