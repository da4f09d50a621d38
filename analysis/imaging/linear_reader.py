"""Planes read at the places of a turned grid, as a linear mean of four pixels.

The numbers are those of `scipy.ndimage.affine_transform`, bit by bit: the same products
and sums in the same order. What the places of several planes have in common is reckoned
once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class LinearReader:
    """Reads planes of one shape at the same places.

    Parameters
    ----------
    matrix : ndarray, shape (2, 2)
    offset : ndarray, shape (2,)
        Point `p` of the new grid lies at `matrix @ p + offset` of the planes.
    places
        Rows and columns of the new grid that are read.
    shape
        Rows and columns of the planes.
    """

    def __init__(
        self,
        matrix: NDArray[np.float64],
        offset: NDArray[np.float64],
        places: tuple[range, range],
        shape: tuple[int, int],
    ) -> None:
        down, along = (np.arange(part.start, part.stop) for part in places)
        rows, columns = (
            (start + down * by_row)[:, None] + along * by_column
            for start, (by_row, by_column) in zip(offset, matrix, strict=True)
        )
        self._wide = shape[1] + 1
        last_row, last_column = shape[0] - 1, shape[1] - 1
        # Any place that there is stands for one outside: what is read there does not
        # count.
        inner = np.clip(rows, 0, last_row)
        is_outside = inner != rows
        rows = inner
        inner = np.clip(columns, 0, last_column)
        is_outside |= inner != columns
        columns = inner
        self._outside = is_outside if is_outside.any() else None
        # No place is negative here, so what is below it is its whole part. Floats are
        # taken from floats in one pass; whole numbers would be converted on the way.
        row, column = np.floor(rows), np.floor(columns)
        rows -= row
        columns -= column
        row *= self._wide
        row += column
        self._first = row.astype(np.intp)
        self._above = np.subtract(1.0, rows, out=rows)
        self._before = np.subtract(1.0, columns, out=columns)
        self._below = np.subtract(1.0, rows, out=row)
        self._behind = np.subtract(1.0, columns, out=column)

    @property
    def has_outside(self) -> bool:
        """Whether a place lies beyond the middles of the outermost pixels."""
        return self._outside is not None

    def read(self, plane: NDArray[np.float32], outside: float) -> NDArray[np.float32]:
        """Read a plane; what lies outside it has one value."""
        # One row and one column more, which have no weight, spare a look for the edge.
        wide = np.zeros((plane.shape[0] + 1, self._wide), np.float64)
        wide[:-1, :-1] = plane
        pixels, place = wide.ravel(), self._first
        read = pixels.take(place, mode="clip")
        read *= self._above
        read *= self._before
        for step, across, along in (
            (1, self._above, self._behind),
            (self._wide, self._below, self._before),
            (self._wide + 1, self._below, self._behind),
        ):
            # `take` from a later start is `take` at later places.
            part = pixels[step:].take(place, mode="clip")
            part *= across
            part *= along
            read += part
        found = np.asarray(read, np.float32)
        if self._outside is not None:
            np.copyto(found, np.float32(outside), where=self._outside)
        return found
