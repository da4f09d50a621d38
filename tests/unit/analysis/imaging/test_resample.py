"""Both ways of reading a plane give what the definition says."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from analysis.imaging.resample import resample

PLANE = np.random.default_rng(5).normal(100, 30, (23, 31)).astype(np.float32)


def by_definition(
    matrix: NDArray[np.float64], offset: NDArray[np.float64], order: Literal[0, 1]
) -> NDArray[np.float32]:
    """Read PLANE point by point."""
    points = np.argwhere(np.ones((40, 50))) @ matrix.T + offset
    read: NDArray[np.float32] = ndimage.map_coordinates(
        PLANE,
        points.T.reshape(2, 40, 50),
        order=order,
        mode="constant",
        cval=-7,
        prefilter=False,
    )
    return read


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(
    ("matrix", "offset"),
    [
        pytest.param(np.diag([0.6, 0.7]), np.array([-1.3, -2.2]), id="finer"),
        pytest.param(np.diag([1.7, 2.1]), np.array([0.4, 0.0]), id="coarser"),
        pytest.param(np.diag([-0.6, 0.7]), np.array([22.0, 1.0]), id="from-below"),
        pytest.param(
            np.array([[0.6137, 0.1031], [-0.1073, 0.5917]]),
            np.array([-1.037, 2.013]),
            id="turned",
        ),
        pytest.param(
            np.array([[0.0, 0.6], [0.5, 0.0]]), np.array([1.0, 2.0]), id="transposed"
        ),
    ],
)
def test_a_plane_is_read_where_the_map_says(
    matrix: NDArray[np.float64], offset: NDArray[np.float64], order: Literal[0, 1]
) -> None:
    found = resample(PLANE, matrix, offset, (40, 50), order=order, outside=-7)
    expected = by_definition(matrix, offset, order)
    assert found.dtype == PLANE.dtype
    assert (found == -7).sum() == (expected == -7).sum() > 0
    assert np.allclose(found, expected, atol=1e-3)


def test_nothing_of_a_plane_elsewhere_is_read() -> None:
    far = np.array([500.0, 0.0])
    found = resample(PLANE, np.eye(2), far, (4, 5), order=1, outside=3.0)
    assert (found == np.full((4, 5), 3.0)).all()


def test_labels_keep_their_type() -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    found = resample(labels, np.diag([0.5, 0.5]), np.zeros(2), (5, 7), order=0)
    assert found.dtype == np.uint8
    # Halfway between two pixels it is the later one.
    assert found[0].tolist() == [0, 1, 1, 2, 2, 3, 3]
