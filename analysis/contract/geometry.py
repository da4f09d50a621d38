"""`Frame`: the affine between voxel index and patient millimetres (LPS).

Arrays are `(K, R, C)`: slice, row, column. Points are `(x, y, z)` in mm in the DICOM
patient frame: x to the left, y to the back, z to the head (PS3.3 C.7.6.2.1.1).
This is the only place where the two meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_UNIT_TOLERANCE = 1e-4
"""Direction cosines are written with about six digits (DS, 16 characters)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """A right-handed, uniform grid in the patient.

    Parameters
    ----------
    origin_mm : array_like, shape (3,)
        Centre of voxel (0, 0, 0), in mm (LPS).
    directions : array_like, shape (3, 3)
        Columns are the unit vectors along which slice, row and column index grow.
    spacing_mm : array_like, shape (3,)
        Distance between neighbours along slice, row and column, in mm.

    Raises
    ------
    ValueError
        If a shape is wrong, a number is not finite, a spacing is not positive, or the
        directions are not orthonormal with column x row = slice.
    """

    origin_mm: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, shape in (
            ("origin_mm", (3,)),
            ("directions", (3, 3)),
            ("spacing_mm", (3,)),
        ):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != shape:
                message = f"{name}: expected shape {shape}, got {array.shape}"
                raise ValueError(message)
            if not np.isfinite(array).all():
                message = f"{name}: not finite: {array.tolist()}"
                raise ValueError(message)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if (self.spacing_mm <= 0).any():
            message = f"spacing_mm: not positive: {self.spacing_mm.tolist()}"
            raise ValueError(message)
        gram = self.directions.T @ self.directions
        if not np.allclose(gram, np.eye(3), atol=_UNIT_TOLERANCE):
            message = f"directions: not orthonormal: {self.directions.tolist()}"
            raise ValueError(message)
        slice_axis, row_axis, column_axis = self.directions.T
        if np.cross(column_axis, row_axis) @ slice_axis < 0:
            message = "directions: column x row does not point along the slice axis"
            raise ValueError(message)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The affine, shape (4, 4): `(k, r, c, 1)` to `(x, y, z, 1)` in mm."""
        affine = np.eye(4)
        affine[:3, :3] = self.directions * self.spacing_mm
        affine[:3, 3] = self.origin_mm
        return affine

    def to_mm(self, indices: ArrayLike) -> NDArray[np.float64]:
        """Map voxel indices, shape (..., 3), to mm (LPS), same shape."""
        points = np.asarray(indices, dtype=np.float64)
        return points * self.spacing_mm @ self.directions.T + self.origin_mm

    def to_index(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Map points in mm (LPS), shape (..., 3), to fractional voxel indices."""
        points = np.asarray(points_mm, dtype=np.float64)
        return (points - self.origin_mm) @ self.directions / self.spacing_mm
