"""Heights and lengths against a spine that is known in closed form."""

import dataclasses

import numpy as np
import pytest

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Tissue
from analysis.lumbar.anatomy.tissue_map import TissueMap
from analysis.lumbar.measure.discs_and_bodies import measure_body, measure_disc
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.number_or_reason import Missing, Value, ratio
from tests.support import wedge_spine as phantom
from tests.support.wedge_spine import Layout, WedgeSpine, map_of, rotation

SIZE = (12.0, 290.0, 150.0)
HEIGHT_TOLERANCE_MM = 0.1
LENGTH_TOLERANCE_MM = 0.1
COLLAPSED_LENGTH_TOLERANCE_MM = 0.25
"""Pixels of 0.8 mm round off the corners of a disc of 2 mm."""

LAYOUTS = {
    "straight": Layout(size_mm=SIZE),
    "fine": Layout(size_mm=SIZE, spacing_mm=(4.0, 0.3, 0.3)),
    "coarse": Layout(size_mm=SIZE, spacing_mm=(4.0, 1.25, 1.25)),
    "oblong pixels": Layout(size_mm=SIZE, spacing_mm=(4.0, 0.5, 1.0)),
    "feet up": Layout(size_mm=SIZE, rows_to=phantom.HEAD),
    "front at the right": Layout(size_mm=SIZE, columns_to=phantom.FRONT),
    "rows to the back": Layout(
        size_mm=SIZE, rows_to=phantom.BACK, columns_to=phantom.FEET
    ),
    "tilted": Layout(size_mm=SIZE, turn=rotation("x", 15.0)),
    "tilted by half a right angle": Layout(
        size_mm=(12.0, 320.0, 320.0), turn=rotation("x", 45.0)
    ),
}
TURNS = {
    "oblique 6 deg": rotation("z", 6.0),
    "double oblique": rotation("z", 12.0) @ rotation("y", 9.0),
    "triple oblique": rotation("z", 12.0) @ rotation("y", -9.0) @ rotation("x", 12.0),
}


def anatomy_of(tissues: TissueMap) -> Anatomy:
    return Anatomy(tissues=tissues, levels=name_levels(tissues))


def in_mm(quantity: Value) -> float:
    assert isinstance(quantity, float)
    return quantity


