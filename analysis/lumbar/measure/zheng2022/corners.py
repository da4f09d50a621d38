"""Corners of a vertebral body as the reference finds them on its binary mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_COUNT = 4
_QUALITY = 0.01
"""Of the strongest corner; weaker ones are none."""
_APART_PX = 21
"""Least distance of two corners, on a picture of 512 pixels."""
_WINDOW_PX = 9
"""Side of the square over which gradients are gathered."""

Point = NDArray[np.float64]
"""(x to the back, y to the feet), in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corners:
    """The ends of both end plates, each (x, y) in pixels."""

    upper_front: Point
    upper_rear: Point
    lower_front: Point
    lower_rear: Point

    @property
    def width_px(self) -> float:
        """Mean length of the two end plates."""
        upper = np.linalg.norm(self.upper_front - self.upper_rear)
        lower = np.linalg.norm(self.lower_front - self.lower_rear)
        return float(upper + lower) / 2

    def moved(self, by: Point) -> Corners:
        """Return the corners on a picture that begins elsewhere."""
        return Corners(
            upper_front=self.upper_front + by,
            upper_rear=self.upper_rear + by,
            lower_front=self.lower_front + by,
            lower_rear=self.lower_rear + by,
        )


def find_corners(mask: NDArray[np.bool_], *, sacrum: bool) -> Corners | None:
    """Find the four corners of a body; None where the detector finds fewer.

    Parameters
    ----------
    mask : ndarray, shape (R, C)
        With a margin of at least the window.
    sacrum
        Whether the body is S1, whose lower front corner lies behind the upper one.

    References
    ----------
    Shi J, Tomasi C. Good features to track. CVPR 1994:593-600. Constants and order of
    the corners are those of the reference's public code.
    """
    points = _detect(mask)
    if len(points) < _COUNT:
        return None
    sums = points.sum(axis=1)
    upper_front, lower_rear = int(sums.argmin()), int(sums.argmax())
    rest = [i for i in range(_COUNT) if i not in {upper_front, lower_rear}]
    if len(rest) != _COUNT - 2:
        return None
    key = sums if sacrum else points[:, 1]
    lower_front, upper_rear = sorted(rest, key=lambda i: -float(key[i]))
    upper = _front_first(points[upper_front], points[upper_rear])
    lower = _front_first(points[lower_front], points[lower_rear])
    return Corners(
        upper_front=upper[0],
        upper_rear=upper[1],
        lower_front=lower[0],
        lower_rear=lower[1],
    )


def _front_first(first: Point, second: Point) -> tuple[Point, Point]:
    return (first, second) if first[0] <= second[0] else (second, first)


def _detect(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return up to four corners (x, y), the strongest first."""
    from scipy import ndimage

    strength = _strength(mask)
    peak = strength == ndimage.maximum_filter(strength, size=3)
    rows, columns = np.nonzero(peak & (strength > _QUALITY * strength.max()))
    # Equal ones from the lower right, which fixes the order on a symmetric mask.
    order = np.lexsort((-columns, -rows, -strength[rows, columns]))
    chosen: list[NDArray[np.float64]] = []
    for row, column in zip(rows[order], columns[order], strict=True):
        point = np.array([column, row], np.float64)
        if all(np.linalg.norm(point - other) >= _APART_PX for other in chosen):
            chosen.append(point)
        if len(chosen) == _COUNT:
            break
    return np.array(chosen).reshape(-1, 2)


def _strength(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the smaller eigenvalue of the gradient's moments in each window."""
    from scipy import ndimage

    picture = mask.astype(np.float64)
    down, across = (ndimage.sobel(picture, axis) for axis in (0, 1))
    xx, yy, xy = (
        _box_sum(product) for product in (across * across, down * down, across * down)
    )
    return np.asarray((xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2))


def _box_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums of whole numbers over the window, without rounding."""
    half = _WINDOW_PX // 2
    padded = np.pad(values, ((half + 1, half), (half + 1, half)))
    total = padded.cumsum(axis=0).cumsum(axis=1)
    size = _WINDOW_PX
    return np.asarray(
        total[size:, size:]
        - total[:-size, size:]
        - total[size:, :-size]
        + total[:-size, :-size]
    )
