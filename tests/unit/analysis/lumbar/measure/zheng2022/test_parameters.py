"""The reference's parameters, on shapes that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS
from analysis.lumbar.measure.zheng2022.corners import find_corners
from analysis.lumbar.measure.zheng2022.parameters import (
    RIM_MM,
    grade_of,
    picture_pixel_mm,
    zheng_geometry,
)
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.number_or_reason import Missing
from tests.support import wedge_spine as phantom
from tests.support.wedge_spine import Layout, WedgeSpine

SIZE = (12.0, 290.0, 150.0)
PIXEL_MM = 290.0 / 512


def box(
    tilt_deg: float, size_px: tuple[float, float] = (46.0, 64.0)
) -> NDArray[np.bool_]:
    """Return a tilted rectangle, (high, wide), in the middle of 128 x 128 pixels."""
    rows, columns = np.mgrid[:128, :128] - 63.5
    angle = np.deg2rad(tilt_deg)
    along = np.cos(angle) * columns + np.sin(angle) * rows
    across = np.cos(angle) * rows - np.sin(angle) * columns
    high, wide = size_px
    return np.asarray((np.abs(across) < high / 2) & (np.abs(along) < wide / 2))


@pytest.mark.parametrize("tilt_deg", [0.0, 10.0, 20.0, 30.0])
def test_corners_lie_a_few_pixels_inside_the_body(tilt_deg: float) -> None:
    # FACTS.md section 2: 2.8 to 4.6 px inside, width ratio 0.90 to 0.94.
    corners = find_corners(box(tilt_deg), sacrum=False)
    assert corners is not None
    assert 0.88 <= corners.width_px / 64.0 <= 0.95
    assert corners.upper_front[0] < corners.upper_rear[0]
    assert corners.lower_front[0] < corners.lower_rear[0]
    assert corners.upper_front[1] < corners.lower_front[1]
    assert corners.upper_rear[1] < corners.lower_rear[1]


def test_a_shape_smaller_than_the_corners_distance_has_no_four_corners() -> None:
    assert find_corners(box(0.0, (12.0, 12.0)), sacrum=False) is None


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    tissues = WedgeSpine().tissue_map(*Layout(size_mm=SIZE).frame())
    return Anatomy(tissues=tissues, levels=name_levels(tissues))


def test_the_longer_side_of_the_series_fills_the_picture(anatomy: Anatomy) -> None:
    assert picture_pixel_mm(anatomy) == pytest.approx(PIXEL_MM, rel=0.01)


def test_the_reference_height_is_four_fifths_of_the_mean_height(
    anatomy: Anatomy,
) -> None:
    # The disc is taken up to its bodies, 0.8 mm beyond its own outline on either side,
    # and 1.5 mm further at either end.
    found = zheng_geometry(anatomy)
    for disc, truth in zip(DISCS, phantom.DISCS[:5], strict=False):
        height, index, share = found[disc.number]
        assert isinstance(height, float)
        assert isinstance(index, float)
        assert isinstance(share, float)
        true_mm = truth.height_mm + 2 * phantom.GAP_MM
        assert 0.77 <= height / (true_mm / PIXEL_MM) <= 0.85
        # Bodies are read too high by the inset corners: about 0.74 in all.
        assert 0.68 <= index / (true_mm / phantom.BODY_HEIGHT_MM) <= 0.80
        assert 0.76 <= share / (true_mm / (truth.length_mm + 2 * RIM_MM)) <= 0.86


def test_a_finer_matrix_over_the_same_field_changes_nothing(anatomy: Anatomy) -> None:
    fine = Layout(size_mm=SIZE, spacing_mm=(4.0, 0.4, 0.4))
    tissues = WedgeSpine().tissue_map(*fine.frame())
    other = Anatomy(tissues=tissues, levels=name_levels(tissues))
    one, two = zheng_geometry(anatomy), zheng_geometry(other)
    for disc in DISCS[:5]:
        assert one[disc.number][0] == pytest.approx(two[disc.number][0], rel=0.04)


@pytest.mark.parametrize(
    ("delta_si", "grade"),
    [
        (121.97, 1),
        (106.5, 1),
        (106.4, 2),
        (95.34, 2),
        (84.2, 3),
        (72.34, 3),
        (59.0, 4),
        (44.63, 4),
        (33.1, 5),
        (0.0, 5),
    ],
)
def test_the_grade_is_that_of_the_nearest_published_mean(
    delta_si: float, grade: int
) -> None:
    assert grade_of(delta_si) == grade


def test_no_delta_si_no_grade() -> None:
    missing = Missing(absence=Absence.SIGNAL_UNFIT, code="csf_dark", text="x")
    assert grade_of(missing) is missing
