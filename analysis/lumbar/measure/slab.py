"""Heights, length and area of a disc or a body in one sagittal slice.

Both are slabs between two surfaces. A slab is measured in a frame of its own: `s`
runs along it to the back, `n` across it to the feet, both in mm from its centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.median import median_of
from analysis.lumbar.anatomy.field import Field
from analysis.lumbar.measure.end_plates import (
    DISC_HALF_HEIGHT_MM,
    STEP_MM,
    Rays,
    body_on_rays,
    last_inside,
)

CENTRAL_SHARE = 0.8
"""Of the length over which the height is averaged. The ends of a disc are badly
reproducible between readers; the share is that of the reference (Zheng 2022)."""
LOCAL_SHARE = 0.1
"""Of the length over which the front, middle and rear heights are averaged: 3 to 4 mm,
which evens out the pixels and is a twentieth to either side."""
_END_HEIGHT_MM = 1.0
"""A slab ends where it is thinner than this: about one pixel."""
_END_SHARE = 0.5
"""For a collapsed slab: or thinner than this share of its own middle height."""
_HALF_PIXEL_MM = 0.4
_TURNS = 2
"""After the second turn the direction moves by less than 0.1 deg."""
_STRAIGHT = 0.01
"""A turn by less than this (0.6 deg) lengthens a line across by less than 0.01 %; what
the end plates' fit then sees moved heights by up to 0.005 mm."""
_SHIFT = 64.0
"""By how much the outline's level is moved to learn how sharp it is: a quarter of the
full scale, what a network wavers by between two trainings (in 255ths)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slab:
    """Measures of one slab in one slice.

    Parameters
    ----------
    height_mm
        Mean over the central 80 % of the length.
    anterior_height_mm, middle_height_mm, posterior_height_mm
        At the front end, the middle and the rear end of the central 80 %.
    length_mm
        Of the part that is at least 1 mm high.
    area_mm2
        Of the whole outline.
    filled
        Share of the central 80 % of the space between the facing bodies that it
        reaches over; 1 where no bodies were given.
    blur_mm
        By how much the height changes when the outline is drawn at another level of
        the field: large where the outline is not sharp.
    down
        Unit vector (row, column) along which heights were read.
    """

    height_mm: float
    anterior_height_mm: float
    middle_height_mm: float
    posterior_height_mm: float
    length_mm: float
    area_mm2: float
    filled: float
    blur_mm: float
    down: tuple[float, float]


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
        None where nothing of it is in the slice.
    """
    centre = field.centroid_mm()
    if centre is None:
        return None
    for turns_left in range(_TURNS, -1, -1):
        if facing is None:
            rays, lead = body_on_rays(field, down)
        else:
            whole = Rays.of(centre, down, DISC_HALF_HEIGHT_MM, (field, *facing))
            rays = whole.part(slice(0, len(whole.along_mm)), whole.across(field))
            lead = rays.sample_where_met(field)
        heights = rays.heights(lead)
        extent = _extent(heights)
        if extent is None:
            return None
        surfaces = None if facing is None else whole.facing_surfaces(facing)
        angles = _angles(rays, lead, extent, surfaces)
        slope = 0.0 if angles is None else float(np.tan(np.mean(angles)))
        if abs(slope) < _STRAIGHT or turns_left == 0:
            break
        down = _turned(down, slope)
    profile = _Profile.of(lead, heights)
    if profile is None:
        return None
    shifted = [profile.mean(rays.heights(lead - s)) for s in (-_SHIFT, _SHIFT)]
    front, middle, rear = profile.local_heights()
    return Slab(
        height_mm=profile.mean(profile.heights),
        anterior_height_mm=front,
        middle_height_mm=middle,
        posterior_height_mm=rear,
        length_mm=(profile.last - profile.first) * STEP_MM,
        area_mm2=float(profile.heights.sum() * STEP_MM),
        filled=_filled(profile.heights, surfaces),
        blur_mm=(shifted[0] - shifted[1]) / 2,
        down=(float(down[0]), float(down[1])),
    )


_Surfaces = tuple[NDArray[np.float64], NDArray[np.float64]]


def _angles(
    rays: Rays,
    lead: NDArray[np.float32],
    extent: tuple[int, int],
    facing: _Surfaces | None,
) -> tuple[float, float] | None:
    if facing is not None:
        angles = rays.angles_rad(*facing, extent)
        if angles is not None:
            return angles
    above, below = rays.surface(lead, lowest=False), rays.surface(lead, lowest=True)
    return rays.angles_rad(above, below, extent)


