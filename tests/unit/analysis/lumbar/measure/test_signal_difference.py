import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.lumbar.measure.signal_difference import (
    CsfReference,
    csf_reference,
    mean_ratio,
    reference_difference,
    signal_difference,
)
from analysis.lumbar.number_or_reason import Missing

CSF = CsfReference(signal=510.0)


def around(*peaks: float, count: int = 1000) -> NDArray[np.float32]:
    """Return grey values in equal shares around the given ones, spread 20."""
    random = np.random.default_rng(5)
    parts = [random.normal(peak, 20.0, count) for peak in peaks]
    return np.concatenate(parts).astype(np.float32)


def difference(values: NDArray[np.float32], csf: CsfReference = CSF) -> float:
    result = signal_difference(values, csf)
    assert isinstance(result, float)
    return result


def code(result: object) -> str:
    assert isinstance(result, Missing)
    return result.code


def test_two_peaks_are_as_far_apart_as_they_are() -> None:
    # 100 and 300 of 510: 200 / 510 x 255 = 100. The weight by distance moves the
    # second peak outwards, by less than its spread (20 / 510 x 255 = 10).
    assert difference(around(100.0, 300.0)) == pytest.approx(100.0, abs=10.0)


def test_a_disc_without_a_nucleus_has_little_difference() -> None:
    assert difference(around(120.0)) < 30.0


def test_the_scale_of_the_series_has_no_say() -> None:
    values = around(100.0, 300.0)
    larger = CsfReference(signal=510.0 * 7)
    assert difference(values * 7, larger) == pytest.approx(difference(values), abs=1.0)


def test_few_voxels_of_disc_are_not_enough() -> None:
    assert code(signal_difference(around(100.0, count=79), CSF)) == "too_few_voxels"


def test_csf_is_read_above_the_nerve_roots() -> None:
    # A third of the canal is roots at 300, the rest is CSF at 600.
    values = np.concatenate([around(300.0), around(600.0, count=2000)])
    reference = csf_reference(values, np.full(len(values), 2000.0, np.float32))
    assert reference.signal == pytest.approx(600.0, abs=20.0)


def test_csf_at_the_top_of_the_scale_is_no_reference() -> None:
    values = np.minimum(around(250.0), 255).astype(np.float32)
    reference = csf_reference(values, np.full(len(values), 255.0, np.float32))
    assert code(reference.signal) == "csf_saturated"
    assert code(signal_difference(around(100.0), reference)) == "csf_saturated"


def test_too_little_csf_is_no_reference() -> None:
    values = around(600.0, count=199)
    reference = csf_reference(values, np.full(len(values), 2000.0, np.float32))
    assert code(reference.signal) == "csf_missing"


def test_dark_csf_is_no_reference() -> None:
    values = np.zeros(500, np.float32)
    reference = csf_reference(values, np.full(500, 100.0, np.float32))
    assert code(reference.signal) == "csf_dark"


def test_an_offset_raises_csf_and_not_the_distance_of_the_peaks() -> None:
    # 100 on all values: CSF 510 becomes 610, so the distance shrinks by 510 / 610.
    values = around(100.0, 300.0)
    shifted = difference(values + 100, CsfReference(signal=610.0))
    assert shifted == pytest.approx(difference(values) * 510 / 610, abs=4.0)


def test_a_few_other_voxels_do_not_move_the_difference() -> None:
    values = around(100.0, 300.0)
    assert difference(values[::2]) == pytest.approx(difference(values), abs=5.0)


def test_the_mean_ratio_is_that_of_means() -> None:
    assert mean_ratio(np.full(100, 102.0, np.float32), CSF) == pytest.approx(0.2)
    assert code(mean_ratio(np.full(19, 102.0, np.float32), CSF)) == "too_few_voxels"


def eight_bits(*values: tuple[int, int]) -> NDArray[np.float32]:
    """Return each value as often as its count says."""
    return np.concatenate(
        [np.full(count, value, np.float32) for value, count in values]
    )


def test_the_reference_takes_the_most_frequent_values_as_they_are() -> None:
    # First peak 100; (200 - 95) x 40 beats every other product; CSF 250.
    disc = eight_bits((100, 60), (101, 30), (200, 40))
    canal = eight_bits((250, 100), (240, 90), (60, 300))
    assert reference_difference(disc, canal) == pytest.approx(100 * 255 / 250)


def test_the_reference_takes_clipped_csf_for_what_it_is() -> None:
    disc = eight_bits((100, 60), (200, 40))
    assert reference_difference(disc, eight_bits((255, 100))) == pytest.approx(100.0)


def test_the_reference_is_scaled_to_csf_in_a_series_of_more_bits() -> None:
    disc, canal = around(400.0, 1200.0), around(2000.0)
    found = reference_difference(disc, canal)
    assert isinstance(found, float)
    assert found == pytest.approx(800 / 2000 * 255, abs=8.0)


def test_the_reference_needs_a_disc_and_fluid() -> None:
    few, many = around(100.0, count=79), around(600.0)
    assert code(reference_difference(few, many)) == "too_few_voxels"
    assert code(reference_difference(many, np.zeros(99, np.float32))) == "csf_dark"
