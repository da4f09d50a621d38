"""What the picture shows that the reader has to know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Tissue
from analysis.lumbar.anatomy.tissue_map import TissueMap
from analysis.lumbar.judge.artefacts import (
    MAX_WANDER_MM,
    MIN_FRONT_SHARE,
    artefacts,
    front_heights,
    unfit_bodies,
    unfit_fronts,
)
from analysis.lumbar.judge.height_loss_doubts import height_losses
from analysis.lumbar.judge.resolve import notices, withheld
from analysis.lumbar.measure.measurements import SpineMeasurements, measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from tests.support.wedge_spine import Layout, WedgeSpine, map_of, rotation

FRAME, SHAPE = Layout(size_mm=(14.0, 290.0, 150.0), spacing_mm=(2.0, 0.8, 0.8)).frame()
L4 = VERTEBRAE[2]
OF_RIMS = (
    "wedge_angle_deg",
    "interbody_anterior_height_mm",
    "interbody_posterior_height_mm",
)


@pytest.fixture(scope="module")
def tissues() -> TissueMap:
    return WedgeSpine().tissue_map(FRAME, SHAPE)


def measured(tissues: TissueMap) -> SpineMeasurements:
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    volume = WedgeSpine().volume(FRAME, SHAPE)
    return measure_spine(anatomy, volume, label_source(tissues, anatomy.levels.names))


def leaving(tissues: TissueMap, left_over: float) -> TissueMap:
    """Let L4 leave the slices: in the last, a share of its height is left."""
    names = name_levels(tissues).names
    planes = tissues.probability.copy()
    count = len(planes)
    for index in range(count):
        rows, columns = np.nonzero(names[index] == L4.number)
        first, last = rows.min(), rows.max()
        kept = 1 - (1 - left_over) * index / (count - 1)
        gone = rows > first + kept * (last - first)
        # Beside a body that a slice leaves lies what is neither body nor disc.
        planes[index, 1:, rows[gone], columns[gone]] = 0
        planes[index, 0, rows[gone], columns[gone]] = 255
    return map_of(tissues.grid, planes)


def test_a_body_that_leaves_the_slices_has_no_height_and_is_not_called_crushed(
    tissues: TissueMap,
) -> None:
    found = measured(leaving(tissues, 0.3))
    doubts = unfit_bodies(found)
    told = withheld(found, doubts)
    assert height_losses(told) == ()
    (notice,) = notices(doubts, told)
    assert notice.code == "incomplete"
    assert notice.text.startswith("L4 not measured: its smallest section")
    body = next(one for one in told.bodies if one.vertebra is L4)
    for key in ("body_height_mm", "body_height_ratio", "body_middle_height_mm"):
        reason = body.values[key]
        assert isinstance(reason, Missing)
        assert reason.code == "incomplete"
    for row in told.discs:
        beside = row.level in {"L4/L5", "L3/L4"}
        for key in ("disc_height_index", *OF_RIMS):
            assert (row.number(key) is None) == beside
        assert row.number("interbody_height_mm") is not None


def test_a_body_whose_sections_differ_less_is_measured(tissues: TissueMap) -> None:
    for found in (measured(tissues), measured(leaving(tissues, 0.8))):
        assert unfit_bodies(found) == ()


def test_a_body_that_is_not_found_between_others_is_told(tissues: TissueMap) -> None:
    levels = name_levels(tissues)
    names = np.where(levels.names == L4.number, 0, levels.names).astype(np.uint8)
    anatomy = Anatomy(tissues=tissues, levels=replace(levels, names=names))
    volume = WedgeSpine().volume(FRAME, SHAPE)
    found = measure_spine(anatomy, volume, label_source(tissues, names))
    doubts = unfit_bodies(found)
    (notice,) = notices(doubts, withheld(found, doubts))
    assert notice.code == "incomplete"
    assert notice.text == "L4 not measured: L4 was not found"


@pytest.mark.parametrize(
    ("tilt_deg", "told", "oblique"),
    [(12.5, False, False), (13.5, True, False), (21.0, True, True)],
)
def test_a_scoliosis_is_told_where_its_angle_exceeds_ten_degrees_beyond_doubt(
    tissues: TissueMap, tilt_deg: float, told: bool, oblique: bool
) -> None:
    found, levels = measured(tissues), name_levels(tissues)
    planes = dict(levels.planes)
    lowest, other = DISCS[0].number, DISCS[4].number
    straight = planes[other].side_slope
    slope = np.tan(np.arctan(straight) + np.radians(tilt_deg))
    planes[lowest] = replace(planes[lowest], side_slope=float(slope))
    anatomy = Anatomy(tissues=tissues, levels=replace(levels, planes=planes))
    volume = WedgeSpine().volume(FRAME, SHAPE)
    doubts = artefacts(anatomy, volume, found)
    texts = [doubt.text for doubt in doubts if doubt.code == "scoliosis"]
    assert len(texts) == told
    assert [text.endswith("oblique sections") for text in texts] == [oblique] * told


def test_a_straight_spine_in_slices_that_lean_is_no_scoliosis() -> None:
    layout = Layout(
        turn=rotation("y", 12.0),
        size_mm=(72.0, 290.0, 150.0),
        spacing_mm=(2.0, 0.8, 0.8),
    )
    frame, shape = layout.frame()
    leaning = WedgeSpine().tissue_map(frame, shape)
    anatomy = Anatomy(tissues=leaning, levels=name_levels(leaning))
    middles = [anatomy.middle_slice(disc) for disc in DISCS[:5]]
    known = [middle for middle in middles if middle is not None]
    assert np.ptp(known) * anatomy.slice_mm > MAX_WANDER_MM
    volume = WedgeSpine().volume(frame, shape)
    labels = label_source(leaning, anatomy.levels.names)
    found = measure_spine(anatomy, volume, labels)
    codes = {doubt.code for doubt in artefacts(anatomy, volume, found)}
    assert "scoliosis" not in codes


def test_the_first_body_of_the_sacrum_has_no_height(tissues: TissueMap) -> None:
    s1 = next(one for one in measured(tissues).bodies if one.vertebra is VERTEBRAE[0])
    height = s1.values["body_height_mm"]
    assert isinstance(height, Missing)
    assert height.code == "sacrum"


def shown_from(tissues: TissueMap, first: int, below_row: int) -> TissueMap:
    """Let the canal leave the slices below a row: the first of them show none."""
    planes = tissues.probability.copy()
    canal = planes[:first, Tissue.CANAL, below_row:]
    planes[:first, Tissue.BACKGROUND, below_row:] += canal
    canal[:] = 0
    return map_of(tissues.grid, planes)


def off_the_middle(tissues: TissueMap) -> list[str]:
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    volume = WedgeSpine().volume(FRAME, SHAPE)
    doubts = artefacts(anatomy, volume, measured(tissues))
    return [doubt.text for doubt in doubts if doubt.code == "off_the_middle"]


def test_discs_are_named_where_the_canal_leaves_the_slices_at_a_side(
    tissues: TissueMap,
) -> None:
    assert off_the_middle(tissues) == []
    levels = name_levels(tissues)
    row = levels.windows[L4.number][1].start + 5
    count = len(tissues.probability)
    # The last slice alone shows it from L4/L5 on, then none does.
    (text,) = off_the_middle(shown_from(tissues, count - 1, row))
    assert text.startswith("L4/L5, L5/S1: the canal leaves the slices at a side")
    (text,) = off_the_middle(shown_from(tissues, count, row))
    assert text.startswith("L4/L5, L5/S1: ")
    # A sac that ends above L5/S1 alone says nothing.
    lowest = levels.windows[DISCS[0].number][1].start - 20
    assert off_the_middle(shown_from(tissues, count, lowest)) == []


def with_low_front(
    found: SpineMeasurements, level: str, share: float
) -> SpineMeasurements:
    """Return what was measured, with a space that is low in front of its disc."""
    (row,) = (one for one in found.discs if one.level == level)
    fronts = front_heights(row)
    assert fronts is not None
    values = {**row.values, "interbody_anterior_height_mm": share * fronts[1]}
    low = replace(row, values=values)
    discs = tuple(low if one is row else one for one in found.discs)
    return replace(found, discs=discs)


def test_a_disc_higher_in_front_than_its_space_is_not_measured(
    tissues: TissueMap,
) -> None:
    found = measured(tissues)
    assert unfit_fronts(found) == ()
    assert unfit_fronts(with_low_front(found, "L3/L4", MIN_FRONT_SHARE + 0.01)) == ()
    low = with_low_front(found, "L3/L4", MIN_FRONT_SHARE - 0.01)
    doubts = unfit_fronts(low)
    told = withheld(low, doubts)
    (notice,) = notices(doubts, told)
    assert notice.code == "implausible"
    assert notice.text.startswith("L3/L4 not measured: the space between the bodies")
    for row in told.discs:
        is_low = row.level == "L3/L4"
        for key in ("interbody_height_mm", "wedge_angle_deg", "disc_height_mm"):
            assert (row.number(key) is None) == is_low
    assert told.spine.number("lordosis_l1_s1_deg") is not None
    (disc,) = (row.disc.number for row in found.discs if row.level == "L3/L4")
    assert unfit_fronts(low, frozenset({disc})) == ()


def test_with_the_end_plate_of_s1_goes_what_hangs_on_it(tissues: TissueMap) -> None:
    low = with_low_front(measured(tissues), "L5/S1", MIN_FRONT_SHARE - 0.01)
    told = withheld(low, unfit_fronts(low))
    levels = {row.level: row for row in told.discs}
    for key in ("interbody_height_mm", "wedge_angle_deg", "segment_lordosis_deg"):
        assert levels["L5/S1"].number(key) is None
        assert levels["L4/L5"].number(key) is not None
    assert low.spine.number("sacral_slope_deg") is not None
    for key in ("sacral_slope_deg", "lordosis_l1_s1_deg"):
        assert told.spine.number(key) is None
