"""A structure in one slice as a field whose zero line is its outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

    def sample(
        self,
        origin_mm: NDArray[np.float64],
        steps_mm: NDArray[np.float64],
        shape: tuple[int, int],
    ) -> NDArray[np.float32]:
        """Read the field on a regular grid of points.

        Outside the window counts as outside the structure.

        Parameters
        ----------
        origin_mm : ndarray, shape (2,)
            (row, column) of the first point.
        steps_mm : ndarray, shape (2, 2)
            Its columns lead from one point to the next along either axis.
        shape
            Points along either axis.
        """
        from scipy import ndimage

        lead: NDArray[np.float32] = ndimage.affine_transform(
            self.values,
            steps_mm / self.pixel_mm,
            offset=origin_mm / self.pixel_mm - self.corner_px,
            output_shape=shape,
            output=np.float32,
            order=1,
            mode="constant",
            cval=OUTSIDE,
        )
        return lead

    @property
    def corners_mm(self) -> NDArray[np.float64]:
        """Corners (row, column) of its window, shape (4, 2)."""
        rows, columns = np.array(self.values.shape) - 1
        corners = [[0, 0], [0, columns], [rows, 0], [rows, columns]]
        return np.asarray((np.array(corners) + self.corner_px) * self.pixel_mm)

    def centroid_mm(self) -> NDArray[np.float64] | None:
        """Return the middle (row, column) of the inside, None where it is empty."""
        inside = np.argwhere(self.values > 0)
        if len(inside) == 0:
            return None
        return np.asarray((inside.mean(axis=0) + self.corner_px) * self.pixel_mm)
