"""Where each number of a label map lies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from analysis.lumbar.anatomy.named_levels import windows_of


@pytest.mark.parametrize("seed", range(4))
def test_windows_are_those_that_scipy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.zeros((7, 40, 30), np.uint8)
    for number in (3, 5, 21):
        low = rng.integers(0, (5, 30, 20))
        high = low + rng.integers(1, (3, 10, 10))
        names[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = number
    found = dict(enumerate(ndimage.find_objects(names), 1))
    assert windows_of(names) == {
        number: window for number, window in found.items() if window
    }


def test_an_empty_map_has_no_windows() -> None:
    assert windows_of(np.zeros((2, 3, 4), np.uint8)) == {}
