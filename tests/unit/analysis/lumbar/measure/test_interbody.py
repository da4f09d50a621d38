"""What lies between two bodies, and how they stand, in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.lumbar.measure.measurements import SpineMeasurements
from tests.support import wedge_spine as phantom
from tests.support.measured_phantom import SIZE_MM, measured, number
from tests.support.wedge_spine import Layout, WedgeDisc, WedgeSpine, rotation


@pytest.fixture(scope="module")
def hollow() -> SpineMeasurements:
    return measured(WedgeSpine(hollow_mm=3.0))


LEVELS = ("L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2")


@pytest.mark.parametrize(
    ("level", "disc"), list(zip(LEVELS, phantom.DISCS, strict=False))
)
def test_a_wedge_is_that_of_the_rims_whatever_the_hollow_between_them(
    hollow: SpineMeasurements, level: str, disc: WedgeDisc
) -> None:
    assert number(hollow, level, "wedge_angle_deg") == pytest.approx(
        disc.wedge_deg, abs=0.6
    )


@pytest.mark.parametrize(
    ("level", "disc"), list(zip(LEVELS[1:], phantom.DISCS[1:], strict=False))
)
def test_bodies_are_as_far_apart_as_the_disc_is_high_and_two_gaps_more(
    hollow: SpineMeasurements, level: str, disc: WedgeDisc
) -> None:
    between_mm = disc.height_mm + 2 * phantom.GAP_MM
    # Rims lie 0.4 of the depth of 34 mm before and behind the middle.
    open_mm = 2 * 0.4 * 34.0 * np.tan(np.radians(disc.wedge_deg) / 2)
    # A hollow from 0.12 to 0.88 of the depth has half of its own area; of the space
    # between the rims, 0.8 of the depth, it takes 0.5 x 0.76 / 0.8.
    filled_mm = 2 * 3.0 * 0.5 * 0.76 / 0.8
    for key, true_mm in (
        ("interbody_height_mm", between_mm + filled_mm),
        ("interbody_anterior_height_mm", between_mm + open_mm),
        ("interbody_middle_height_mm", between_mm + 2 * 3.0 * 0.717),
        ("interbody_posterior_height_mm", between_mm - open_mm),
    ):
        assert number(hollow, level, key) == pytest.approx(true_mm, abs=0.3), key


@pytest.mark.parametrize("turn_deg", [0.0, 12.0])
def test_lordosis_is_the_sum_of_its_segments_and_of_the_wedges(turn_deg: float) -> None:
    turned = Layout(size_mm=SIZE_MM, turn=rotation("x", turn_deg))
    found = measured(WedgeSpine(sacral_slope_deg=32.0, hollow_mm=2.0), turned)
    wedges = [disc.wedge_deg for disc in phantom.DISCS[:5]]
    for level, wedge in zip(LEVELS, wedges, strict=True):
        segment = number(found, level, "segment_lordosis_deg")
        assert segment == pytest.approx(wedge, abs=0.8)
    assert found.spine.number("lordosis_l1_s1_deg") == pytest.approx(
        sum(wedges), abs=0.8
    )
    # However the slices lie, the slope is that in the patient.
    assert found.spine.number("sacral_slope_deg") == pytest.approx(32.0, abs=0.8)


@pytest.fixture(scope="module")
def straight() -> SpineMeasurements:
    return measured(WedgeSpine())


@pytest.mark.parametrize("slip_mm", [-4.0, 8.0])
def test_a_slip_is_measured_along_the_end_plate_below(
    straight: SpineMeasurements, slip_mm: float
) -> None:
    # L4 on L5, which both have the same depth. The corners turn about the middle of a
    # disc of 9 deg, so that they do not lie quite above each other without a slip.
    untouched = number(straight, "L4/L5", "slip_mm")
    found = measured(WedgeSpine(slipped=1, slip_mm=slip_mm))
    slipped = number(found, "L4/L5", "slip_mm")
    assert slipped - untouched == pytest.approx(slip_mm, abs=0.3)
    assert abs(untouched) < 1.5
    assert number(found, "L4/L5", "slip_percent") == pytest.approx(
        100 * slipped / 34.0, abs=0.5
    )
    assert number(found, "L2/L3", "slip_mm") == pytest.approx(
        number(straight, "L2/L3", "slip_mm"), abs=0.2
    )


@pytest.mark.parametrize("key", ["slip_mm", "slip_percent", "rear_bulge_mm"])
def test_nothing_is_told_from_the_rear_corner_of_s1(
    straight: SpineMeasurements, key: str
) -> None:
    (lowest,) = (row for row in straight.discs if row.level == "L5/S1")
    assert str(lowest.values[key]).startswith("sacrum: the rear corner of S1")
