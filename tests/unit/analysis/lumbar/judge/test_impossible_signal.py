"""Signal that no spine gives is withheld for the whole series, with its reason."""

import dataclasses

import pytest

from analysis.lumbar.doubt import SIGNAL, Effect
from analysis.lumbar.judge.impossible_signal import impossible_signal
from analysis.lumbar.measure.measurements import SpineMeasurements
from analysis.lumbar.number_or_reason import Value
from tests.support.measured_phantom import measured
from tests.support.wedge_spine import WedgeSpine


@pytest.fixture(scope="module")
def sound() -> SpineMeasurements:
    return measured(WedgeSpine())


def with_value(
    rows: SpineMeasurements, key: str, value: Value, *levels: str
) -> SpineMeasurements:
    discs = [
        dataclasses.replace(row, values={**row.values, key: value})
        if row.level in levels
        else row
        for row in rows.discs
    ]
    return dataclasses.replace(rows, discs=tuple(discs))


def test_a_sound_spine_is_not_doubted(sound: SpineMeasurements) -> None:
    assert impossible_signal(sound) == ()


@pytest.mark.parametrize("key", ["signal_ratio_csf", "nucleus_ratio_csf"])
@pytest.mark.parametrize(("value", "doubted"), [(1.49, 0), (1.51, 1), (-0.01, 1)])
def test_a_ratio_lies_between_0_and_1_5(
    sound: SpineMeasurements, key: str, value: float, doubted: int
) -> None:
    assert len(impossible_signal(with_value(sound, key, value, "L4/L5"))) == doubted


def test_delta_si_ends_where_the_signal_of_a_disc_does(
    sound: SpineMeasurements,
) -> None:
    assert impossible_signal(with_value(sound, "delta_si", 382.0, "L4/L5")) == ()
    (doubt,) = impossible_signal(with_value(sound, "delta_si", 467.0, "L4/L5"))
    assert (doubt.scope, doubt.effect) == (SIGNAL, Effect.WITHHOLD)
    assert doubt.code == "signal_impossible"
    assert "delta-SI of L4/L5 467.00, possible are 0 to 382.5" in doubt.text


def test_the_same_value_in_all_discs_is_none_of_theirs(
    sound: SpineMeasurements,
) -> None:
    levels = [row.level for row in sound.discs]
    same = with_value(sound, "signal_ratio_csf", 0.5, *levels)
    (doubt,) = impossible_signal(same)
    assert "ratio is 0.50 in all 5 discs" in doubt.text
    assert impossible_signal(with_value(sound, "signal_ratio_csf", 0.5, "L4/L5")) == ()
