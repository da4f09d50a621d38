"""Masks are grown and shrunk as scipy does it."""

import numpy as np
import pytest
from scipy import ndimage

from analysis.imaging.dilation import grown, shrunk

PLUS = ndimage.generate_binary_structure(2, 1)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_mask_grows_along_rows_and_columns_of_its_own_slice(steps: int) -> None:
    masks = np.random.default_rng(steps).random((3, 20, 15)) > 0.95
    wide = grown(masks, steps)
    for mask, found in zip(masks, wide, strict=True):
        expected = ndimage.binary_dilation(mask, PLUS, iterations=steps)
        assert (found == expected).all()


@pytest.mark.parametrize("steps", [1, 2])
def test_a_mask_shrinks_from_its_rim_and_from_the_edge(steps: int) -> None:
    mask = np.random.default_rng(steps).random((30, 20)) > 0.1
    expected = ndimage.binary_erosion(mask, PLUS, iterations=steps)
    assert (shrunk(mask, steps) == expected).all()


def test_the_mask_that_is_given_stays_as_it_is() -> None:
    mask = np.eye(5, dtype=np.bool_)
    grown(mask, 1)
    shrunk(mask, 1)
    assert (mask == np.eye(5, dtype=np.bool_)).all()
