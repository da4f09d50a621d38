"""Canal, volume, bulge and tilt against a spine that is known in closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.field import Field
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import CANAL
from analysis.lumbar.measure import canal
from analysis.lumbar.measure.canal import (
    canal_diameters,
    diameter_at_disc,
    goes_on_below,
    middle_of,
)
from analysis.lumbar.measure.measurements import SpineMeasurements
from analysis.lumbar.number_or_reason import Missing
from tests.support import wedge_spine as phantom
from tests.support.measured_phantom import measured, number
from tests.support.wedge_spine import Layout, WedgeSpine, rotation

LEVELS = ("L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2")
WHOLE = Layout(size_mm=(76.0, 290.0, 150.0))
TILT_DEG = 6.0


@pytest.fixture(scope="module")
def found() -> SpineMeasurements:
    return measured(WedgeSpine(turn=rotation("y", TILT_DEG)), WHOLE)


@pytest.mark.parametrize("level", LEVELS)
def test_the_canal_is_as_deep_as_it_is_drawn(
    found: SpineMeasurements, level: str
) -> None:
    # From 20 to 34 mm behind the middle of the bodies; it bends by up to 12 deg there.
    assert number(found, level, "canal_ap_diameter_mm") == pytest.approx(14.0, abs=0.3)


def test_the_canal_is_measured_behind_bodies_and_its_least_of_discs_told(
    found: SpineMeasurements,
) -> None:
    for body in found.bodies:
        if body.vertebra.label in {"L5", "L4", "L3", "L2", "L1"}:
            depth = body.number("canal_ap_diameter_mm")
            assert depth == pytest.approx(14.0, abs=0.3)
    least = min(number(found, level, "canal_ap_diameter_mm") for level in LEVELS)
    assert found.spine.number("least_canal_ap_diameter_mm") == least


@pytest.mark.parametrize("level", LEVELS)
def test_a_spine_that_leans_to_the_left_has_negative_tilts(
    found: SpineMeasurements, level: str
) -> None:
    assert number(found, level, "coronal_tilt_deg") == pytest.approx(-TILT_DEG, abs=1.0)


@pytest.mark.parametrize(
    ("axis", "turn_deg"), [("y", 10.0), ("y", -10.0), ("z", 15.0), ("x", 20.0)]
)
def test_a_tilt_is_that_of_the_patient_and_not_of_slices_that_lean(
    axis: str, turn_deg: float
) -> None:
    leaning = Layout(size_mm=(76.0, 290.0, 240.0), turn=rotation(axis, turn_deg))
    seen = measured(WedgeSpine(), leaning)
    for level in LEVELS[1:]:  # L5/S1, which leans to the front, is 4 deg off
        assert number(seen, level, "coronal_tilt_deg") == pytest.approx(0.0, abs=3.0)


def test_a_straight_spine_has_no_coronal_angle(found: SpineMeasurements) -> None:
    assert found.spine.number("coronal_angle_deg") == pytest.approx(0.0, abs=1.0)


@pytest.mark.parametrize(
    ("level", "disc"), list(zip(LEVELS, phantom.DISCS, strict=False))
)
def test_a_volume_is_area_times_width(
    found: SpineMeasurements, level: str, disc: phantom.WedgeDisc
) -> None:
    volume_mm3 = disc.height_mm * disc.length_mm * 44.0
    assert number(found, level, "disc_volume_mm3") == pytest.approx(
        volume_mm3,
        rel=0.1,  # a slice is a twelfth
    )


def test_slices_that_do_not_reach_the_sides_give_no_volume() -> None:
    row = measured(WedgeSpine()).discs[0]
    missing = row.values["disc_volume_mm3"]
    assert isinstance(missing, Missing)
    assert missing.code == "cut_at_the_sides"


def test_a_longer_disc_bulges_by_half_of_what_it_is_longer_than_its_bodies() -> None:
    # L3/L4, 6 mm longer than the bodies of 34 mm beside it.
    discs = list(phantom.DISCS)
    discs[2] = dataclasses.replace(discs[2], length_mm=40.0, wedge_deg=0.0)
    found = measured(WedgeSpine(discs=tuple(discs)))
    assert number(found, "L3/L4", "rear_bulge_mm") == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize(
    ("ends_mm", "again_mm", "goes_on"),
    [(20.0, 99.0, True), (12.0, 99.0, False), (12.0, 34.0, False), (12.0, 24.0, True)],
    ids=["goes on", "ends", "is seen again far below", "is parted by a narrow place"],
)
def test_a_canal_goes_on_or_ends_below_a_disc(
    ends_mm: float, again_mm: float, *, goes_on: bool
) -> None:
    # Rows and columns 0.8 mm apart, the disc at 40 mm; 14 mm deep.
    rows_mm, columns_mm = np.indices((120, 60)) * 0.8
    below_mm = rows_mm - 40.0
    shown = (below_mm < ends_mm) | (below_mm > again_mm)
    inside_mm = np.where(shown, 7.0, -1.0) - np.abs(columns_mm - 24.0)
    field = Field(
        values=(100.0 * inside_mm).astype(np.float32),
        corner_px=np.zeros(2),
        pixel_mm=0.8,
    )
    beside_mm, down = np.array([40.0, 0.0]), np.array([1.0, 0.0])
    assert goes_on_below(field, beside_mm, down) is goes_on


@pytest.mark.parametrize("turn_deg", [-35.0, 0.0, 20.0])
def test_slices_measured_at_once_on_some_points_are_those_alone_on_all(
    turn_deg: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Canals that run askew, at different depths behind the disc; one is not there.
    rows_mm, columns_mm = np.indices((120, 90)) * 0.8
    fields = [
        Field(
            values=(
                90.0 * (half_mm - np.abs(columns_mm - at_mm - lean * rows_mm))
            ).astype(np.float32),
            corner_px=np.array([3.0, 5.0]),
            pixel_mm=0.8,
        )
        for half_mm, at_mm, lean in (
            (7.0, 20.0, 0.2), (5.5, 35.0, -0.1), (-1.0, 30.0, 0.0), (9.0, 30.0, 0.0),
        )
    ]  # fmt: skip
    turn = np.deg2rad(turn_deg)
    down = np.array([np.cos(turn), np.sin(turn)])
    beside = [np.array([44.0, 6.0 + place]) for place in range(len(fields))]
    together = canal_diameters(fields, beside, down)
    assert [depth is None for depth in together] == [False, False, True, False]
    monkeypatch.setattr(canal, "_reached", lambda *_: canal._points())
    alone = [
        canal_diameters([field], [place], down)[0]
        for field, place in zip(fields, beside, strict=True)
    ]
    assert together == alone


def test_the_tip_of_a_canal_is_no_narrowest_place(found: SpineMeasurements) -> None:
    level = found.discs[-1].site
    names = level.anatomy.levels.names.copy()
    plane = level.anatomy.levels.planes[level.disc.number]
    places_mm = np.indices(names.shape[1:]).transpose(1, 2, 0) * level.anatomy.pixel_mm
    below_mm = (places_mm - plane.centre_mm[1:]) @ plane.down
    names[(names == CANAL.number) & (below_mm > 10.0)] = 0
    levels = dataclasses.replace(level.anatomy.levels, names=names)
    cut = Anatomy(tissues=level.anatomy.tissues, levels=levels)
    assert level.level == "L5/S1"
    value = diameter_at_disc(dataclasses.replace(level, anatomy=cut))
    assert isinstance(value, Missing)
    assert value.code == "canal_missing"


@pytest.mark.parametrize(
    ("unknown", "least"),
    [
        ({"L5/S1"}, 12.0),
        ({"L4/L5"}, "the canal has no diameter at L4/L5, where it may be narrowest"),
        ({"L1/L2", "L5/S1"}, "the canal has no diameter at L1/L2, where it may be na"),
    ],
)
def test_no_least_diameter_is_told_where_the_canal_was_not_found_above_its_end(
    found: SpineMeasurements,
    monkeypatch: pytest.MonkeyPatch,
    unknown: set[str],
    least: float | str,
) -> None:
    depths = dict(zip(LEVELS, (11.0, 12.5, 12.0, 13.0, 14.0), strict=True))
    lost = Missing(absence=Absence.STRUCTURE_MISSING, code="canal_missing", text="no")
    monkeypatch.setattr(
        canal,
        "diameter_at_disc",
        lambda level: lost if level.level in unknown else depths[level.level],
    )
    value = canal.least_diameter(found.spine.site)
    if isinstance(least, str):
        assert isinstance(value, Missing)
        assert value.code == "canal_in_part"
        assert value.text.startswith(least)
    else:
        assert value == least


@pytest.mark.parametrize("middle", [3.0, 4.5, 6.2, 7.5])
def test_the_middle_of_a_canal_is_told_by_its_shape_where_a_side_is_cut_off(
    middle: float,
) -> None:
    # 15 mm deep, 20 mm wide; seven slices 1.8 mm apart.
    away = (np.arange(7) - middle) * 1.8 / 10.0
    depths = 15.0 * np.sqrt(np.clip(1.0 - away**2, 0.0, None))
    shown = {place: float(depth) for place, depth in enumerate(depths) if depth > 0}
    assert middle_of(shown) == pytest.approx(middle, abs=1e-6)


@pytest.mark.parametrize(
    "depths", [{0: 9.0, 1: 9.0, 2: 9.0}, {0: 9.0, 1: 7.0, 2: 7.0, 3: 9.0}]
)
def test_a_canal_that_is_deepest_at_the_sides_or_in_few_slices_tells_no_middle(
    depths: dict[int, float],
) -> None:
    assert middle_of(depths) is None


def test_a_canal_whose_middle_lies_beside_the_slices_has_no_diameter(
    found: SpineMeasurements,
) -> None:
    # The outermost slice alone shows it, and shows the spine's own middle.
    level = found.discs[1].site
    anatomy, names = level.anatomy, level.anatomy.levels.names.copy()
    probability = anatomy.tissues.probability.copy()
    names[-1], probability[-1] = (
        each[len(names) // 2] for each in (names, probability)
    )
    names[:-1][names[:-1] == CANAL.number] = 0
    cut = Anatomy(
        tissues=dataclasses.replace(anatomy.tissues, probability=probability),
        levels=dataclasses.replace(anatomy.levels, names=names),
    )
    value = diameter_at_disc(dataclasses.replace(level, anatomy=cut))
    assert isinstance(value, Missing)
    assert value.code == "canal_beside_slices"
