"""The shape of a vertebral body in one slice: its end plates from rim to rim.

An end plate is hollow, deeper behind its middle than in front of it, so that a line
through its centre leans by several degrees where its rims do not. Readers lay their
line on the two rims. So does this: the outline is bridged by its convex hull, and the
end plate's line runs through the hull a tenth of the depth behind the front wall and as
far before the rear wall. Osteophytes, which lie outside the walls, do not move it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.line_fit import robust_slope
from analysis.imaging.median import median_of
from analysis.lumbar.anatomy.field import Field
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import Structure
from analysis.lumbar.measure.end_plates import STEP_MM, Rays, body_on_rays, last_inside

RIM_SHARE = 0.1
"""Of the depth, from a wall to the rim: 3 mm, where the rounded edge has ended and the
hollow has not begun."""
_MIDDLE_SHARE = 0.1
"""Of the depth over which the middle height is averaged."""
_WALL_SHARE = 0.6
"""Of the body's area, around its middle, beside which the walls are fitted: above and
below are rims and osteophytes."""
_PLATE_SHARE = 0.6
"""Of the depth, around the middle, whose median tells how high an end plate lies."""
_MIN_RAYS = 10
"""Over 4 mm; fewer are no body."""
_EVERY = 2
"""Points of a wall that are used: half of them, 0.8 mm apart, say the same."""
_PASSES = 5
"""Over all points at once, until few are left to be looked at one by one."""
_STRAIGHT = 0.035
"""A turn by less than this (2 deg) changes a height by less than 0.1 %."""

Vector = NDArray[np.float64]
"""(row, column) in mm of the slice."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EndPlate:
    """An end plate as the line on its two rims.

    Parameters
    ----------
    front_mm, rear_mm : ndarray, shape (2,)
        (row, column) where the line meets the front and the rear wall.
    """

    front_mm: Vector
    rear_mm: Vector

    @property
    def depth_mm(self) -> float:
        """From wall to wall."""
        return float(np.linalg.norm(self.rear_mm - self.front_mm))

    @property
    def back(self) -> Vector:
        """Unit vector (row, column) from the front to the rear."""
        return (self.rear_mm - self.front_mm) / self.depth_mm

    @property
    def lean_deg(self) -> float:
        """By how much it leans to the feet as it runs to the back."""
        row, column = self.back
        return float(np.degrees(np.arctan2(row, column)))

    @property
    def front_rim_mm(self) -> Vector:
        """The rim behind the front wall."""
        return self.front_mm + RIM_SHARE * (self.rear_mm - self.front_mm)

    @property
    def rear_rim_mm(self) -> Vector:
        """The rim before the rear wall."""
        return self.rear_mm - RIM_SHARE * (self.rear_mm - self.front_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyShape:
    """One vertebral body in one slice.

    Parameters
    ----------
    upper, lower
        Its end plates.
    anterior_height_mm, posterior_height_mm
        From rim to rim, across the body.
    middle_height_mm
        Between the surfaces themselves, in the middle tenth of the depth.
    """

    upper: EndPlate
    lower: EndPlate
    anterior_height_mm: float
    middle_height_mm: float
    posterior_height_mm: float


def shape_of(body: Field, down: Vector) -> BodyShape | None:
    """Measure the shape of a body.

    Parameters
    ----------
    body
        Its field in one slice.
    down : ndarray, shape (2,)
        Unit vector (row, column) across it, a first guess within about 20 degrees.

    Returns
    -------
    BodyShape or None
        None where too little of it is in the slice.
    """
    found = _shape(body, down)
    if found is None:
        return None
    back = found.upper.back + found.lower.back
    turned = np.array([back[1], -back[0]]) / np.linalg.norm(back)
    if float(np.linalg.norm(turned - down)) < _STRAIGHT:
        return found
    return _shape(body, turned)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyShapes:
    """The shapes of all bodies, each in each slice measured once.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    downs
        Direction across each body, by its number, as far as it is known.
    """

    anatomy: Anatomy
    downs: Mapping[int, Vector]
    _had: dict[tuple[int, int], BodyShape | None] = field(
        init=False, repr=False, default_factory=dict
    )

    def of(self, vertebra: Structure, index: int) -> BodyShape | None:
        """Return the shape of a body in one slice; None where it cannot be had."""
        key = (vertebra.number, index)
        if key not in self._had:
            self._had[key] = self._measured(vertebra, index)
        return self._had[key]

    def _measured(self, vertebra: Structure, index: int) -> BodyShape | None:
        body = self.anatomy.field(vertebra, index)
        if body is None:
            return None
        down = self.downs.get(vertebra.number)
        return shape_of(body, self.anatomy.down(vertebra) if down is None else down)

    def near_middle(self, vertebra: Structure) -> tuple[BodyShape, ...]:
        """Return the shapes in the slices near the middle of a body."""
        slices = self.anatomy.middle_slices(vertebra)
        shapes = (self.of(vertebra, index) for index in slices)
        return tuple(shape for shape in shapes if shape is not None)


def _shape(body: Field, down: Vector) -> BodyShape | None:
    centre = body.centroid_mm()
    if centre is None:
        return None
    rays, lead = body_on_rays(body, down)
    walls = _walls(rays, lead)
    if walls is None:
        return None
    surfaces = [rays.surface(lead, lowest=lowest) for lowest in (False, True)]
    lines = [
        _plate_line(rays.along_mm, sign * surface, walls, sign)
        for sign, surface in zip((-1.0, 1.0), surfaces, strict=True)
    ]
    upper, lower = lines
    if upper is None or lower is None:
        return None
    middles = [
        _middle(rays.along_mm, surface, line)
        for surface, line in zip(surfaces, (upper, lower), strict=True)
    ]
    if np.isnan(middles).any():
        return None
    back = np.array([-down[1], down[0]])

    def plate(line: _PlateLine) -> EndPlate:
        ends = [
            centre + along * back + across * down
            for along, across in (
                (line.front, line.at_front),
                (line.rear, line.at_rear),
            )
        ]
        return EndPlate(front_mm=ends[0], rear_mm=ends[1])

    return BodyShape(
        upper=plate(upper),
        lower=plate(lower),
        anterior_height_mm=lower.at(RIM_SHARE) - upper.at(RIM_SHARE),
        middle_height_mm=middles[1] - middles[0],
        posterior_height_mm=lower.at(1 - RIM_SHARE) - upper.at(1 - RIM_SHARE),
    )


Wall = tuple[float, float]
"""Where a wall lies at the centre's height (mm to the back), and by how much it runs to
the back a mm towards the feet."""


def _walls(rays: Rays, lead: NDArray[np.float32]) -> tuple[Wall, Wall] | None:
    """Fit lines to the front and the rear wall, beside the middle of a body."""
    inside = lead > 0
    areas = inside.sum(axis=0).astype(np.float64)
    if areas.sum() == 0:
        return None
    shares = np.cumsum(areas) / areas.sum()
    margin = (1 - _WALL_SHARE) / 2
    chosen = np.flatnonzero((shares >= margin) & (shares <= 1 - margin) & (areas > 0))
    if len(chosen) < _MIN_RAYS:
        return None
    chosen = chosen[::_EVERY]
    mine, part = inside[:, chosen], lead[:, chosen]
    first = mine.argmax(axis=0)
    last = last_inside(mine, 0)
    front = rays.along_mm[first] - _beyond(part, first, -1) * STEP_MM
    rear = rays.along_mm[last] + _beyond(part, last, 1) * STEP_MM
    across = rays.across_mm[chosen]
    return _wall(across, front), _wall(across, rear)


def _wall(across_mm: Vector, along_mm: Vector) -> Wall:
    slope = robust_slope(across_mm, along_mm)
    return median_of(along_mm - slope * across_mm), slope


def _beyond(
    lead: NDArray[np.float32], rays: NDArray[np.int64], step: int
) -> NDArray[np.float64]:
    """Return how far beyond its last ray each line leaves the body, in rays."""
    lines = np.arange(lead.shape[1])
    there = lead[np.clip(rays + step, 0, len(lead) - 1), lines]
    here = lead[rays, lines]
    fall = np.where(there < here, here - there, 1.0)
    return np.asarray(np.where(there < here, here / fall, 0.0), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlateLine:
    """The line on the rims of an end plate, in the frame of the rays (mm)."""

    front: float
    rear: float
    at_front: float
    at_rear: float

    def at(self, share: float) -> float:
        """Return how far to the feet it lies at a share of the depth."""
        return self.at_front + share * (self.at_rear - self.at_front)


def _plate_line(
    along_mm: Vector, outward_mm: Vector, walls: tuple[Wall, Wall], sign: float
) -> _PlateLine | None:
    """Lay a line on the rims of an end plate.

    Parameters
    ----------
    along_mm : ndarray, shape (S,)
        Places of the rays.
    outward_mm : ndarray, shape (S,)
        How far out of the body each ray leaves it; NaN where it does not meet it.
    walls
        Front and rear.
    sign
        1 where outward is to the feet, -1 where it is to the head.
    """
    seen = np.isfinite(outward_mm)
    centre = [wall[0] for wall in walls]
    cut = (1 - _PLATE_SHARE) / 2 * (centre[1] - centre[0])
    inner = seen & (along_mm > centre[0] + cut) & (along_mm < centre[1] - cut)
    if inner.sum() < _MIN_RAYS:
        return None
    across = sign * median_of(outward_mm[inner])
    front, rear = (place + slope * across for place, slope in walls)
    held = seen & (along_mm >= front) & (along_mm <= rear)
    if held.sum() < _MIN_RAYS:
        return None
    rims = front + np.array([RIM_SHARE, 1 - RIM_SHARE]) * (rear - front)
    at_rims = sign * np.interp(rims, *_hull(along_mm[held], outward_mm[held]))
    slope = float((at_rims[1] - at_rims[0]) / (rims[1] - rims[0]))
    return _PlateLine(
        front=float(front),
        rear=float(rear),
        at_front=float(at_rims[0] - slope * (rims[0] - front)),
        at_rear=float(at_rims[1] + slope * (rear - rims[1])),
    )


def _hull(x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """Return the corners of the least concave curve above points of rising x.

    References
    ----------
    Andrew AM. Another efficient algorithm for convex hulls in two dimensions. Inf
    Process Lett 1979;9(5):216-219: the upper half of its hull.
    """
    for _ in range(_PASSES):
        # What lies below the line of its neighbours is no corner, nor what lies on it.
        run, rise = x[2:] - x[:-2], y[2:] - y[:-2]
        is_above = (y[1:-1] - y[:-2]) * run > rise * (x[1:-1] - x[:-2])
        if is_above.all():
            break
        left = np.concatenate([[True], is_above, [True]])
        x, y = x[left], y[left]
    kept: list[tuple[float, float]] = []
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        while len(kept) > 1:
            (ax, ay), (bx, by) = kept[-2:]
            if (by - ay) * (px - ax) > (py - ay) * (bx - ax):
                break
            kept.pop()
        kept.append((px, py))
    corners = np.array(kept)
    return corners[:, 0], corners[:, 1]


def _middle(along_mm: Vector, surface_mm: Vector, line: _PlateLine) -> float:
    """Return the mean of a surface in the middle of its depth; NaN: not seen there."""
    middle, half = (line.front + line.rear) / 2, (line.rear - line.front) / 2
    near = np.abs(along_mm - middle) <= max(_MIDDLE_SHARE * half, STEP_MM)
    seen = surface_mm[near & np.isfinite(surface_mm)]
    return float(seen.mean()) if seen.size else np.nan
