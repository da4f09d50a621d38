"""A structure in one slice as a field, and the rays on which it is read off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """

    centre_mm: NDArray[np.float64]
    down: NDArray[np.float64]
    along_mm: NDArray[np.float64]
    across_mm: NDArray[np.float64]

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
        along = np.arange(-_HALF_LENGTH_MM, _HALF_LENGTH_MM, STEP_MM)
        across = np.arange(-half_height_mm, half_height_mm, STEP_MM)
        if fields:
            corners = np.concatenate([field.corners_mm for field in fields])
            back = np.array([-down[1], down[0]])
            along = _within(along, (corners - centre_mm) @ back)
            across = _within(across, (corners - centre_mm) @ down)
        return cls(centre_mm=centre_mm, down=down, along_mm=along, across_mm=across)

    def sample(self, field: Field) -> NDArray[np.float32]:
        """Read a field on the rays, shape (S, N)."""
        back = np.array([-self.down[1], self.down[0]])
        origin = (
            self.centre_mm + self.along_mm[0] * back + self.across_mm[0] * self.down
        )
        steps = np.stack([back, self.down], axis=1) * STEP_MM
        return field.sample(origin, steps, (len(self.along_mm), len(self.across_mm)))

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
        places[rays] = self.across_mm[here[rays]] + step * STEP_MM
        return places

    def facing_surfaces(
        self, facing: tuple[Field, Field]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lower surface of the body above, the upper one of that below."""
        upper, lower = (self.sample(body) for body in facing)
        far = np.abs(self.across_mm) > _FACING_MM
        upper[:, far] = lower[:, far] = OUTSIDE
        return self.surface(upper, lowest=True), self.surface(lower, lowest=False)

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


def _within(
    places_mm: NDArray[np.float64], reached_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Keep the places that are reached, and one beyond on either side."""
    low, high = reached_mm.min() - STEP_MM, reached_mm.max() + STEP_MM
    return np.asarray(places_mm[(places_mm >= low) & (places_mm <= high)])
