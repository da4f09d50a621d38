"""Straight stripes without signal across a disc: saturation, wrapped or lost lines.

The network draws a disc through such a stripe or to its edge, and is sure of it. What
gives a stripe away is its edge: along a straight line all that was bright goes dark at
once, fat, muscle, marrow and fluid alike. An end plate does so over its own depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.one_of import is_one_of
from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import (
    DISCS,
    MEASURED_LEVELS,
    VERTEBRAE,
    Structure,
)
from analysis.lumbar.doubt import Doubt, Effect, Need, Scope, of_disc
from analysis.lumbar.fitted_limits import STRIPE_SHARE

MIN_SHARE = STRIPE_SHARE.limit
"""Of what is bright on one side of a line and dark on the other."""
_DARK_RATIO = 0.6
"""Of the other side's signal. Stripes that keep half of it are found at times."""
_BRIGHT_SHARE = 0.25
"""Of the signal of marrow: above dark discs, cortex and noise."""
_MIN_BRIGHT = 0.4
"""Of a line: less is no edge across the body."""
_REACH_MM = 24.0
"""Above and below the middle of a disc: half a stripe of 48 mm."""
_FRONT_MM, _BACK_MM = -45.0, 60.0
"""From great vessels to back muscles: far beyond the end plates."""
_MAX_ANGLE_DEG = 36.0
_ANGLE_STEP_DEG = 1.5
"""Half of it is a pixel at the far end of a line."""
_EDGE_PX = 2
"""Rows between both sides of an edge: 1.6 mm."""
_EVERY = 3
"""Columns that are looked at."""
_MARGIN_MM = 2.0
"""Beside a disc, where an edge would be taken for its own."""
_DISC_HALF_MM = 15.0


def dark_stripes(
    anatomy: Anatomy, volume: Volume, edited: frozenset[int] = frozenset()
) -> tuple[Doubt, ...]:
    """Doubt the discs that a stripe touches, and the bodies whose height it may hide.

    What a reader has outlined is not doubted.

    Parameters
    ----------
    edited
        Numbers of the structures that a reader outlined.
    """
    found: list[Doubt] = []
    hidden: set[int] = set()
    for place, disc in enumerate(DISCS[: len(MEASURED_LEVELS)]):
        touch = None if disc.number in edited else _touch(anatomy, volume, disc)
        if touch is None:
            continue
        text = (
            "a straight stripe without signal (saturation, wrapped or lost lines) "
            f"touches it: {touch.share:.0%} of what is bright goes dark along a line, "
            f"limit {MIN_SHARE:.0%}"
        )
        found.append(_void(of_disc(disc.number), text))
        if touch.dark_above:
            hidden.add(VERTEBRAE[place + 1].number)
        if touch.dark_below:
            hidden.add(VERTEBRAE[place].number)
    if hidden - edited:
        bodies = frozenset(hidden - edited)
        text = "the stripe may hide a part of the height"
        found.append(_void(Scope(structures=bodies, need=Need.BODY_HEIGHTS), text))
        sacrum = bodies & {VERTEBRAE[0].number}
        if sacrum:
            found.append(_void(Scope(structures=sacrum, need=Need.SACRUM), text))
    return tuple(found)


def stripe_share(anatomy: Anatomy, volume: Volume, disc: Structure) -> float:
    """Return the largest share of what goes dark along a line that touches a disc.

    0 where no line reaches half of the limit.
    """
    touch = _touch(anatomy, volume, disc, MIN_SHARE / 2)
    return 0.0 if touch is None else touch.share


def _touch(
    anatomy: Anatomy, volume: Volume, disc: Structure, least: float = MIN_SHARE
) -> _Touch | None:
    plane = anatomy.levels.planes.get(disc.number)
    slices = anatomy.middle_slices(disc)
    if plane is None or not slices:
        return None
    half_mm = _half_height_mm(anatomy, disc.number, plane, slices[0])
    window = _Window.around(anatomy, volume, plane, slices[0])
    return window.touched(half_mm, plane, least)


