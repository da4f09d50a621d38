"""A structure in one slice as a field whose zero line is its outline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.linear_reader import LinearReader

T = TypeVar("T")

OUTSIDE = -255.0
"""The field far from a structure: surely none of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """A signed field of one slice: positive inside a structure, zero on its outline.

    Parameters
    ----------
    values : ndarray, shape (R, C), float32
    corner_px : ndarray, shape (2,)
        (row, column) of `values[0, 0]` in the slice.
    pixel_mm
        Distance of rows and of columns.
    """

    values: NDArray[np.float32]
    corner_px: NDArray[np.float64]
    pixel_mm: float
    _centroid: list[NDArray[np.float64] | None] = field(
        init=False, repr=False, default_factory=list
    )
    _edges: list[NDArray[np.float64]] = field(
        init=False, repr=False, default_factory=list
    )
    _last: dict[object, Any] = field(init=False, repr=False, default_factory=dict)

    def sample(
        self,
        origin_mm: NDArray[np.float64],
        steps_mm: NDArray[np.float64],
        places: tuple[range, range],
    ) -> NDArray[np.float32]:
        """Read the field on a regular grid of points.

        Outside the window counts as outside the structure.

        Parameters
        ----------
        origin_mm : ndarray, shape (2,)
            (row, column) of point (0, 0).
        steps_mm : ndarray, shape (2, 2)
            Its columns lead from one point to the next along either axis.
        places
            Points along either axis.
        """
        reader = LinearReader(
            steps_mm / self.pixel_mm,
            origin_mm / self.pixel_mm - self.corner_px,
            places,
            self.values.shape,
        )
        return reader.read(self.values, OUTSIDE)

    def once(self, key: object, read: Callable[[], T]) -> T:
        """Return what a function reads; kept for the same key until another is asked.

        Parameters
        ----------
        key
            Says what is read, and how.
        """
        if key not in self._last:
            self._last.clear()
            self._last[key] = read()
        return cast("T", self._last[key])

    def reach_mm(
        self, origin_mm: NDArray[np.float64], direction: NDArray[np.float64]
    ) -> tuple[float, float]:
        """Return from where to where its window lies along a direction from a point.

        Parameters
        ----------
        origin_mm, direction : ndarray, shape (2,)
            Of (row, column); the direction has the length 1.
        """
        sides = zip(
            self.corner_px, self.values.shape, origin_mm, direction, strict=True
        )
        low = high = 0.0
        for corner, count, origin, step in sides:
            ends = [
                (float(end) * self.pixel_mm - float(origin)) * float(step)
                for end in (corner, corner + count - 1)
            ]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def inside_mm(
        self, origin_mm: NDArray[np.float64], direction: NDArray[np.float64]
    ) -> tuple[float, float]:
        """Return beyond what along a direction from a point none of it is inside.

        Its window, which may lie askew to the direction, mostly reaches further.

        Parameters
        ----------
        origin_mm, direction : ndarray, shape (2,)
            As `reach_mm` takes them.
        """
        edges = self.edges_mm()
        if not edges.size:
            return self.reach_mm(origin_mm, direction)
        along = (edges - origin_mm) @ direction
        # Where the field is positive, a pixel at most one row and column away is.
        near_mm = 2 * self.pixel_mm
        return float(along.min()) - near_mm, float(along.max()) + near_mm

    def centroid_mm(self) -> NDArray[np.float64] | None:
        """Return the middle (row, column) of the inside, None where it is empty."""
        if not self._centroid:
            self._centroid.append(self._middle_mm())
        return self._centroid[0]

    def edges_mm(self) -> NDArray[np.float64]:
        """Return the first and the last place of the inside in each row that has any.

        Returns
        -------
        ndarray, shape (2, N, 2)
            (row, column) of the middles of pixels.
        """
        if not self._edges:
            inside = self.values > 0
            rows = np.flatnonzero(inside.any(axis=1))
            mine = inside[rows]
            first = mine.argmax(axis=1)
            last = (mine * np.arange(mine.shape[1])).max(axis=1)
            ends = np.stack([np.stack([rows, end], axis=1) for end in (first, last)])
            self._edges.append((ends + self.corner_px) * self.pixel_mm)
        return self._edges[0]

    def _middle_mm(self) -> NDArray[np.float64] | None:
        inside = self.values > 0
        by_row, by_column = inside.sum(axis=1), inside.sum(axis=0)
        count = int(by_row.sum())
        if count == 0:
            return None
        sums = [int(each @ np.arange(len(each))) for each in (by_row, by_column)]
        return np.asarray((np.array(sums) / count + self.corner_px) * self.pixel_mm)
