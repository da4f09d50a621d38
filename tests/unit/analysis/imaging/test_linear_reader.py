"""Planes are read as scipy reads them, bit by bit, whichever places are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from analysis.imaging.linear_reader import LinearReader, read_each

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


def test_planes_read_together_are_those_read_one_by_one() -> None:
    rng = np.random.default_rng(11)
    places = (range(2, 30), range(5, 33))
    planes, matrices, offsets = [], [], []
    for turn in np.deg2rad([0.0, 4.0, -31.0, 90.0, 200.0]):
        shape = rng.integers(2, 13, 2)
        planes.append(rng.normal(0, 90, shape).astype(np.float32))
        ahead = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        matrices.append(0.5 * np.array(ahead))
        # About its middle, so that some places lie outside and some within.
        offsets.append(shape / 2 - matrices[-1] @ [16.0, 19.0])
    found = read_each(planes, np.stack(matrices), np.stack(offsets), places, -255.0)
    is_outside = found == -255.0
    assert is_outside.any(axis=(1, 2)).all()
    assert not is_outside.all(axis=(1, 2)).any()
    for plane, matrix, offset, one in zip(
        planes, matrices, offsets, found, strict=True
    ):
        reader = LinearReader(matrix, offset, places, plane.shape)
        np.testing.assert_array_equal(one, reader.read(plane, -255.0))


def test_a_plane_beside_all_places_is_read_as_outside() -> None:
    planes = [np.ones((4, 5), np.float32), np.ones((3, 3), np.float32)]
    offsets = np.array([[90.0, 90.0], [0.0, 0.0]])
    places = (range(3), range(3))
    found = read_each(planes, np.stack([np.eye(2)] * 2), offsets, places, -1.0)
    np.testing.assert_array_equal(found, [np.full((3, 3), -1.0), np.ones((3, 3))])