def _void(scope: Scope, text: str) -> Doubt:
    return Doubt(scope=scope, effect=Effect.WITHHOLD, code="signal_void", text=text)


def _half_height_mm(
    anatomy: Anatomy, number: int, plane: DiscPlane, index: int
) -> float:
    window = anatomy.levels.windows.get(number)
    if window is None:
        return 0.0
    _, *sides = window
    mine = anatomy.levels.names[index][tuple(sides)] == number
    corner = np.array([side.start for side in sides])
    pixels = (np.argwhere(mine) + corner) * anatomy.pixel_mm
    if not len(pixels):
        return 0.0
    return float(np.percentile(np.abs((pixels - plane.centre_mm[1:]) @ plane.down), 98))


def _bright(anatomy: Anatomy, volume: Volume, index: int) -> float:
    """Return the signal of what is not dark in a slice; 0 where no bone is seen."""
    bone = is_one_of(anatomy.levels.names[index][::_SPARSE, ::_SPARSE], _BONES)
    picture = volume.voxels[anatomy.tissues.grid.source_slice(index)]
    marrow = _read(picture, anatomy, np.argwhere(bone) * _SPARSE)
    return _BRIGHT_SHARE * float(np.median(marrow)) if marrow.size else 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Window:
    """The picture around a disc, in rows and columns of the sagittal grid.

    Parameters
    ----------
    values : ndarray, shape (R, C)
        Grey values; -1 outside the picture.
    down_mm : ndarray, shape (R,)
    back_mm : ndarray, shape (C,)
        Place of rows and columns, from the middle of the disc.
    bright
        What is not dark.
    """

    values: NDArray[np.float32]
    down_mm: NDArray[np.float64]
    back_mm: NDArray[np.float64]
    bright: float

    @classmethod
    def around(
        cls, anatomy: Anatomy, volume: Volume, plane: DiscPlane, index: int
    ) -> _Window:
        grid, pixel = anatomy.tissues.grid, anatomy.pixel_mm
        picture = volume.voxels[grid.source_slice(index)]
        lean = np.tan(np.radians(_MAX_ANGLE_DEG)) * _BACK_MM
        centre = plane.centre_mm[1:] / pixel
        low, high = np.array([-_REACH_MM - lean, _REACH_MM + lean]) / pixel + centre[0]
        rows = np.arange(round(low), round(high) + 1)
        front, back = np.array([_FRONT_MM, _BACK_MM]) / pixel + centre[1]
        columns = np.arange(round(front), round(back) + 1, _EVERY)
        points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
        values = _read(picture, anatomy, points.reshape(-1, 2))
        return cls(
            values=values.reshape(len(rows), len(columns)),
            down_mm=(rows - centre[0]) * pixel,
            back_mm=(columns - centre[1]) * pixel,
            bright=_bright(anatomy, volume, index),
        )

    def touched(self, half_mm: float, plane: DiscPlane, least: float) -> _Touch | None:
        """Return how a stripe touches a disc or shuts it in; None where none does.

        Parameters
        ----------
        half_mm
            Half of the disc's height.
        least
            Share that makes a line an edge.
        """
        above, below = self.values[:-_EDGE_PX], self.values[_EDGE_PX:]
        seen = (above >= 0) & (below >= 0) & (self.bright > 0)
        falls = self._edges(
            seen & (above >= self.bright), below < _DARK_RATIO * above, least
        )
        rises = self._edges(
            seen & (below >= self.bright), above < _DARK_RATIO * below, least
        )
        lean = np.tan(np.radians(plane.tilt_deg))
        reach_mm = half_mm + _MARGIN_MM
        falling, rising = (
            [edge.share for edge in edges if edge.away_mm(-lean) <= reach_mm]
            for edges in (falls, rises)
        )
        if falling or rising:
            return _Touch(
                share=max(*falling, *rising, 0.0),
                dark_above=bool(rising),
                dark_below=bool(falling),
            )
        start = [edge.share for edge in falls if edge.down_mm < 0]
        end = [edge.share for edge in rises if edge.down_mm > 0]
        if not start or not end:
            return None
        share = min(max(start), max(end))
        return _Touch(share=share, dark_above=True, dark_below=True)

    def _edges(
        self, bright: NDArray[np.bool_], darker: NDArray[np.bool_], least: float
    ) -> list[_Edge]:
        """Return the lines along which what is bright gets darker."""
        middle = (self.down_mm[:-_EDGE_PX] + self.down_mm[_EDGE_PX:]) / 2
        pixel = float(self.down_mm[1] - self.down_mm[0])
        width = len(self.back_mm)
        bins = round(2 * _REACH_MM / pixel)
        slopes = np.tan(np.radians(_ANGLES_DEG))
        rows, columns = np.nonzero(bright & darker)
        near = np.abs(middle[rows]) < _REACH_MM + slopes[-1] * np.abs(
            self.back_mm[columns]
        )
        rows, columns = rows[near], columns[near]
        start = middle[rows] - slopes[:, None] * self.back_mm[columns]
        place = np.floor((start + _REACH_MM) / pixel).astype(np.int32)
        inside = (place >= 0) & (place < bins)
        owner = np.arange(len(slopes))[:, None] * bins + place
        counts = np.bincount(owner[inside], minlength=len(slopes) * bins)
        # Only lines with enough such pixels are worth counting what is bright.
        worth = np.flatnonzero(counts >= least * _MIN_BRIGHT * width)
        slope = slopes[worth // bins]
        down = (worth % bins + 0.5) * pixel - _REACH_MM
        line = (down[:, None] + slope[:, None] * self.back_mm - middle[0]) / pixel
        line = np.rint(line).astype(np.int64)
        on = bright[np.clip(line, 0, len(middle) - 1), np.arange(width)].sum(axis=1)
        share = counts[worth] / np.maximum(on, _MIN_BRIGHT * width)
        return [
            _Edge(
                down_mm=float(down[i]),
                slope=float(slope[i]),
                share=min(float(share[i]), 1.0),
            )
            for i in np.flatnonzero(share >= least)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Touch:
    """How a stripe touches a disc.

    Parameters
    ----------
    share
        Of what is bright on one side of its edge and dark on the other.
    dark_above, dark_below
        Whether it may reach into the body above the disc, and into that below.
    """

    share: float
    dark_above: bool
    dark_below: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    """A straight edge: where it crosses the middle of a disc, and how it leans.

    Parameters
    ----------
    down_mm
        From the middle of the disc to the feet.
    slope
        Millimetres to the feet for each to the back.
    share
        Of what is bright on one side and dark on the other.
    """

    down_mm: float
    slope: float
    share: float

    def away_mm(self, slope: float) -> float:
        """Return how near it comes to the middle plane of a disc of some slope."""
        ends = self.down_mm + (self.slope - slope) * np.array(
            [-_DISC_HALF_MM, _DISC_HALF_MM]
        )
        return 0.0 if ends[0] * ends[1] <= 0 else float(np.abs(ends).min())


_ANGLES_DEG = np.arange(-_MAX_ANGLE_DEG, _MAX_ANGLE_DEG + 0.5, _ANGLE_STEP_DEG)
_BONES = [one.number for one in VERTEBRAE]
_SPARSE = 3
"""Every so many rows and columns of bone tell its signal."""


def _read(
    picture: NDArray[np.float32], anatomy: Anatomy, points: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the voxel nearest to each point of the grid; -1 outside the picture."""
    grid = anatomy.tissues.grid
    there = np.rint(grid.to_source_indices(points.astype(np.float64))).astype(np.int64)
    inside = ((there >= 0) & (there < picture.shape)).all(axis=1)
    values = np.full(len(points), -1.0, np.float32)
    values[inside] = np.maximum(picture[tuple(there[inside].T)], 0)
    return values
