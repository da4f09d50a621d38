import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.lumbar.measure.disc_signal import (
    CsfReference,
    csf_reference,
    signal_difference,
)
from analysis.lumbar.measure.quantity import Missing

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
