import dataclasses
from typing import cast

import pytest

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Structure
from analysis.lumbar.judge.uncertainty import sensitivity, uncertainties
from analysis.lumbar.measure.body_shape import BodyShapes
from analysis.lumbar.measure.disc_quantities import DISC_QUANTITIES
from analysis.lumbar.measure.discs_and_bodies import SlabMeasurement
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.measure.measurements import MeasuredDisc
from analysis.lumbar.measure.quantities import OF_LEVELS, quantity_of
from analysis.lumbar.measure.signal import DiscSignal
from analysis.lumbar.measure.slab import Slab
from analysis.lumbar.measure.zheng2022.parameters import ZhengGeometry
from analysis.lumbar.number_or_reason import Missing, Value

SLICE = Slab(
    height_mm=8.0,
    anterior_height_mm=9.0,
    middle_height_mm=8.5,
    posterior_height_mm=6.0,
    length_mm=36.0,
    area_mm2=280.0,
    filled=1.0,
    blur_mm=0.4,
    down=(1.0, 0.0),
)


def slab(structure: Structure, height_mm: float, *slices: Slab) -> SlabMeasurement:
    return SlabMeasurement(
        structure=structure,
        height_mm=height_mm,
        anterior_height_mm=9.0,
        middle_height_mm=8.5,
        posterior_height_mm=6.0,
        length_mm=36.0,
        area_mm2=280.0,
        slices=slices,
    )


def level(*slices: Slab) -> DiscLevel:
    """Return L4/L5 between bodies 25 mm high."""
    return DiscLevel(
        anatomy=cast("Anatomy", None),
        shapes=cast("BodyShapes", None),
        shares={},
        slab=slab(DISCS[1], 8.0, *slices),
        above=slab(VERTEBRAE[2], 25.0),
        below=slab(VERTEBRAE[1], 25.0),
        signal=DiscSignal(
            delta_si=20.0, ratio_csf=0.3, nucleus_ratio_csf=0.4, reference=20.0
        ),
        zheng=ZhengGeometry(dh_px512=12.0, dhi=0.3, hdr=0.2),
    )


def known(value: Value, key: str, *slices: Slab) -> dict[str, float]:
    values = {one.key: value if one.key == key else MISSING for one in OF_LEVELS}
    return uncertainties(OF_LEVELS, MeasuredDisc(site=level(*slices), values=values))


MISSING = Missing(absence=Absence.SIGNAL_UNFIT, code="csf_dark", text="x")


def test_every_quantity_of_a_disc_has_its_terms() -> None:
    assert all(quantity.terms is not None for quantity in DISC_QUANTITIES)


def test_a_change_that_can_be_shown_is_one_of_people_who_were_examined_twice() -> None:
    # 4.05 % between two examinations: 1.96 x sqrt(pi / 2) of it.
    change = quantity_of("disc_height_mm").change
    assert change is not None
    assert change.limit(8.0, 8.0) == pytest.approx(8 * 0.0405 * 2.456, rel=1e-3)
    assert change.limit(0.5, 0.5) == change.floor
    assert quantity_of("delta_si").change is None


def test_every_key_and_every_code_stands_once_in_the_table() -> None:
    keys = [quantity.key for quantity in OF_LEVELS]
    codes = [
        (quantity.concept.value, quantity.modifiers)
        for quantity in OF_LEVELS
        if quantity.concept is not None
    ]
    assert len(set(keys)) == len(keys)
    assert len(set(codes)) == len(codes)


def test_a_blurred_outline_and_unlike_slices_are_known_less_well() -> None:
    key = "disc_height_mm"
    sharp = dataclasses.replace(SLICE, blur_mm=0.1)
    other = dataclasses.replace(SLICE, height_mm=9.0)
    best = known(8.0, key, sharp, sharp)[key]
    assert known(8.0, key, SLICE, SLICE)[key] > best
    assert known(8.0, key, sharp, other)[key] > best
    assert best > 0


def test_blur_and_spread_are_in_the_unit_of_the_quantity() -> None:
    # 0.4 mm of 8 mm is 5 %; 8 and 9 mm have a standard deviation of 0.71.
    pair = level(SLICE, dataclasses.replace(SLICE, height_mm=9.0, blur_mm=0.45))
    height, index = quantity_of("disc_height_mm"), quantity_of("disc_height_index")
    assert sensitivity(height, pair, 8.5) == pytest.approx((0.425, 0.707), 0.01)
    blur, spread = sensitivity(index, pair, 0.34)
    assert blur == pytest.approx(0.017, abs=1e-4)
    assert spread == pytest.approx(0.707 / 25, abs=1e-4)
    assert sensitivity(quantity_of("delta_si"), pair, 20.0) == (0.0, 0.0)


def test_one_slice_says_nothing_of_the_spread() -> None:
    height = quantity_of("disc_height_mm")
    assert sensitivity(height, level(SLICE), 8.0) == pytest.approx((0.4, 0.0))


def test_what_was_not_measured_has_no_uncertainty() -> None:
    assert known(MISSING, "delta_si", SLICE) == {}
