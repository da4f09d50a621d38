"""Stripes without signal across a drawn spine: which discs they touch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, level_of
from analysis.lumbar.doubt import Doubt, Effect, Need, Scope, of_disc
from analysis.lumbar.judge.dark_stripes import dark_stripes
from analysis.lumbar.name.name_levels import name_levels
from tests.support.wedge_spine import Layout, WedgeSpine

LAYOUT = Layout(size_mm=(28.0, 290.0, 150.0))
FLESH = 70.0
"""Fat and muscle around the spine, which the drawn one has none of."""
NUMBERS = {level_of(disc): disc.number for disc in DISCS}
Case = tuple[Anatomy, Volume]


@pytest.fixture(scope="module")
def case() -> Case:
    frame, shape = LAYOUT.frame()
    spine = WedgeSpine()
    tissues = spine.tissue_map(frame, shape)
    volume = spine.volume(frame, shape)
    flesh = np.maximum(volume.voxels, np.float32(FLESH))
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    return anatomy, dataclasses.replace(volume, voxels=flesh)


def doubted(
    case: Case,
    high_mm: float,
    lean_deg: float,
    down_mm: float,
    edited: frozenset[int] = frozenset(),
) -> tuple[Doubt, ...]:
    """Lay a stripe over the picture, that far below the middle of L3/L4."""
    anatomy, volume = case
    grid = anatomy.tissues.grid
    row, column = anatomy.levels.planes[NUMBERS["L3/L4"]].centre_mm[1:]
    rows, columns = np.indices(volume.voxels.shape[1:])
    back = np.stack([rows.ravel(), columns.ravel()], axis=1)
    matrix, offset = grid.plane_map(to_source=False)
    there_mm = (back @ matrix.T + offset) * anatomy.pixel_mm
    lean = np.tan(np.radians(lean_deg))
    away = there_mm[:, 0] - row - down_mm - lean * (there_mm[:, 1] - column)
    voxels = volume.voxels.copy()
    voxels[:, (np.abs(away) < high_mm / 2).reshape(rows.shape)] = 1.0
    found = dark_stripes(anatomy, dataclasses.replace(volume, voxels=voxels), edited)
    assert all(doubt.code == "signal_void" for doubt in found)
    assert all(doubt.effect is Effect.WITHHOLD for doubt in found)
    return found


def touched(
    case: Case,
    high_mm: float,
    lean_deg: float,
    down_mm: float,
    edited: frozenset[int] = frozenset(),
) -> set[str]:
    """Return the levels that a stripe touches."""
    found = doubted(case, high_mm, lean_deg, down_mm, edited)
    scopes = {doubt.scope for doubt in found}
    return {level for level, number in NUMBERS.items() if of_disc(number) in scopes}


def hidden(
    case: Case, high_mm: float, down_mm: float, edited: frozenset[int] = frozenset()
) -> set[str]:
    """Return the bodies of which a stripe may hide a part."""
    numbers = [
        doubt.scope.structures or frozenset()
        for doubt in doubted(case, high_mm, 0.0, down_mm, edited)
        if doubt.scope.need is Need.BODY_HEIGHTS
    ]
    held = frozenset[int]().union(*numbers)
    return {body.label for body in VERTEBRAE if body.number in held}


@pytest.mark.parametrize(
    ("high_mm", "down_mm", "bodies"),
    [
        (12.0, 8.0, {"L4"}),  # from the disc down
        (12.0, -8.0, {"L3"}),  # from the disc up
        (26.0, 0.0, {"L3", "L4"}),  # the disc and a rim of both
    ],
)
def test_the_height_of_a_body_that_a_stripe_reaches_into_is_doubted(
    case: Case, high_mm: float, down_mm: float, bodies: set[str]
) -> None:
    assert hidden(case, high_mm, down_mm) == bodies
    edited = frozenset(body.number for body in VERTEBRAE)
    assert hidden(case, high_mm, down_mm, edited) == set()


def test_a_stripe_over_l5_s1_may_hide_the_end_plate_of_s1(case: Case) -> None:
    anatomy, _ = case
    (low, middle) = (anatomy.levels.planes[NUMBERS[one]] for one in ("L5/S1", "L3/L4"))
    down_mm = float(low.centre_mm[1] - middle.centre_mm[1])
    scopes = {doubt.scope for doubt in doubted(case, 26.0, 0.0, down_mm)}
    sacrum = frozenset({VERTEBRAE[0].number})
    assert Scope(structures=sacrum, need=Need.SACRUM) in scopes


def test_no_stripe_is_seen_where_there_is_none(case: Case) -> None:
    assert dark_stripes(*case) == ()


@pytest.mark.parametrize("lean_deg", [-20.0, 0.0, 9.0, 30.0])
@pytest.mark.parametrize("high_mm", [2.0, 6.0, 16.0])
def test_a_stripe_over_a_disc_touches_it(
    case: Case, high_mm: float, lean_deg: float
) -> None:
    assert "L3/L4" in touched(case, high_mm, lean_deg, 0.0)


def test_a_stripe_that_holds_a_disc_whole_touches_it(case: Case) -> None:
    assert touched(case, 26.0, 0.0, 0.0) == {"L3/L4"}


def test_a_stripe_across_the_middle_of_a_body_touches_no_disc(case: Case) -> None:
    assert touched(case, 4.0, 0.0, 19.0) == set()


def test_a_dark_disc_is_no_stripe(case: Case) -> None:
    anatomy, volume = case
    names = anatomy.levels.names
    rows = np.argwhere(names == NUMBERS["L3/L4"])
    there = np.rint(anatomy.tissues.grid.to_source_indices(rows[:, 1:].astype(float)))
    voxels = volume.voxels.copy()
    voxels[:, there[:, 0].astype(int), there[:, 1].astype(int)] = 1.0
    dark = dataclasses.replace(volume, voxels=voxels)
    assert dark_stripes(anatomy, dark) == ()


def test_a_disc_that_a_reader_has_outlined_is_not_doubted(case: Case) -> None:
    striped = touched(case, 16.0, 0.0, 0.0)
    edited = frozenset(NUMBERS[level] for level in striped)
    assert "L3/L4" in striped
    assert touched(case, 16.0, 0.0, 0.0, edited) == set()
