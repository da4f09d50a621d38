import dataclasses

import pytest

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.structures import DISCS
from analysis.lumbar.measure.discs_and_bodies import SlabMeasurement
from analysis.lumbar.measure.slab import Slab
from analysis.lumbar.measure.uncertainty import (
    CHANGES,
    TERMS,
    sensitivity,
    uncertainties,
)
from analysis.lumbar.tell.contract import DISC_OUTPUTS
from analysis.lumbar.value import Missing

SLICE = Slab(
    height_mm=8.0,
    anterior_height_mm=9.0,
    middle_height_mm=8.5,
    posterior_height_mm=6.0,
    length_mm=36.0,
    area_mm2=280.0,
    wedge_deg=6.0,
    filled=1.0,
    blur_mm=0.4,
    down=(1.0, 0.0),
)


def disc(*slices: Slab) -> SlabMeasurement:
    return SlabMeasurement(
        structure=DISCS[1],
        height_mm=8.0,
        anterior_height_mm=9.0,
        middle_height_mm=8.5,
        posterior_height_mm=6.0,
        length_mm=36.0,
        area_mm2=280.0,
        wedge_deg=6.0,
        slices=slices,
    )


def test_every_reported_quantity_has_its_terms() -> None:
    assert {output.key for output in DISC_OUTPUTS} == set(TERMS)


def test_every_reported_quantity_has_its_detectable_change() -> None:
    assert {output.key for output in DISC_OUTPUTS} <= set(CHANGES)
    assert all(change > 0 for change in CHANGES.values())


def test_a_blurred_outline_and_unlike_slices_are_known_less_well() -> None:
    value = {"disc_height_mm": 8.0}
    sharp = dataclasses.replace(SLICE, blur_mm=0.1)
    other = dataclasses.replace(SLICE, height_mm=9.0)
    known = uncertainties(disc(sharp, sharp), value)["disc_height_mm"]
    assert uncertainties(disc(SLICE, SLICE), value)["disc_height_mm"] > known
    assert uncertainties(disc(sharp, other), value)["disc_height_mm"] > known
    assert known > 0


def test_blur_and_spread_are_in_the_unit_of_the_quantity() -> None:
    # 0.4 mm of 8 mm is 5 %; 8 and 9 mm have a standard deviation of 0.71.
    pair = disc(SLICE, dataclasses.replace(SLICE, height_mm=9.0, blur_mm=0.45))
    assert sensitivity(pair, "disc_height_mm", 8.5) == pytest.approx(
        (0.425, 0.707), 0.01
    )
    blur, spread = sensitivity(pair, "disc_height_index", 0.34)
    assert blur == pytest.approx(0.017, abs=1e-4)
    assert spread == pytest.approx(0.34 * 0.707 / 8.5, abs=1e-4)
    assert sensitivity(pair, "delta_si", 20.0) == (0.0, 0.0)


def test_one_slice_says_nothing_of_the_spread() -> None:
    assert sensitivity(disc(SLICE), "disc_height_mm", 8.0) == pytest.approx((0.4, 0.0))


def test_what_was_not_measured_has_no_uncertainty() -> None:
    missing = Missing(absence=Absence.SIGNAL_UNFIT, code="csf_dark", text="x")
    assert uncertainties(disc(SLICE), {"delta_si": missing}) == {}
