"""Height and length of a disc or a body in one sagittal slice.

Both are slabs between two surfaces. A slab is measured in a frame of its own: `s`
runs along it to the back, `n` across it to the feet, both in mm from its centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.fitting import robust_slope

CENTRAL_SHARE = 0.8
"""Of the length over which the height is averaged. The ends of a disc are badly
reproducible between readers; the share is that of the reference (Zheng 2022)."""
_STEP_MM = 0.4
"""Half a pixel; between steps the field is linear, and so are crossings."""
_HALF_LENGTH_MM = 36.0
_HALF_HEIGHT_MM = 28.0
"""Larger than half of any lumbar body or disc."""
_FACING_MM = 14.0
"""The body that faces a disc begins within this distance of the disc's middle."""
_END_HEIGHT_MM = 1.0
"""A slab ends where it is thinner than this: about one pixel."""
_END_SHARE = 0.5
"""For a collapsed slab: or thinner than this share of its own middle height."""
_FIT_SHARE = 0.7
"""Of the length on which surfaces are fitted; rims and osteophytes lie outside."""
_MIN_RAYS = 10
"""Over 4 mm; fewer say nothing of a direction."""
_ROUNDS = 2
"""After the second round the direction moves by less than 0.1 deg."""


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

    def sample(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Read the field at points (row, column) in mm, shape (..., 2).

        Outside the window counts as outside the structure.
        """
        from scipy import ndimage

        indices = np.moveaxis(points_mm / self.pixel_mm - self.corner_px, -1, 0)
        lead = ndimage.map_coordinates(
            self.values, indices, np.float64, order=1, mode="constant", cval=-1.0
        )
        return np.asarray(lead)

    def centroid_mm(self) -> NDArray[np.float64] | None:
        """Return the middle (row, column) of the inside, None where it is empty."""
        inside = np.argwhere(self.values > 0)
        if len(inside) == 0:
            return None
        return np.asarray((inside.mean(axis=0) + self.corner_px) * self.pixel_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slab:
    """Measures of one slab in one slice.

    Parameters
    ----------
    height_mm, length_mm
        Of the slab.
    filled
        Share of the central 80 % of the space between the facing bodies that it
        reaches over; 1 where no bodies were given.
    """

    height_mm: float
    length_mm: float
    filled: float


def measure_slab(
    field: Field,
    down: NDArray[np.float64],
    facing: tuple[Field, Field] | None = None,
) -> Slab | None:
    """Measure a slab across and along.

    Its axis halves the angle between the surfaces of the two bodies that face it; of
    its own two surfaces where no body is given or one cannot be seen.

    Parameters
    ----------
    field
        The slab.
    down : ndarray, shape (2,)
        Unit vector (row, column) across it, a first guess within about 35 degrees.
    facing
        The body above and the body below.

    Returns
    -------
    Slab or None
        None where nothing of it is in the slice. The height is the area of the
        central 80 % of the length, divided by that length. The length is that of the
        part which is at least 1 mm high.
    """
    centre = field.centroid_mm()
    if centre is None:
        return None
    for _ in range(_ROUNDS):
        rays = _Rays.of(centre, down)
        own = field.sample(rays.points_mm)
        extent = _extent(rays.heights(own))
        if extent is None:
            return None
        slope = None
        if facing is not None:
            slope = rays.mean_slope(*rays.facing_surfaces(facing), extent)
        if slope is None:
            slope = rays.mean_slope(
                rays.surface(own, lowest=False), rays.surface(own, lowest=True), extent
            )
        if slope is None:
            break
        down = _turned(down, slope)
    rays = _Rays.of(centre, down)
    heights = rays.heights(field.sample(rays.points_mm))
    between = np.zeros(len(heights), np.bool_)
    if facing is not None:
        above, below = rays.facing_surfaces(facing)
        between = np.isfinite(above) & np.isfinite(below)
    return _read_off(heights, between)


def _turned(down: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
    back = np.array([-down[1], down[0]])
    turned = down - slope * back
    return np.asarray(turned / np.linalg.norm(turned))


def _extent(heights: NDArray[np.float64]) -> tuple[int, int] | None:
    """Return the first and the last ray of the slab."""
    present = heights > 0
    if not present.any():
        return None
    floor = min(_END_HEIGHT_MM, _END_SHARE * float(np.median(heights[present])))
    rays = np.flatnonzero(heights >= floor)
    return int(rays[0]), int(rays[-1])


def _read_off(heights: NDArray[np.float64], between: NDArray[np.bool_]) -> Slab | None:
    extent = _extent(heights)
    if extent is None:
        return None
    first, last = _ends(heights, extent)
    middle, half = (first + last) / 2, CENTRAL_SHARE * (last - first) / 2
    if half <= 0:
        return None
    # Area under the heights between two places that need not be whole rays.
    area = np.concatenate([[0.0], np.cumsum((heights[1:] + heights[:-1]) / 2)])
    rays = np.arange(len(heights))
    low, high = np.interp([middle - half, middle + half], rays, area)
    return Slab(
        height_mm=float((high - low) / (2 * half)),
        length_mm=float((last - first) * _STEP_MM),
        filled=_filled(heights, between),
    )


def _filled(heights: NDArray[np.float64], between: NDArray[np.bool_]) -> float:
    space = np.flatnonzero(between)
    if space.size == 0:
        return 1.0
    cut = round((1 - CENTRAL_SHARE) / 2 * space.size)
    return float((heights[space[cut : space.size - cut]] > 0).mean())


def _ends(heights: NDArray[np.float64], extent: tuple[int, int]) -> tuple[float, float]:
    """Place the two ends between rays, where the height passes the floor."""
    present = heights[heights > 0]
    floor = min(_END_HEIGHT_MM, _END_SHARE * float(np.median(present)))
    ends = []
    for ray, step in zip(extent, (-1, 1), strict=True):
        beyond = heights[ray + step] if 0 <= ray + step < len(heights) else 0.0
        rise = float(heights[ray] - beyond)
        share = 0.5 if beyond <= 0 else (float(heights[ray]) - floor) / rise
        ends.append(ray + step * min(max(share, 0.0), 1.0))
    return ends[0], ends[1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rays:
    """Points on rays across a slab, shape (S, N, 2), and where they lie (mm)."""

    points_mm: NDArray[np.float64]
    along_mm: NDArray[np.float64]
    across_mm: NDArray[np.float64]

    @classmethod
    def of(cls, centre_mm: NDArray[np.float64], down: NDArray[np.float64]) -> _Rays:
        back = np.array([-down[1], down[0]])
        along = np.arange(-_HALF_LENGTH_MM, _HALF_LENGTH_MM, _STEP_MM)
        across = np.arange(-_HALF_HEIGHT_MM, _HALF_HEIGHT_MM, _STEP_MM)
        points = centre_mm + along[:, None, None] * back + across[:, None] * down
        return cls(points_mm=points, along_mm=along, across_mm=across)

    def heights(self, lead: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much of each ray lies inside (mm)."""
        inside = np.maximum(lead, 0.0)
        here, there = inside[:, :-1], inside[:, 1:]
        fall = np.abs(lead[:, :-1] - lead[:, 1:])
        crossed = (here > 0) != (there > 0)
        share = np.where(crossed, (here + there) / np.where(crossed, fall, 1.0), 0.0)
        share[(here > 0) & (there > 0)] = 1.0
        return np.asarray(share.sum(axis=1) * _STEP_MM)

    def surface(
        self, lead: NDArray[np.float64], *, lowest: bool
    ) -> NDArray[np.float64]:
        """Return where each ray leaves the lower or the upper surface; NaN: nowhere."""
        inside = lead > 0
        sides = np.arange(lead.shape[1])
        if lowest:
            here = np.where(inside, sides, -1).max(axis=1)
            there = here + 1
        else:
            here = np.where(inside, sides, lead.shape[1]).min(axis=1)
            there = here - 1
        found = inside.any(axis=1) & (there >= 0) & (there < lead.shape[1])
        rays = np.flatnonzero(found)
        at, beyond = lead[rays, here[rays]], lead[rays, there[rays]]
        places = np.full(len(lead), np.nan)
        step = (there - here)[rays] * at / (at - beyond)
        places[rays] = self.across_mm[here[rays]] + step * _STEP_MM
        return places

    def facing_surfaces(
        self, facing: tuple[Field, Field]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lower surface of the body above, the upper one of that below."""
        upper, lower = (body.sample(self.points_mm) for body in facing)
        far = np.abs(self.across_mm) > _FACING_MM
        upper[:, far] = lower[:, far] = -1.0
        return self.surface(upper, lowest=True), self.surface(lower, lowest=False)

    def mean_slope(
        self,
        above: NDArray[np.float64],
        below: NDArray[np.float64],
        extent: tuple[int, int],
    ) -> float | None:
        """Return the slope halfway between two surfaces; None if one is not seen."""
        slopes = [self._fit(surface, extent) for surface in (above, below)]
        if slopes[0] is None or slopes[1] is None:
            return None
        return float(np.tan(np.arctan([slopes[0], slopes[1]]).mean()))

    def _fit(
        self, surface_mm: NDArray[np.float64], extent: tuple[int, int]
    ) -> float | None:
        first, last = extent
        cut = (1 - _FIT_SHARE) / 2 * (last - first)
        rays = np.arange(round(first + cut), round(last - cut) + 1)
        rays = rays[np.isfinite(surface_mm[rays])]
        if len(rays) < _MIN_RAYS:
            return None
        return robust_slope(self.along_mm[rays], surface_mm[rays])
