"""Where one disc lies: its plane in the column."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.lumbar.anatomy.spine_curve import Column

_FAR_MM = 40.0
"""Beyond this distance the position along the spine decides what is above a disc; a
tilted plane would cut neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscPlane:
    """The plane of one disc.

    Parameters
    ----------
    centre_mm : ndarray, shape (3,)
        Along slice, row and column.
    along_mm
        Its place on the centre line.
    down : ndarray, shape (2,)
        Unit vector (row, column) from the disc to the feet, at right angles to it.
    side_slope
        Millimetres to the feet for each millimetre to the right.
    depth_mm
        Spread from front to back.
    inferred
        Whether no disc was seen here, but one must be.
    cut_below
        What looks like a disc and cuts the body below this one in two.
    """

    centre_mm: NDArray[np.float64]
    along_mm: float
    down: NDArray[np.float64]
    side_slope: float
    depth_mm: float
    inferred: bool = False
    cut_below: DiscPlane | None = None

    def distance_mm(self, column: Column) -> NDArray[np.float64]:
        """Return how far each voxel of the column lies below the plane (mm)."""
        across, down, back = (column.points_mm[:, axis] for axis in range(3))
        local = down - self.centre_mm[1]
        local *= self.down[0]
        part = back - self.centre_mm[2]
        part *= self.down[1]
        local += part
        np.subtract(across, self.centre_mm[0], out=part)
        part *= self.side_slope
        local -= part
        along = np.subtract(column.along_mm, self.along_mm, out=part)
        np.copyto(local, along, where=np.abs(along) > _FAR_MM)
        return np.asarray(local)

    def fall_deg(self, frame: Frame) -> float:
        """Return by how much the patient's right lies below the plane (degrees).

        Parameters
        ----------
        frame
            Of the grid. Slices that lean, or are turned about the patient's long axis,
            have another right than the patient.
        """
        normal = frame.directions @ [-self.side_slope, *self.down]
        return math.degrees(math.asin(normal[0] / np.linalg.norm(normal)))

    @property
    def tilt_deg(self) -> float:
        """Angle by which its front is lower than its back (degrees)."""
        return math.degrees(math.atan2(self.down[1], self.down[0]))