def check_against_truth(
    anatomy: Anatomy,
    spine: WedgeSpine,
    length_tolerance_mm: float = LENGTH_TOLERANCE_MM,
) -> None:
    for disc, truth in zip(DISCS, spine.discs, strict=False):
        measured = measure_disc(anatomy, disc)
        assert in_mm(measured.height_mm) == pytest.approx(
            truth.height_mm, abs=HEIGHT_TOLERANCE_MM
        )
        assert in_mm(measured.length_mm) == pytest.approx(
            truth.length_mm, abs=length_tolerance_mm
        )
    for vertebra in VERTEBRAE[1:6]:
        body = measure_body(anatomy, vertebra)
        assert in_mm(body.height_mm) == pytest.approx(
            phantom.BODY_HEIGHT_MM, abs=HEIGHT_TOLERANCE_MM
        )


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_heights_and_lengths_are_true_however_the_series_lies(layout: Layout) -> None:
    spine = WedgeSpine()
    check_against_truth(anatomy_of(spine.tissue_map(*layout.frame())), spine)


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_heights_and_lengths_are_true_in_slices_that_follow_an_oblique_spine(
    turn: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> None:
    spine = WedgeSpine(turn=turn)
    layout = Layout(size_mm=SIZE, turn=turn)
    check_against_truth(anatomy_of(spine.tissue_map(*layout.frame())), spine)


def test_slices_near_the_middle_are_averaged_and_one_read_wrongly_does_no_harm() -> (
    None
):
    spine = WedgeSpine()
    # Three slices 4 mm apart: the middle and both neighbours are within 6 mm.
    tissues = spine.tissue_map(*Layout(size_mm=SIZE).frame())
    whole = measure_disc(anatomy_of(tissues), DISCS[2])
    planes = tissues.probability.copy()
    last = tissues.tissue[2]
    rows = np.nonzero((last == Tissue.DISC).any(axis=1))[0]
    planes[2, Tissue.DISC, rows.min() : rows.max() : 2] = 0
    wrong = measure_disc(anatomy_of(map_of(tissues.grid, planes)), DISCS[2])
    assert len(whole.slices) == len(wrong.slices) == 3
    assert wrong.slices[-1].height_mm < in_mm(whole.height_mm) - 1
    assert in_mm(wrong.height_mm) == pytest.approx(spine.discs[2].height_mm, abs=0.1)


def test_a_wedge_has_other_heights_in_front_and_behind() -> None:
    # 20 deg over 36 mm: at 14.4 mm before and behind the middle, where the central 80 %
    # end, it opens by 2 x 14.4 x tan(10 deg) = 5.08 mm.
    discs = list(phantom.DISCS)
    discs[1] = phantom.WedgeDisc(height_mm=10.0, length_mm=36.0, wedge_deg=20.0)
    spine = WedgeSpine(discs=tuple(discs))
    measured = measure_disc(
        anatomy_of(spine.tissue_map(*Layout(size_mm=SIZE).frame())), DISCS[1]
    )
    for value, truth in (
        (measured.height_mm, 10.0),
        (measured.anterior_height_mm, 15.08),
        (measured.middle_height_mm, 10.0),
        (measured.posterior_height_mm, 4.92),
    ):
        assert in_mm(value) == pytest.approx(truth, abs=HEIGHT_TOLERANCE_MM)
    assert in_mm(measured.area_mm2) == pytest.approx(360.0, rel=0.01)


@pytest.mark.parametrize("slope_deg", [5.0, 45.0])
def test_a_disc_is_measured_along_its_own_axis_however_steep(slope_deg: float) -> None:
    spine = WedgeSpine(sacral_slope_deg=slope_deg)
    anatomy = anatomy_of(spine.tissue_map(*Layout(size_mm=SIZE).frame()))
    for disc, truth in zip(DISCS[:3], spine.discs, strict=False):
        measured = measure_disc(anatomy, disc)
        assert in_mm(measured.height_mm) == pytest.approx(
            truth.height_mm, abs=HEIGHT_TOLERANCE_MM
        )
        assert in_mm(measured.length_mm) == pytest.approx(
            truth.length_mm, abs=LENGTH_TOLERANCE_MM
        )


def test_a_collapsed_disc_is_measured() -> None:
    discs = [
        dataclasses.replace(d, height_mm=2.0, wedge_deg=0.0) for d in phantom.DISCS
    ]
    spine = WedgeSpine(discs=tuple(discs), sacral_slope_deg=5.0)
    anatomy = anatomy_of(spine.tissue_map(*Layout(size_mm=SIZE).frame()))
    check_against_truth(anatomy, spine, COLLAPSED_LENGTH_TOLERANCE_MM)


def test_the_outline_of_a_disc_lies_on_its_edges_in_the_series_own_pixels() -> None:
    layout = LAYOUTS["front at the right"]
    frame, shape = layout.frame()
    anatomy = anatomy_of(WedgeSpine().tissue_map(frame, shape))
    outline = measure_disc(anatomy, DISCS[4]).outline
    assert outline is not None
    assert outline.slice_index == shape[0] // 2
    indices = np.insert(outline.points, 0, outline.slice_index, axis=1)
    drawn = frame.to_mm(indices)[:, 1:]
    corners = [c for kind, c, _ in WedgeSpine().polygons() if kind is Tissue.DISC][4]
    for corner in corners:
        assert np.linalg.norm(drawn - corner, axis=1).min() < 0.8
    middle = np.linalg.norm(corners.mean(axis=0) - drawn, axis=1)
    assert middle.max() < np.linalg.norm(corners[0] - corners[2]) / 2 + 0.8


def test_a_level_above_the_picture_says_so() -> None:
    frame, shape = Layout(size_mm=SIZE).frame()
    cut = WedgeSpine().tissue_map(
        dataclasses.replace(frame, origin_mm=frame.origin_mm - [0.0, 0.0, 145.0]),
        (shape[0], 180, shape[2]),
    )
    missing = measure_disc(anatomy_of(cut), DISCS[4]).height_mm
    assert isinstance(missing, Missing)
    assert missing.absence is Absence.OUTSIDE_FIELD_OF_VIEW


def test_a_disc_far_shorter_than_its_bodies_is_not_measured() -> None:
    discs = list(phantom.DISCS)
    discs[2] = phantom.WedgeDisc(height_mm=10.0, length_mm=12.0)
    anatomy = anatomy_of(
        WedgeSpine(discs=tuple(discs)).tissue_map(*Layout(size_mm=SIZE).frame())
    )
    length = measure_disc(anatomy, DISCS[2]).length_mm
    assert isinstance(length, Missing)
    assert length.code == "incomplete"


def test_a_ratio_is_missing_where_a_part_is() -> None:
    missing = Missing(absence=Absence.STRUCTURE_MISSING, code="not_found", text="x")
    assert ratio(6.0, 3.0) == 2.0
    assert ratio(missing, 3.0) is missing
    assert ratio(6.0, missing) is missing


def test_a_disc_that_was_found_in_part_is_not_measured() -> None:
    # Of the disc only what lies in front of its middle is outlined.
    tissues = WedgeSpine().tissue_map(*Layout(size_mm=SIZE).frame())
    names = name_levels(tissues).names == DISCS[3].number
    middle = round(float(np.argwhere(names)[:, 2].mean()))
    half = tissues.probability.copy()
    rows = np.flatnonzero(names.any(axis=(0, 2)))
    half[:, Tissue.DISC, rows[0] - 1 : rows[-1] + 2, middle:] = 0
    height = measure_disc(anatomy_of(map_of(tissues.grid, half)), DISCS[3]).height_mm
    assert isinstance(height, Missing)
    assert height.code == "incomplete"
