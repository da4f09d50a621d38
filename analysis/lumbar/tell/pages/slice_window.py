"""The shown part of one slice: square pixels of the screen, head up, front left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.sagittal_grid import SagittalGrid, sagittal_grid, sample_picture
from analysis.lumbar.anatomy.spine import Anatomy

_MARGIN_MM = np.array([12.0, 40.0])
"""Shown above and below the spine, before and behind it."""
_WIDTH_SHARES = (0.6, 1.1)
"""Narrowest and widest picture, as a share of its height."""
_WINDOW_PERCENTILES = (2.0, 99.7)
"""Of the shown part: the spine keeps its contrast beside bright fat."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A window of one slice.

    Parameters
    ----------
    grid
        Sagittal, with the pixels of the screen.
    index
        The slice.
    corner_px : ndarray, shape (2,)
        (row, column) of the first shown pixel.
    size_px
        Rows and columns that are shown.
    """

    grid: SagittalGrid
    index: int
    corner_px: NDArray[np.int64]
    size_px: tuple[int, int]

    def picture(self, volume: Volume) -> NDArray[np.uint8]:
        """Return the shown part, shape (H, W, 3)."""
        first = np.maximum(self.corner_px, 0).tolist()
        last = np.minimum(self.corner_px + self.size_px, self.grid.shape[1:]).tolist()
        window = (slice(first[0], last[0]), slice(first[1], last[1]))
        part = sample_picture(self.grid, volume.voxels, self.index, window)
        shown = np.full(self.size_px, float(part.min()), np.float32)
        top, left = first - self.corner_px
        rows, columns = part.shape
        shown[top : top + rows, left : left + columns] = part
        dark, bright = np.percentile(shown, _WINDOW_PERCENTILES)
        grey = np.clip((shown - dark) / max(float(bright - dark), 1e-6), 0, 1)
        return np.repeat((grey * 255).astype(np.uint8)[:, :, None], 3, axis=2)

    def place(
        self, grid: SagittalGrid, points: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Map (row, column) of another grid, shape (N, 2), to (x, y) of the picture."""
        rows, columns = (_moved(points, grid, self.grid) - self.corner_px).T
        return np.stack([columns, rows], axis=1)


def view_spine(anatomy: Anatomy, index: int, height_px: int) -> View:
    """Choose the window of a slice that holds the named structures."""
    held = np.array(
        [
            [(side.start, side.stop - 1) for side in window[1:]]
            for window in anatomy.levels.windows.values()
        ]
    )
    ends = np.stack([held[:, :, 0].min(axis=0), held[:, :, 1].max(axis=0)])
    margin_px = _MARGIN_MM / anatomy.pixel_mm
    low = np.maximum(ends[0] - margin_px, -0.5)
    high = np.minimum(
        ends[1] + margin_px, np.array(anatomy.tissues.grid.shape[1:]) - 0.5
    )
    height_mm, width_mm = (high - low) * anatomy.pixel_mm
    pixel_mm = float(height_mm) / height_px
    source = anatomy.tissues.grid
    grid = sagittal_grid(source.source_frame, source.source_shape, pixel_mm)
    narrow, wide = (round(share * height_px) for share in _WIDTH_SHARES)
    width_px = min(max(round(float(width_mm) / pixel_mm), narrow), wide)
    middle = _moved(np.array([(low + high) / 2]), source, grid)[0]
    corner = np.rint(middle - np.array([height_px, width_px]) / 2)
    return View(
        grid=grid,
        index=index,
        corner_px=corner.astype(np.int64),
        size_px=(height_px, width_px),
    )


def _moved(
    points: NDArray[np.float64], start: SagittalGrid, end: SagittalGrid
) -> NDArray[np.float64]:
    """Map (row, column), shape (N, 2), from one grid of a series to another."""
    indices = np.concatenate([np.zeros((len(points), 1)), points], axis=1)
    return np.asarray(end.frame.to_index(start.frame.to_mm(indices))[:, 1:])