def _turned(down: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
    back = np.array([-down[1], down[0]])
    turned = down - slope * back
    return np.asarray(turned / np.linalg.norm(turned))


def _floor_mm(heights: NDArray[np.float64]) -> float:
    present = heights[heights > 0]
    return min(_END_HEIGHT_MM, _END_SHARE * median_of(present))


def _extent(heights: NDArray[np.float64]) -> tuple[int, int] | None:
    """Return the first and the last ray of the slab."""
    if not (heights > 0).any():
        return None
    rays = np.flatnonzero(heights >= _floor_mm(heights))
    return int(rays[0]), int(rays[-1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Profile:
    """Height along a slab, and where its ends lie between rays.

    Parameters
    ----------
    heights : ndarray, shape (S,)
        Of each ray (mm).
    first, last
        The two ends, in rays.
    """

    heights: NDArray[np.float64]
    first: float
    last: float

    @classmethod
    def of(
        cls, lead: NDArray[np.float32], heights: NDArray[np.float64]
    ) -> _Profile | None:
        first, last = _ends(lead, _floor_mm(heights))
        if last <= first:
            return None
        return cls(heights=heights, first=first, last=last)

    def mean(self, heights: NDArray[np.float64]) -> float:
        """Return the mean of heights over the central 80 %."""
        middle, half = (self.first + self.last) / 2, self._length * CENTRAL_SHARE / 2
        return _mean_between(heights, middle - half, middle + half)

    def local_heights(self) -> tuple[float, float, float]:
        """Return the heights at both ends and in the middle of the central 80 %."""
        middle, reach = (self.first + self.last) / 2, self._length * CENTRAL_SHARE / 2
        half = self._length * LOCAL_SHARE / 2
        front, centre, rear = (
            _mean_between(self.heights, place - half, place + half)
            for place in (middle - reach, middle, middle + reach)
        )
        return front, centre, rear

    @property
    def _length(self) -> float:
        return self.last - self.first


def _mean_between(heights: NDArray[np.float64], low: float, high: float) -> float:
    """Return the mean height between two places that need not be whole rays."""
    whole = np.arange(int(np.floor(low)) + 1, int(np.ceil(high)))
    places = np.concatenate([[low], whole, [high]])
    values = np.interp(places, np.arange(len(heights)), heights)
    area = ((values[1:] + values[:-1]) / 2 * np.diff(places)).sum()
    return float(area / (high - low))


def _filled(heights: NDArray[np.float64], facing: _Surfaces | None) -> float:
    if facing is None:
        return 1.0
    space = np.flatnonzero(np.isfinite(facing[0]) & np.isfinite(facing[1]))
    if space.size == 0:
        return 1.0
    cut = round((1 - CENTRAL_SHARE) / 2 * space.size)
    return float((heights[space[cut : space.size - cut]] > 0).mean())


def _ends(lead: NDArray[np.float32], floor_mm: float) -> tuple[float, float]:
    """Place the two ends between rays, where the slab becomes thinner than the floor.

    Every line along the slab has an end of its own. The one of which a slab of the
    floor's height is left would lie on the tips of the pixels where the slab is
    blunt, so the mean of those within half a pixel of it is taken.
    """
    inside = lead > 0
    lines = np.flatnonzero(inside.any(axis=0))
    inside, lead = inside[:, lines], lead[:, lines]
    first = inside.argmax(axis=0)
    last = last_inside(inside, 0)
    front = first - _share_beyond(lead, first, -1)
    rear = last + _share_beyond(lead, last, 1)
    rank = floor_mm / STEP_MM
    return _mean_near(front, rank), -_mean_near(-rear, rank)


def _share_beyond(
    lead: NDArray[np.float32], rays: NDArray[np.int64], step: int
) -> NDArray[np.float64]:
    """Return how far beyond its last ray each line passes zero, in rays."""
    lines = np.arange(lead.shape[1])
    beyond = np.clip(rays + step, 0, len(lead) - 1)
    here, there = lead[rays, lines], lead[beyond, lines]
    outside = there < here
    return np.where(outside, here / np.where(outside, here - there, 1.0), 0.0)


def _mean_near(places: NDArray[np.float64], rank: float) -> float:
    """Return the mean of the places up to half a pixel behind that of a rank."""
    ordered = np.sort(places)
    outermost = np.interp(rank - 1, np.arange(len(ordered)), ordered)
    return float(ordered[ordered <= outermost + _HALF_PIXEL_MM / STEP_MM].mean())
