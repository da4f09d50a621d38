"""A value that is told beside its limit lies on the side on which it was judged."""

import pytest

from analysis.lumbar.doubt import apart


@pytest.mark.parametrize(
    ("value", "limit", "decimals", "written"),
    [
        (0.797, 0.80, 2, "0.797"),
        (0.79, 0.80, 2, "0.79"),
        (0.80, 0.80, 2, "0.80"),
        (30.4, 30.0, 0, "30.4"),
        (30.0000001, 30.0, 0, "30.0000"),
        (1.61, 1.6, 2, "1.61"),
    ],
)
def test_a_value_is_written_apart_from_its_limit(
    value: float, limit: float, decimals: int, written: str
) -> None:
    assert apart(value, limit, decimals) == written


def test_a_share_is_told_apart_in_per_cent() -> None:
    assert apart(0.5796, 0.58, 0, times=100.0) == "57.96"
    assert apart(0.43, 0.58, 0, times=100.0) == "43"
