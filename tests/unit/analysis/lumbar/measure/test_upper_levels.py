"""T12/L1 and T11/T12 are measured where they are named, beside the five levels."""

import pytest

from analysis.lumbar.anatomy.structures import MEASURED_LEVELS
from analysis.lumbar.judge.uncertainty import with_uncertainty
from analysis.lumbar.measure.measurements import SpineMeasurements
from tests.support.measured_phantom import measured
from tests.support.wedge_spine import DISCS as WEDGES
from tests.support.wedge_spine import WedgeSpine

T12_L1 = WEDGES[5]


@pytest.fixture(scope="module")
def spine() -> SpineMeasurements:
    return with_uncertainty(measured(WedgeSpine()))


def test_t12_l1_is_measured_like_any_other_disc(spine: SpineMeasurements) -> None:
    (row,) = spine.upper  # the phantom ends with T12
    assert row.level == "T12/L1"
    height, length = row.number("disc_height_mm"), row.number("disc_length_mm")
    assert height == pytest.approx(T12_L1.height_mm, abs=0.3)
    assert length == pytest.approx(T12_L1.length_mm, abs=0.6)
    assert row.uncertainty["disc_height_mm"] > 0
    assert not any(key.startswith("reference.") for key in row.values)


def test_the_report_keeps_its_five_levels(spine: SpineMeasurements) -> None:
    assert tuple(row.level for row in spine.discs) == MEASURED_LEVELS
