import numpy as np
import pytest

from analysis.imaging.line_fit import robust_slope


def test_a_line_has_its_slope() -> None:
    x = np.arange(10.0)
    assert robust_slope(x, 3.0 - 0.25 * x) == pytest.approx(-0.25)


def test_a_quarter_of_wrong_points_does_little_harm() -> None:
    x = np.arange(20.0)
    y = 0.5 * x
    y[15:] += 40.0
    assert robust_slope(x, y) == pytest.approx(0.5, abs=0.01)


def test_points_above_one_another_have_no_slope() -> None:
    with pytest.raises(ValueError, match="two different x"):
        robust_slope(np.ones(3), np.arange(3.0))
