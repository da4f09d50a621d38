"""Limits that were fitted lie between what they part, and belong to the networks."""

from __future__ import annotations

import pytest

from analysis.lumbar.find.networks import shipped_weights
from analysis.lumbar.fitted_limits import ALL, NETWORKS_SHA256, Fitted


def test_they_belong_to_the_networks_that_ship() -> None:
    # With other weights: run what holds each of them, and write down what it says.
    assert shipped_weights() == NETWORKS_SHA256


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.unit)
def test_a_limit_lies_between_sound_and_faulty(one: Fitted) -> None:
    assert one.sound_count > 0
    if one.faulty is not None:
        low, high = sorted((one.sound, one.faulty))
        assert low <= one.limit <= high
