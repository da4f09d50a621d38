"""The named structures, and how sure their names are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.spine_curve import Column
from analysis.lumbar.doubt import Doubt

Window = tuple[slice, slice, slice]
"""Slices, rows and columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Another way to count the levels.

    Parameters
    ----------
    reason
        What speaks for it.
    names
        What each level that is measured would be called, from the head down; levels
        that keep their name are left out.
    probability
        Of this reading (0 to 1); None where nobody knows.
    """

    reason: str
    names: Mapping[str, str]
    probability: float | None = None

    def __str__(self) -> str:
        return ", ".join(f"{level} is {other}" for level, other in self.names.items())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Levels:
    """Named structures on the sagittal grid.

    Parameters
    ----------
    names : ndarray, shape (K, R, C), uint8
        Numbers of `anatomy.STRUCTURES`; 0 where there is none.
    planes
        Plane of each disc, by the disc's number.
    column
        The spine that they were found along.
    reaches_top, reaches_bottom
        Whether the spine runs out of the picture there.
    certainty
        By the disc's number, how sure its name is (0 to 1): an order, no frequency.
    cut
        Numbers of the bodies that something cuts in two.
    doubts
        What makes the numbering doubtful.
    alternatives
        What the levels would be called if that is right.
    windows
        The smallest window of `names` that holds a structure, by its number.
    """

    names: NDArray[np.uint8]
    planes: dict[int, DiscPlane]
    column: Column
    reaches_top: bool
    reaches_bottom: bool
    certainty: Mapping[int, float]
    cut: frozenset[int] = frozenset()
    doubts: tuple[Doubt, ...] = ()
    alternatives: tuple[Reading, ...] = ()
    windows: Mapping[int, Window] = field(init=False)

    def __post_init__(self) -> None:
        """Find where each structure lies."""
        object.__setattr__(self, "windows", windows_of(self.names))


def windows_of(names: NDArray[np.uint8]) -> dict[int, Window]:
    """Return the smallest window that holds each structure, by its number."""
    from scipy import ndimage

    shown = window_of(names > 0)
    if shown is None:
        return {}
    corner = [side.start for side in shown]
    # A number that does not occur has None for a window, whatever the stubs say.
    windows: dict[int, Window] = {}
    for number, window in enumerate(ndimage.find_objects(names[shown]), 1):
        if window:
            slices, rows, columns = (
                slice(side.start + first, side.stop + first)
                for side, first in zip(window, corner, strict=True)
            )
            windows[number] = slices, rows, columns
    return windows
