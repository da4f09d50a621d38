"""Planes read at the places of a turned grid, as a linear mean of four pixels.

The numbers are those of `scipy.ndimage.affine_transform`, bit by bit: the same products
and sums in the same order. What the places of several planes have in common is reckoned
once.
"""

from __future__ import annotations

from collections.abc import Sequence

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
        is_outside = (rows < 0) | (rows > last_row)
        is_outside |= columns < 0
        is_outside |= columns > last_column
        self._outside = is_outside if is_outside.any() else None
        if self._outside is not None:
            # Any place that there is: what is read there does not count.
            np.clip(rows, 0, last_row, out=rows)
            np.clip(columns, 0, last_column, out=columns)
        row, column = rows.astype(np.intp), columns.astype(np.intp)
        rows -= row
        columns -= column
        row *= self._wide
        row += column
        self._first = row
        self._above, self._before = 1.0 - rows, 1.0 - columns
        self._below, self._behind = 1.0 - self._above, 1.0 - self._before

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


def read_each(
    planes: Sequence[NDArray[np.float32]],
    matrices: NDArray[np.float64],
    offsets: NDArray[np.float64],
    places: tuple[range, range],
    outside: float,
) -> NDArray[np.float32]:
    """Read planes of any shape, each on a grid of its own, in one pass.

    Each is read as a `LinearReader` reads it, bit by bit. Of many small grids most of
    the time goes to the steps themselves, which are taken here once for all.

    Parameters
    ----------
    planes : K of ndarray, shape (R, C)
        At least one; rows and columns may differ.
    matrices : ndarray, shape (K, 2, 2)
    offsets : ndarray, shape (K, 2)
        Of each plane, as `LinearReader` takes them.
    places
        Rows and columns of the new grids, the same of all, that are read.
    outside
        The value of what lies outside a plane.

    Returns
    -------
    ndarray, shape (K, rows, columns), float32
    """
    down, along = (np.arange(part.start, part.stop) for part in places)
    rows, columns = (
        (offsets[:, axis, None] + down * matrices[:, axis, :1])[:, :, None]
        + (along * matrices[:, axis, 1:])[:, None, :]
        for axis in (0, 1)
    )
    last = np.array([plane.shape for plane in planes])[:, :, None, None] - 1
    is_outside = (rows < 0) | (rows > last[:, 0])
    is_outside |= columns < 0
    is_outside |= columns > last[:, 1]
    np.clip(rows, 0, last[:, 0], out=rows)
    np.clip(columns, 0, last[:, 1], out=columns)
    row, column = rows.astype(np.intp), columns.astype(np.intp)
    rows -= row
    columns -= column
    above, before = 1.0 - rows, 1.0 - columns
    below, behind = 1.0 - above, 1.0 - before
    # Of each plane the rows that are read, one below the other in one array; one row
    # and one column more, which have no weight, spare a look for the edge.
    first = row.min(axis=(1, 2))
    heights = row.max(axis=(1, 2)) - first + 2
    wide = last[:, 1, 0, 0] + 2
    starts = np.concatenate([[0], np.cumsum(heights * wide)])
    pixels = np.zeros(starts[-1], np.float64)
    for plane, top, high, start, end in zip(
        planes, first, heights, starts[:-1], starts[1:], strict=True
    ):
        part = plane[top : top + high]
        pixels[start:end].reshape(high, -1)[: len(part), :-1] = part
    row -= first[:, None, None]
    row *= wide[:, None, None]
    row += column
    row += starts[:-1, None, None]
    read = pixels.take(row)
    read *= above
    read *= before
    to_below = (wide - 1)[:, None, None]
    for step, across, beside in (
        (1, above, behind), (to_below, below, before), (1, below, behind),
    ):  # fmt: skip
        row += step
        corner = pixels.take(row)
        corner *= across
        corner *= beside
        read += corner
    found = np.asarray(read, np.float32)
    np.copyto(found, np.float32(outside), where=is_outside)
    return found
