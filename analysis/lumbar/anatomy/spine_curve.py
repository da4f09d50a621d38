"""The spine as a curve: where along it and how far beside it a voxel lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """The bodies and discs that hang together, along their centre line.

    Parameters
    ----------
    indices : ndarray, shape (N, 3), int64
        (slice, row, column) of its voxels.
    tissue : ndarray, shape (N,), uint8
        What each voxel is.
    points_mm : ndarray, shape (N, 3)
        Position along slice, row and column, from voxel (0, 0, 0).
    along_mm : ndarray, shape (N,)
        Distance along the centre line, growing to the feet.
    beside_mm : ndarray, shape (N, 2)
        Distance from the centre line: to the right, and to the back.
    line_mm : ndarray, shape (M, 3)
        The centre line, from the head to the feet.
    """

    indices: NDArray[np.int64]
    tissue: NDArray[np.uint8]
    points_mm: NDArray[np.float64]
    along_mm: NDArray[np.float64]
    beside_mm: NDArray[np.float64]
    line_mm: NDArray[np.float64]

    @property
    def row_step_mm(self) -> float | None:
        """Least distance of two of its rows; None where there is one row alone."""
        rows = self.indices[:, 1]
        places = np.full(int(rows.max(initial=0)) + 1, np.nan)
        places[rows] = self.points_mm[:, 1]
        steps = np.diff(places[np.isfinite(places)])
        return float(steps.min()) if steps.size else None

    def direction(self, along_mm: float) -> NDArray[np.float64]:
        """Return the unit vector (row, column) of the line there, to the feet."""
        here = int(np.searchsorted(lengths_mm(self.line_mm), along_mm))
        here = min(max(here, 1), len(self.line_mm) - 1)
        step = self.line_mm[here, 1:] - self.line_mm[here - 1, 1:]
        return np.asarray(step / np.linalg.norm(step))

    def direction_at(self, point_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the unit vector (row, column) of the line nearest to a point."""
        apart = np.linalg.norm(self.line_mm[:, 1:] - point_mm[1:], axis=1)
        return self.direction(float(lengths_mm(self.line_mm)[int(apart.argmin())]))


def lengths_mm(line_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far along a line (M, 3) each of its points lies, shape (M,)."""
    steps = np.linalg.norm(np.diff(line_mm[:, 1:], axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])
