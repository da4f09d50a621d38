"""End plates and heights of bodies against a spine that is known in closed form."""

import numpy as np
import pytest

from analysis.lumbar.anatomy.field import OUTSIDE, Field
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import VERTEBRAE
from analysis.lumbar.measure.body_shape import BodyShapes, shape_of
from analysis.lumbar.name.name_levels import name_levels
from tests.support import wedge_spine as phantom
from tests.support.wedge_spine import Layout, WedgeSpine, rotation

SIZE = (12.0, 290.0, 150.0)


def shapes_of(spine: WedgeSpine, layout: Layout) -> BodyShapes:
    tissues = spine.tissue_map(*layout.frame())
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    return BodyShapes(anatomy=anatomy, downs={})


@pytest.mark.parametrize(
    ("layout", "hollow_mm"),
    [
        (Layout(size_mm=SIZE), 0.0),
        (Layout(size_mm=SIZE), 4.0),
        (Layout(size_mm=SIZE, spacing_mm=(4.0, 0.4, 0.9)), 3.0),
        (Layout(size_mm=SIZE, turn=rotation("x", 15.0)), 3.0),
    ],
    ids=["flat", "hollow", "oblong", "tilted"],
)
def test_hollow_end_plates_turn_no_line_and_take_only_from_the_middle(
    layout: Layout, hollow_mm: float
) -> None:
    shapes = shapes_of(WedgeSpine(hollow_mm=hollow_mm), layout)
    # The hollow has a depth of 0.717 of its deepest in the middle: it falls from 0.12
    # to 0.65 of the depth, and (0.5 - 0.12) / (0.65 - 0.12) = 0.717.
    middle_mm = phantom.BODY_HEIGHT_MM - 2 * 0.717 * hollow_mm
    for vertebra in VERTEBRAE[1:6]:
        for shape in shapes.near_middle(vertebra):
            assert shape.upper.lean_deg == pytest.approx(shape.lower.lean_deg, abs=0.5)
            for height_mm, true_mm in (
                (shape.anterior_height_mm, phantom.BODY_HEIGHT_MM),
                (shape.middle_height_mm, middle_mm),
                (shape.posterior_height_mm, phantom.BODY_HEIGHT_MM),
            ):
                assert height_mm == pytest.approx(true_mm, abs=0.2)
            assert shape.upper.depth_mm == pytest.approx(phantom.BODY_DEPTH_MM, abs=0.2)


def test_the_end_plates_lean_as_the_spine_is_built() -> None:
    spine = WedgeSpine(sacral_slope_deg=30.0, hollow_mm=3.0)
    shapes = shapes_of(spine, Layout(size_mm=SIZE))
    lean_deg = -30.0  # the sacrum's end plate rises to the back
    sacrum = shapes.near_middle(VERTEBRAE[0])[0]
    assert sacrum.upper.lean_deg == pytest.approx(lean_deg, abs=0.5)
    for vertebra, disc in zip(VERTEBRAE[1:6], spine.discs, strict=False):
        lean_deg += disc.wedge_deg
        shape = shapes.near_middle(vertebra)[0]
        assert shape.lower.lean_deg == pytest.approx(lean_deg, abs=0.5)
        assert shape.upper.lean_deg == pytest.approx(lean_deg, abs=0.5)


@pytest.mark.parametrize(("gap_px", "is_measured"), [(0, True), (6, False)])
def test_a_body_that_has_no_middle_has_no_shape(gap_px: int, is_measured: bool) -> None:
    values = np.full((50, 60), OUTSIDE, np.float32)
    values[10:40, 10:50] = -OUTSIDE
    values[:, 30 - gap_px // 2 : 30 + gap_px // 2] = OUTSIDE
    body = Field(values=values, corner_px=np.zeros(2), pixel_mm=0.8)
    shape = shape_of(body, np.array([1.0, 0.0]))
    assert (shape is not None) is is_measured
