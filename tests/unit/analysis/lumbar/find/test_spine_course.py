"""Which point of the centre line is nearest to a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from analysis.lumbar.find.spine_course import nearest_on_line

SPACING_MM = np.array([4.0, 0.8, 0.8])


@pytest.mark.parametrize("lean", [0.0, 0.6, -1.5])
def test_it_is_the_one_that_a_search_tree_finds(lean: float) -> None:
    rng = np.random.default_rng(3)
    rows_mm = np.cumsum(rng.uniform(0.2, 0.8, 150))
    columns_mm = 70.0 + lean * (rows_mm - 40.0) + 9.0 * np.sin(rows_mm / 20.0)
    line = np.stack([np.zeros(150), rows_mm, columns_mm], axis=1)
    # Beside the line, and above and below its ends.
    indices = rng.integers(0, (3, 130, 180), (4000, 3))
    nearest, apart_mm = nearest_on_line(line, indices, SPACING_MM)
    tree = cKDTree(line[:, 1:]).query(indices[:, 1:] * SPACING_MM[1:])
    np.testing.assert_array_equal(nearest, tree[1])
    np.testing.assert_allclose(apart_mm, tree[0], rtol=1e-12)


def test_every_pixel_is_nearest_to_a_line_of_one_point() -> None:
    line, indices = np.array([[0.0, 8.0, 8.0]]), np.array([[0, 10, 10], [1, 0, 10]])
    nearest, apart_mm = nearest_on_line(line, indices, SPACING_MM)
    assert nearest.tolist() == [0, 0]
    assert apart_mm.tolist() == [0.0, 8.0]
