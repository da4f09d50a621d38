"""The median is that of numpy."""

import numpy as np
import pytest

from analysis.imaging.median import median_of


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_it_is_the_same_number_as_that_of_numpy(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    assert median_of(values) == np.median(values)


def test_the_numbers_stay_in_their_order() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert median_of(values) == 2.0
    assert values.tolist() == [3.0, 1.0, 2.0]
