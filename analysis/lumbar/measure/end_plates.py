"""A structure in one slice as a field, and the rays on which it is read off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.line_fit import robust_slope
from analysis.lumbar.anatomy.field import OUTSIDE, Field

STEP_MM = 0.4
"""Half a pixel; between steps the field is linear, and so are crossings."""
_HALF_LENGTH_MM = 36.0
BODY_HALF_HEIGHT_MM = 28.0
"""Larger than half of any lumbar body or disc."""
DISC_HALF_HEIGHT_MM = 16.0
"""Holds any disc and the end plates that face it."""
_FACING_MM = 14.0
"""The body that faces a disc begins within this distance of the disc's middle."""
_FIT_SHARE = 0.7
"""Of the length on which surfaces are fitted; rims and osteophytes lie outside."""
_NOTHING = 1e-9
"""Far less than a step of the field: both ends of a step lie on the outline."""
_MIN_RAYS = 10
"""Over 4 mm; fewer say nothing of a direction."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rays:
    """Parallel rays across a slab, side by side from its front to its back.

    Parameters
    ----------
    centre_mm : ndarray, shape (2,)
        (row, column) of the slab's middle.
    down : ndarray, shape (2,)
        Unit vector (row, column) along the rays.
    along_mm : ndarray, shape (S,)
        Place of each ray, from the centre to the back.
    across_mm : ndarray, shape (N,)
        Place of each point on a ray, from the centre to the feet.
    origin_mm : ndarray, shape (2,)
        (row, column) of the first point of the first ray of all.
    first
        Which ray of all and which point on it come first here.
    """

    centre_mm: NDArray[np.float64]
    down: NDArray[np.float64]
    along_mm: NDArray[np.float64]
    across_mm: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    first: tuple[int, int] = (0, 0)

    @classmethod
    def of(
        cls,
        centre_mm: NDArray[np.float64],
        down: NDArray[np.float64],
        half_height_mm: float = BODY_HALF_HEIGHT_MM,
        fields: Sequence[Field] = (),
    ) -> Rays:
        """Lay rays along `down` that reach that far to either side.

        Where fields are given, only as far as these reach.
        """
        along, across = _places(_HALF_LENGTH_MM), _places(half_height_mm)
        back = np.array([-down[1], down[0]])
        if fields:
            along = _within(along, [one.reach_mm(centre_mm, back) for one in fields])
            across = _within(across, [one.reach_mm(centre_mm, down) for one in fields])
        return cls(
            centre_mm=centre_mm,
            down=down,
            along_mm=along,
            across_mm=across,
            origin_mm=centre_mm + along[0] * back + across[0] * down,
        )

    @property
    def back(self) -> NDArray[np.float64]:
        """Unit vector (row, column) from ray to ray."""
        return np.array([-self.down[1], self.down[0]])

    def part(self, rays: slice, points: slice) -> Rays:
        """Return some of the rays, and of each some of its points."""
        return replace(
            self,
            along_mm=self.along_mm[rays],
            across_mm=self.across_mm[points],
            first=(self.first[0] + rays.start, self.first[1] + points.start),
        )

    def across(self, field: Field, within_mm: float = np.inf) -> slice:
        """Return the points on the rays that may be inside, and one on either side.

        Parameters
        ----------
        within_mm
            Points further than this from the centre are left out.
        """
        low, high = field.inside_mm(self.centre_mm, self.down)
        return _reached(self.across_mm, max(low, -within_mm), min(high, within_mm))

    def along(self, field: Field) -> slice:
        """Return the rays that may meet a field, and one on either side."""
        return _reached(self.along_mm, *field.inside_mm(self.centre_mm, self.back))

    def sample(self, field: Field) -> NDArray[np.float32]:
        """Read a field on the rays, shape (S, N)."""
        ray, point = self.first
        places = (
            range(ray, ray + len(self.along_mm)),
            range(point, point + len(self.across_mm)),
        )
        steps = np.stack([self.back, self.down], axis=1) * STEP_MM
        return field.sample(self.origin_mm, steps, places)

    def sample_where_met(self, field: Field) -> NDArray[np.float32]:
        """Read a field on the rays that may meet it; on others it is `OUTSIDE`."""
        met = self.along(field)
        lead = np.full((len(self.along_mm), len(self.across_mm)), OUTSIDE, np.float32)
        lead[met] = self.part(met, slice(0, len(self.across_mm))).sample(field)
        return lead

    def heights(self, lead: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how much of each ray lies inside (mm)."""
        inside, size = np.maximum(lead, 0.0), np.abs(lead)
        # Of a step from a to -b the share a / (a + b) is inside; of others all or none.
        sizes = np.maximum(size[:, :-1] + size[:, 1:], _NOTHING)
        shares = (inside[:, :-1] + inside[:, 1:]) / sizes
        return np.asarray(shares.sum(axis=1, dtype=np.float64) * STEP_MM)

    def surface(
        self, lead: NDArray[np.float32], *, lowest: bool
    ) -> NDArray[np.float64]:
        """Return where each ray leaves the lower or the upper surface; NaN: nowhere."""
        inside = lead > 0
        if lowest:
            here = last_inside(inside, 1)
            there = here + 1
        else:
            here = inside.argmax(axis=1)
            there = here - 1
        is_met = inside[np.arange(len(lead)), here]
        rays = np.flatnonzero(is_met & (there >= 0) & (there < lead.shape[1]))
        at, beyond = lead[rays, here[rays]], lead[rays, there[rays]]
        places = np.full(len(lead), np.nan)
        step = (there - here)[rays] * at / (at - beyond)
        places[rays] = self.across_mm[here[rays]] + step * STEP_MM
        return places

    def facing_surfaces(
        self, facing: tuple[Field, Field]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lower surface of the body above, the upper one of that below."""
        above, below = facing
        return (
            self._facing_surface(above, lowest=True),
            self._facing_surface(below, lowest=False),
        )

    def _facing_surface(self, body: Field, *, lowest: bool) -> NDArray[np.float64]:
        rays = self.along(body)
        part = self.part(rays, self.across(body, _FACING_MM))
        surface = np.full(len(self.along_mm), np.nan)
        if len(part.along_mm) and len(part.across_mm):
            lead = part.sample(body)
            lead[:, np.abs(part.across_mm) > _FACING_MM] = OUTSIDE
            surface[rays] = part.surface(lead, lowest=lowest)
        return surface

    def angles_rad(
        self,
        above: NDArray[np.float64],
        below: NDArray[np.float64],
        extent: tuple[int, int],
    ) -> tuple[float, float] | None:
        """Return by how much two surfaces lean to the feet as they run to the back.

        None where one of them is not seen.
        """
        upper, lower = (self._fit(surface, extent) for surface in (above, below))
        if upper is None or lower is None:
            return None
        return float(np.arctan(upper)), float(np.arctan(lower))

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


def last_inside(inside: NDArray[np.bool_], axis: int) -> NDArray[np.int64]:
    """Return the last place along an axis that is inside; 0 where none is."""
    places = np.arange(inside.shape[axis], dtype=np.int16)
    numbered = inside * (places if axis else places[:, None])
    return np.asarray(numbered.max(axis=axis), np.int64)


def body_on_rays(
    body: Field, down: NDArray[np.float64]
) -> tuple[Rays, NDArray[np.float32]]:
    """Return rays through the middle of a body that is shown, and its field on them."""

    def read() -> tuple[Rays, NDArray[np.float32]]:
        centre = body.centroid_mm()
        if centre is None:
            message = "the field of a body is empty"
            raise ValueError(message)
        rays = Rays.of(centre, down, BODY_HALF_HEIGHT_MM, (body,))
        met = rays.along(body)
        # An even number is left out, for ranks of rays are halved and rounded to even.
        rays = rays.part(slice(met.start // 2 * 2, met.stop), rays.across(body))
        return rays, rays.sample(body)

    # First its heights are read, then its shape, mostly in the same direction.
    return body.once(("rays", *down.tolist()), read)


def _within(
    places_mm: NDArray[np.float64], reached_mm: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """Keep the places that are reached, and one beyond on either side."""
    low = min(ends[0] for ends in reached_mm) - STEP_MM
    high = max(ends[1] for ends in reached_mm) + STEP_MM
    first = int(places_mm.searchsorted(low, side="left"))
    return places_mm[first : int(places_mm.searchsorted(high, side="right"))]


def _reached(places_mm: NDArray[np.float64], low: float, high: float) -> slice:
    """Return which places lie between two, and at least one beyond on either side."""
    first = int(places_mm.searchsorted(low, side="left")) - 1
    last = int(places_mm.searchsorted(high, side="right")) + 1
    return slice(max(first, 0), max(first, 0, min(last, len(places_mm))))


@cache
def _places(half_mm: float) -> NDArray[np.float64]:
    places = np.arange(-half_mm, half_mm, STEP_MM)
    places.flags.writeable = False
    return places
