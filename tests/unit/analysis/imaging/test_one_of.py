"""`is_one_of` says what `numpy.isin` says."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.imaging.one_of import is_one_of


@pytest.mark.parametrize(
    "numbers", [(), (0,), (3, 7, 255), {1, 2}, (254, 0, 255, 1), (8, 2, 3, 3, 1, 9)]
)
def test_it_gives_what_isin_gives(numbers: tuple[int, ...]) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)[:, ::2]
    np.testing.assert_array_equal(
        is_one_of(labels, numbers), np.isin(labels, list(numbers))
    )
