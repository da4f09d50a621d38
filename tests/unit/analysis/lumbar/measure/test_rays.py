"""A structure is read only where it may be: the same is found as on all rays."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.lumbar.anatomy.field import OUTSIDE, Field
from analysis.lumbar.measure.end_plates import BODY_HALF_HEIGHT_MM, Rays, body_on_rays

PIXEL_MM = 0.8


def askew(turn_deg: float) -> Field:
    """Return a slab of 34 mm x 26 mm that leans, with a window about it."""
    turn = np.deg2rad(turn_deg)
    rows_mm, columns_mm = (np.indices((80, 84)) - 40.0) * PIXEL_MM
    along = columns_mm * np.cos(turn) - rows_mm * np.sin(turn)
    across = rows_mm * np.cos(turn) + columns_mm * np.sin(turn)
    inside_mm = np.minimum(17.0 - np.abs(along), 13.0 - np.abs(across))
    values = np.where(inside_mm > -2.0, 90.0 * inside_mm, OUTSIDE)
    values = np.maximum(values, OUTSIDE).astype(np.float32)
    return Field(values=values, corner_px=np.array([12.0, 7.0]), pixel_mm=PIXEL_MM)


@pytest.mark.parametrize("turn_deg", [-27.0, -4.0, 0.0, 11.0, 33.0])
@pytest.mark.parametrize("off_deg", [-6.0, 0.0, 20.0])
def test_nothing_of_a_body_is_left_out(turn_deg: float, off_deg: float) -> None:
    body = askew(turn_deg)
    turn = np.deg2rad(turn_deg + off_deg)
    down = np.array([np.cos(turn), np.sin(turn)])
    centre = body.centroid_mm()
    assert centre is not None
    whole = Rays.of(centre, down, BODY_HALF_HEIGHT_MM, (body,))
    everywhere = whole.sample(body)
    rays, lead = body_on_rays(body, down)
    (ray, point), (rows, columns) = rays.first, lead.shape
    part = (slice(ray, ray + rows), slice(point, point + columns))
    np.testing.assert_array_equal(lead, everywhere[part])
    everywhere[part] = OUTSIDE
    assert (everywhere <= 0).all()
    assert ray % 2 == 0
    # It is worth the trouble: what leans lies in a window that is much larger.
    if abs(turn_deg) > 20.0 and not off_deg:
        assert lead.size < 0.7 * everywhere.size


@pytest.mark.parametrize("turn_deg", [-27.0, 0.0, 33.0])
def test_rays_beside_a_disc_are_outside(turn_deg: float) -> None:
    disc = askew(turn_deg)
    down, centre = np.array([1.0, 0.0]), np.array([20.0, 60.0])
    rays = Rays.of(centre, down)
    met, everywhere = rays.sample_where_met(disc), rays.sample(disc)
    is_read = met != OUTSIDE
    np.testing.assert_array_equal(met[is_read], everywhere[is_read])
    assert (everywhere[~is_read] <= 0).all()
    assert (everywhere > 0).any()


def test_a_field_with_nothing_inside_is_read_in_its_whole_window() -> None:
    field = Field(
        values=np.full((4, 6), OUTSIDE, np.float32),
        corner_px=np.zeros(2),
        pixel_mm=PIXEL_MM,
    )
    origin, down = np.zeros(2), np.array([1.0, 0.0])
    assert field.inside_mm(origin, down) == field.reach_mm(origin, down)
