"""Scanner and sequence, as classic and Enhanced MR tell them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from analysis.contract.acquisition import Acquisition
from dicom_node.decode.acquisition import acquisition_of
from tests.support.mr_series import build_enhanced, build_series
from tests.support.spine_phantom import phantom_spine

SHAPE, SPACING_MM = (3, 24, 16), (9.0, 8.0, 8.0)


def classic(**said: Any) -> Acquisition:
    voxels, frame, _ = phantom_spine(SHAPE, SPACING_MM)
    return acquisition_of(build_series(voxels, frame, **said)[0])


def test_a_classic_instance_tells_scanner_and_sequence() -> None:
    assert classic(MagneticFieldStrength="1.5", ScanningSequence=["SE", "IR"]) == (
        Acquisition(
            manufacturer="Phantom Imaging",
            model="Boxes",
            field_strength_t=1.5,
            sequence=("IR", "SE"),
            dimensions="2D",
            repetition_time_ms=3500,
            echo_time_ms=100,
        )
    )


@pytest.mark.parametrize(
    ("stated", "field_strength_t"),
    [("1.494", 1.494), ("15000", 1.5), ("30000", 3.0), ("0", None), (None, None)],
)
def test_the_field_strength_is_in_tesla(
    stated: str | None, field_strength_t: float | None
) -> None:
    found = classic(MagneticFieldStrength=stated).field_strength_t
    assert found == pytest.approx(field_strength_t)


def test_enhanced_mr_tells_the_same_in_its_own_words() -> None:
    voxels, frame, _ = phantom_spine(SHAPE, SPACING_MM)
    enhanced = build_enhanced(voxels, frame, EchoPulseSequence="SPIN")
    enhanced.MRAcquisitionType = "2D"
    assert acquisition_of(enhanced).differing(classic()) == ()
    assert acquisition_of(enhanced).sequence == classic().sequence == ("SE",)


def test_the_bundled_series_is_known_in_every_part(demo_series: Path) -> None:
    header = dcmread(sorted(demo_series.glob("*.dcm"))[0], stop_before_pixels=True)
    assert acquisition_of(header).unknown() == ()
