"""Grey values come to the network on one scale, whatever the scanner."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.inference.normalise import (
    Normalisation,
    normalise_slices,
    with_neighbours,
)

RULE = Normalisation()


def _slices(seed: int = 0) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    return draw.gamma(2.0, 50.0, size=(2, 40, 30)).astype(np.float32)


def test_tissue_has_zero_mean_and_unit_spread() -> None:
    # All pixels are 100 or 200, both above 8 % of 200: half of each.
    slices = np.full((1, 10, 10), 100.0, np.float32)
    slices[:, :5] = 200.0
    normalised = normalise_slices(slices, RULE)
    assert normalised[0, 0, 0] == pytest.approx(1.0)
    assert normalised[0, 9, 0] == pytest.approx(-1.0)


@pytest.mark.parametrize("gain", [1e-3, 1.0, 40.0])
def test_a_gain_changes_nothing(gain: float) -> None:
    slices = _slices()
    np.testing.assert_allclose(
        normalise_slices(slices * np.float32(gain), RULE),
        normalise_slices(slices, RULE),
        atol=1e-4,
    )


def test_each_slice_is_scaled_alone() -> None:
    slices = _slices()
    both = normalise_slices(slices * np.array([[[1.0]], [[9.0]]], np.float32), RULE)
    np.testing.assert_allclose(both, normalise_slices(slices, RULE), atol=1e-4)


def test_one_bright_pixel_is_clipped() -> None:
    slices = _slices()[:1]
    bright = slices.copy()
    bright[0, 3, 3] = 1e6
    far = np.abs(normalise_slices(bright, RULE) - normalise_slices(slices, RULE))
    far[0, 3, 3] = 0.0
    assert far.max() < 0.1


@pytest.mark.parametrize("grey", [0.0, 7.0, -3.0, np.nan, np.inf])
def test_a_slice_without_contrast_becomes_zero(grey: float) -> None:
    slices = np.full((1, 8, 8), grey, np.float32)
    assert not normalise_slices(slices, RULE).any()


def test_values_that_are_not_finite_count_as_zero() -> None:
    slices = _slices()
    zeroed, holed = slices.copy(), slices.copy()
    zeroed[0, :3, 0] = 0.0
    holed[0, :3, 0] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(
        normalise_slices(holed, RULE), normalise_slices(zeroed, RULE)
    )


def test_the_input_is_not_changed() -> None:
    slices = _slices()
    before = slices.copy()
    normalise_slices(slices, RULE)
    np.testing.assert_array_equal(slices, before)


def _numbered() -> NDArray[np.float32]:
    numbers = np.arange(1, 5, dtype=np.float32)
    return np.repeat(np.repeat(numbers[:, None, None], 2, axis=1), 2, axis=2)


@pytest.mark.parametrize(
    ("index", "seen"), [(0, [1, 1, 2]), (1, [1, 2, 3]), (3, [3, 4, 4])]
)
def test_at_the_ends_a_slice_is_its_own_neighbour(index: int, seen: list[int]) -> None:
    found = with_neighbours(_numbered(), index, 1)
    assert found[:, 0, 0].tolist() == seen


def test_a_blank_neighbour_is_not_looked_at() -> None:
    slices = _numbered()
    slices[2] = 0
    assert with_neighbours(slices, 1, 1)[:, 0, 0].tolist() == [1, 2, 2]


def test_without_reach_a_slice_stands_alone() -> None:
    assert with_neighbours(_numbered(), 2, 0)[:, 0, 0].tolist() == [3]
