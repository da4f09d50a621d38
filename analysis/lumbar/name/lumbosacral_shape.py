"""The shape of the disc above the sacrum and of the body above it.

It tells L5/S1 from S1/S2, and S1 from what is left of another body at the edge of a
picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.spine_curve import Column
from analysis.lumbar.anatomy.structures import Tissue

_NEAR_MM = 8.0
"""Slices within this distance of the middle of the spine are looked at: beyond it S1
spreads into its wings."""
_ABOVE = 3
"""Discs above the lowest one that tell what is usual in this patient."""
_END_MM = (3.0, 9.0)
"""Where the depth of a body near its end plate is taken: so far from the disc's
plane."""
_TRIM = (3.0, 97.0)
"""Percentiles between which a length runs, so that a spur does not set it."""
_DISC_HALF_MM = 12.0
"""Disc voxels further from the plane belong to no disc: half a vertebra."""
_MIN_PIXELS = 8
_SHOWN_SHARE = 1 / 3
"""Of what the slice with most of it shows; less is the side of a structure."""
_MIN_WHOLE = 0.6
"""Area of the body above the disc over the median of those above it: less is a piece of
it, whose shape tells nothing."""
_LEAST = 0.05
"""Ratios are compared by their logarithm; less than this is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Junction:
    """Signs that a disc lies between S1 and S2, and not between L5 and S1.

    Parameters
    ----------
    disc_depth_ratio
        Depth of the disc from front to back over the median of the three above it.
    disc_height_ratio
        The same of its mean height.
    squareness
        Depth of the body above the disc at its lower end over that at its upper end: S1
        tapers, L5 does not.
    tilt_above_deg
        How far the next disc above leans to the front: L5/S1 does so more than L4/L5.
    """

    disc_depth_ratio: float
    disc_height_ratio: float
    squareness: float
    tilt_above_deg: float

    def signs(self) -> NDArray[np.float64]:
        """Return the signs, shape (4,), as a model takes them: ratios as logarithms."""
        ratios = [self.disc_depth_ratio, self.disc_height_ratio, self.squareness]
        return np.array([*np.log(np.maximum(ratios, _LEAST)), self.tilt_above_deg])


class MiddleView:
    """The column near the middle of the spine, parted by its discs.

    Parameters
    ----------
    column
        The spine.
    discs
        From head to feet.
    below_mm : ndarray, shape (discs, N)
        How far each voxel of the column lies below the plane of each disc.
    """

    def __init__(
        self, column: Column, discs: list[DiscPlane], below_mm: NDArray[np.float64]
    ) -> None:
        aside_mm = column.points_mm[:, 0] - np.median(column.points_mm[:, 0])
        near = np.flatnonzero(np.abs(aside_mm) <= _NEAR_MM)
        self._discs = discs
        self._points_mm = column.points_mm[near]
        self._below_mm = below_mm.take(near, axis=1)
        self._slot = (self._below_mm > 0).sum(axis=0)
        self._nearest = np.abs(self._below_mm).argmin(axis=0)
        self._slices = column.indices[near, 0]
        self._is_bone = column.tissue[near] != Tissue.DISC
        self._pixel_mm2 = (column.row_step_mm or 0.0) ** 2

    def junction(self, lowest: int) -> Junction | None:
        """Measure the signs at a disc; None where too little is in view above it.

        Parameters
        ----------
        lowest
            Index of the disc above what the network calls S1.
        """
        above = range(max(0, lowest - _ABOVE), lowest)
        seen = [index for index in above if not self._discs[index].inferred]
        if lowest - 1 not in seen or self._discs[lowest].inferred:
            return None
        bodies_mm2 = [self.area_mm2(index) for index in seen]
        if self.area_mm2(lowest) < _MIN_WHOLE * float(np.median(bodies_mm2)):
            return None
        top_mm, bottom_mm = (self._depth_mm(lowest, i) for i in (lowest - 1, lowest))
        if not (top_mm and bottom_mm):
            return None
        usual_depth_mm = float(np.median([self._discs[i].depth_mm for i in seen]))
        usual_height_mm = float(np.median([self._height_mm(i) for i in seen]))
        return Junction(
            disc_depth_ratio=self._discs[lowest].depth_mm / usual_depth_mm,
            disc_height_ratio=self._height_mm(lowest) / max(usual_height_mm, 1.0),
            squareness=bottom_mm / top_mm,
            tilt_above_deg=self._discs[lowest - 1].tilt_deg,
        )

    def body_height_mm(self, slot: int) -> float:
        """Return how far the bone below a disc reaches down from it.

        Parameters
        ----------
        slot
            0 is what lies above the first disc, 1 what lies below it, and so on.
        """
        member = self._is_bone & (self._slot == slot)
        if slot == 0 or member.sum() < _MIN_PIXELS:
            return 0.0
        return float(np.ptp(np.percentile(self._below_mm[slot - 1][member], _TRIM)))

    def lowest_row_mm(self, slot: int) -> float:
        """Return how far below the first row of the picture a body ends."""
        member = self._is_bone & (self._slot == slot)
        return float(self._points_mm[member, 1].max(initial=0.0))

    def area_mm2(self, slot: int) -> float:
        """Return the mean area of the bone in a slot."""
        return self._mean_mm2(self._is_bone & (self._slot == slot))

    def _height_mm(self, index: int) -> float:
        """Return the mean height of a disc: its area over its depth."""
        member = ~self._is_bone & (self._nearest == index)
        member &= np.abs(self._below_mm[index]) < _DISC_HALF_MM
        return self._mean_mm2(member) / max(self._discs[index].depth_mm, 1.0)

    def _depth_mm(self, slot: int, disc: int) -> float:
        """Return the depth of a body near a disc beside it; 0 where it is not seen."""
        away_mm = np.abs(self._below_mm[disc])
        low, high = _END_MM
        member = (self._slot == slot) & (away_mm > low) & (away_mm < high)
        member &= self._is_bone
        if member.sum() < _MIN_PIXELS:
            return 0.0
        down = self._discs[disc].down
        along_plane = self._points_mm[member][:, 1:] @ [-down[1], down[0]]
        return float(np.ptp(np.percentile(along_plane, _TRIM)))

    def _mean_mm2(self, member: NDArray[np.bool_]) -> float:
        """Return the mean area over the slices that show a good part of it."""
        pixels = np.bincount(self._slices[member], minlength=1)
        shown = pixels[pixels >= _SHOWN_SHARE * max(pixels.max(), 1)]
        return float(shown.mean() if shown.size else 0.0) * self._pixel_mm2
