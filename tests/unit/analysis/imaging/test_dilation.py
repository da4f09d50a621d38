"""Masks are grown and shrunk as scipy does it."""

import numpy as np
import pytest
from scipy import ndimage

from analysis.imaging.dilation import (
    deeper_than,
    grown,
    grown_to_square,
    shrunk,
)

PLUS = ndimage.generate_binary_structure(2, 1)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_mask_grows_along_rows_and_columns_of_its_own_slice(steps: int) -> None:
    masks = np.random.default_rng(steps).random((3, 20, 15)) > 0.95
    wide = grown(masks, steps)
    for mask, found in zip(masks, wide, strict=True):
        expected = ndimage.binary_dilation(mask, PLUS, iterations=steps)
        assert (found == expected).all()


@pytest.mark.parametrize("shape", [(40, 31), (2, 9), (1, 1)])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_mask_grows_to_squares(shape: tuple[int, int], steps: int) -> None:
    mask = np.random.default_rng(steps).random(shape) > 0.95
    mask[0, 0] = True
    expected = ndimage.maximum_filter(mask, 2 * steps + 1, mode="constant")
    assert (grown_to_square(mask, steps) == expected).all()


@pytest.mark.parametrize("steps", [1, 2])
def test_a_mask_shrinks_from_its_rim_and_from_the_edge(steps: int) -> None:
    mask = np.random.default_rng(steps).random((30, 20)) > 0.1
    expected = ndimage.binary_erosion(mask, PLUS, iterations=steps)
    assert (shrunk(mask, steps) == expected).all()


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (0.3, 0.46875), (0.2, 1.25), (2, 2)])
@pytest.mark.parametrize("depth_mm", [0.5, 1.0, 1.5])
def test_what_lies_deep_is_what_a_distance_transform_tells(
    spacing: tuple[float, float], depth_mm: float
) -> None:
    spacing_mm = np.array(spacing, np.float64)
    for seed in range(5):
        noise = np.random.default_rng(seed).random((31, 24)) < 0.97
        mask = ndimage.binary_opening(noise, np.ones((2, 2), np.bool_))
        # A margin: beyond the edge all is outside.
        depth = ndimage.distance_transform_edt(np.pad(mask, 1), spacing_mm)
        deep = deeper_than(mask, depth_mm, spacing_mm)
        assert (deep == (depth[1:-1, 1:-1] > depth_mm)).all()


def test_the_mask_that_is_given_stays_as_it_is() -> None:
    mask = np.eye(5, dtype=np.bool_)
    grown(mask, 1)
    shrunk(mask, 1)
    grown_to_square(mask, 1)
    deeper_than(mask, 1.0, np.ones(2))
    assert (mask == np.eye(5, dtype=np.bool_)).all()
