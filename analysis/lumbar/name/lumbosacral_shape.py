"""The shape of the disc above the sacrum and of the body above it.

It tells L5/S1 from S1/S2, and S1 from what is left of another body at the edge of a
picture.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

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
_WALL = (12.0, 88.0)
"""Percentiles of the height of a body between which its front is a line: its corners
are round, and spurs grow on them."""
_WALL_STEP_MM = 2.0
"""Of the places along a body at which its front is read."""
_FRONT = 6.0
"""Percentile, from front to back, that is the front there."""
_MIN_WALL_MM = 8.0
"""Less of a body has no front that tells a direction."""
_MIN_PLACE_PIXELS, _MIN_PLACES = 4, 4
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
_RATIOS = frozenset({"disc_depth_ratio", "disc_height_ratio"})
_LEAST = 0.05
"""Ratios are compared by their logarithm; less than this is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Junction:
    """Signs that a disc lies between L5 and S1, and not a level lower or higher.

    Parameters
    ----------
    disc_depth_ratio
        Depth of the disc from front to back over the median of the three above it.
    disc_height_ratio
        The same of its mean height.
    promontory_deg
        By how much the front of the body below the disc leans further back than that
        of the body above it: at L5/S1 the spine bends, and S1 and S2 are one bone.
    tilt_deg
        How far the disc leans to the front: L5/S1 does so more than L4/L5.
    """

    disc_depth_ratio: float
    disc_height_ratio: float
    promontory_deg: float
    tilt_deg: float

    def signs(self, names: tuple[str, ...]) -> NDArray[np.float64]:
        """Return signs by their names, as a model takes them: ratios as logarithms."""
        values = asdict(self)
        return np.array(
            [
                math.log(max(values[name], _LEAST)) if name in _RATIOS else values[name]
                for name in names
            ]
        )


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
        self._pixels = column.indices[near, 1:]
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
        promontory_deg = self._promontory_deg(lowest)
        if promontory_deg is None:
            return None
        usual_depth_mm = float(np.median([self._discs[i].depth_mm for i in seen]))
        usual_height_mm = float(np.median([self._height_mm(i) for i in seen]))
        return Junction(
            disc_depth_ratio=self._discs[lowest].depth_mm / usual_depth_mm,
            disc_height_ratio=self._height_mm(lowest) / max(usual_height_mm, 1.0),
            promontory_deg=promontory_deg,
            tilt_deg=self._discs[lowest].tilt_deg,
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

    def meets(self, slot: int, mask: NDArray[np.bool_]) -> bool:
        """Say whether a body has a pixel in a mask, shape (R, C)."""
        member = self._is_bone & (self._slot == slot)
        rows, columns = self._pixels[member].T
        return bool(mask[rows, columns].any())

    def area_mm2(self, slot: int) -> float:
        """Return the mean area of the bone in a slot."""
        return self._mean_mm2(self._is_bone & (self._slot == slot))

    def _height_mm(self, index: int) -> float:
        """Return the mean height of a disc: its area over its depth."""
        member = ~self._is_bone & (self._nearest == index)
        member &= np.abs(self._below_mm[index]) < _DISC_HALF_MM
        return self._mean_mm2(member) / max(self._discs[index].depth_mm, 1.0)

    def _promontory_deg(self, disc: int) -> float | None:
        """Return the bend of the front of the spine at a disc; None: it is not seen."""
        above, below = (self._front_deg(slot, disc) for slot in (disc, disc + 1))
        return None if above is None or below is None else below - above

    def _front_deg(self, slot: int, disc: int) -> float | None:
        """Return how far the front of a body leans back against a disc's normal."""
        member = self._is_bone & (self._slot == slot)
        if member.sum() < _MIN_PIXELS:
            return None
        down = self._discs[disc].down
        points_mm = self._points_mm[member][:, 1:]
        along_mm, back_mm = points_mm @ down, points_mm @ [-down[1], down[0]]
        first, last = np.percentile(along_mm, _WALL)
        if last - first < _MIN_WALL_MM:
            return None
        count = max(_MIN_PLACES, int((last - first) / _WALL_STEP_MM))
        place = np.floor((along_mm - first) / (last - first) * count)
        seen = [at for at in range(count) if (place == at).sum() >= _MIN_PLACE_PIXELS]
        if len(seen) < _MIN_PLACES:
            return None
        front_mm = [np.percentile(back_mm[place == at], _FRONT) for at in seen]
        middle_mm = [along_mm[place == at].mean() for at in seen]
        return math.degrees(math.atan(np.polyfit(middle_mm, front_mm, 1)[0]))

    def _mean_mm2(self, member: NDArray[np.bool_]) -> float:
        """Return the mean area over the slices that show a good part of it."""
        pixels = np.bincount(self._slices[member], minlength=1)
        shown = pixels[pixels >= _SHOWN_SHARE * max(pixels.max(), 1)]
        return float(shown.mean() if shown.size else 0.0) * self._pixel_mm2
