"""Planes are read as scipy reads them, bit by bit, whichever places are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from analysis.imaging.linear_reader import LinearReader

SHAPE, GRID = (23, 31), (40, 50)


@pytest.mark.parametrize("turn_deg", [0.0, 4.0, -31.0, 90.0, 200.0])
@pytest.mark.parametrize("step", [0.5, 0.7361, 1.0])
def test_the_numbers_are_those_of_scipy(turn_deg: float, step: float) -> None:
    rng = np.random.default_rng(7)
    turn = np.deg2rad(turn_deg)
    matrix = step * np.array(
        [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )
    offset = np.array([11.0, 15.0]) - matrix @ np.array(GRID) / 2 + rng.normal(0, 2, 2)
    reader = LinearReader(matrix, offset, (range(5, 40), range(0, 47)), SHAPE)
    for _ in range(3):
        plane = rng.normal(100, 30, SHAPE).astype(np.float32)
        expected = ndimage.affine_transform(
            plane, matrix, offset, GRID, order=1, mode="constant", cval=-7.0
        )
        np.testing.assert_array_equal(reader.read(plane, -7.0), expected[5:40, :47])


def test_it_says_whether_a_place_lies_outside() -> None:
    inside, beyond = range(0, 22), range(0, 24)
    for rows, is_outside in ((inside, False), (beyond, True)):
        reader = LinearReader(np.eye(2), np.zeros(2), (rows, range(0, 31)), SHAPE)
        assert reader.has_outside == is_outside


def test_a_pixel_at_the_edge_is_read_as_it_is() -> None:
    plane = np.arange(6, dtype=np.float32).reshape(2, 3)
    reader = LinearReader(np.eye(2), np.zeros(2), (range(3), range(4)), (2, 3))
    found = reader.read(plane, -1.0)
    np.testing.assert_array_equal(found, [[0, 1, 2, -1], [3, 4, 5, -1], [-1] * 4])
