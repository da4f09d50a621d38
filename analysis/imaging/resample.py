"""Pictures read at other places: fast where both grids run the same way.

Series are seldom turned within their own plane. Their rows and columns then lead to
rows and columns, and each axis can be read for itself, six times as fast.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.linear_reader import LinearReader

T = TypeVar("T", np.uint8, np.float32)

_STRAIGHT_PX = 1e-6
"""Grids that part by less than this over their whole length run the same way; rounding
of direction cosines parts them by 1e-13."""


def resample(
    plane: NDArray[T],
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int],
    *,
    order: Literal[0, 1],
    outside: float = 0.0,
) -> NDArray[T]:
    """Read a plane on a regular grid of places.

    Parameters
    ----------
    plane : ndarray, shape (R, C)
        What is read.
    matrix : ndarray, shape (2, 2)
    offset : ndarray, shape (2,)
        Point `p` of the new grid lies at `matrix @ p + offset` of the plane.
    shape
        Of the new grid.
    order
        0 for the nearest pixel, 1 for a linear mean of the four about it.
    outside
        The value beyond the middles of the outermost pixels.

    Returns
    -------
    ndarray, of that shape and of the type of the plane
    """
    if is_straight(matrix, shape):
        return _by_axis(plane, np.diag(matrix), offset, shape, order, outside)
    if order == 1 and plane.dtype == np.float32:
        places = (range(shape[0]), range(shape[1]))
        reader = LinearReader(matrix, offset, places, plane.shape)
        floats = np.asarray(plane, np.float32)
        return np.asarray(reader.read(floats, outside), plane.dtype)
    from scipy import ndimage

    turned: NDArray[T] = ndimage.affine_transform(
        plane,
        matrix,
        offset=offset,
        output_shape=shape,
        order=order,
        mode="constant",
        cval=outside,
    )
    return turned


def is_straight(matrix: NDArray[np.float64], shape: tuple[int, int]) -> bool:
    """Say whether rows and columns of a grid of that shape run as those of a plane."""
    across = max(abs(matrix[0, 1]) * shape[1], abs(matrix[1, 0]) * shape[0])
    return bool(across < _STRAIGHT_PX)


def _by_axis(
    plane: NDArray[T],
    steps: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int],
    order: Literal[0, 1],
    outside: float,
) -> NDArray[T]:
    read: NDArray[Any] = plane
    sampled = np.full(shape, outside, plane.dtype)
    window = []
    for axis in (0, 1):
        places = offset[axis] + steps[axis] * np.arange(shape[axis])
        last = plane.shape[axis] - 1
        within = np.flatnonzero((places >= 0) & (places <= last))
        if within.size == 0:
            return sampled
        window.append(slice(int(within[0]), int(within[-1]) + 1))
        read = _along(read, places[within], axis, order)
    sampled[tuple(window)] = read
    return sampled


def _along(
    plane: NDArray[Any], places: NDArray[np.float64], axis: int, order: Literal[0, 1]
) -> NDArray[Any]:
    """Read a plane at places along one axis that all lie within it."""
    if order == 0:
        return plane.take(np.floor(places + 0.5).astype(np.int64), axis)
    before = np.floor(places).astype(np.int64)
    after = np.minimum(before + 1, plane.shape[axis] - 1)
    share = (places - before).reshape((-1, 1) if axis == 0 else (1, -1))
    here = plane.take(before, axis)
    return np.asarray(here + share * (plane.take(after, axis) - here))
