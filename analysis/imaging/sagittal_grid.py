"""Sagittal grids: every slice on square pixels, head up and front to the left.

The new grid is reached by the affine of the frame alone, so that a series comes out
the same whichever way its slices, rows and columns ran.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.imaging.linear_reader import LinearReader
from analysis.imaging.resample import is_straight, resample

_TO_THE_RIGHT = np.array([-1.0, 0.0, 0.0])
_TO_THE_FEET = np.array([0.0, 0.0, -1.0])

SMOOTH_REACH = 4.0
"""Of the filter, in standard deviations."""
_SMOOTH_SHARE = 0.4
"""Standard deviation of the anti-alias filter as a share of the new pixel; the
networks are trained with the same filter."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SagittalGrid:
    """Square pixels in the planes of a series' own slices.

    Slice index grows to the patient's right, row index to the feet, column index to
    the back.

    Parameters
    ----------
    frame
        Of the new grid.
    shape
        (K, R, C) of the new grid; K is that of the source.
    source_frame
        Of the series.
    source_shape
        (K, R, C) of the series.
    """

    frame: Frame
    shape: tuple[int, int, int]
    source_frame: Frame
    source_shape: tuple[int, int, int]

    @property
    def smooth_sd_px(self) -> NDArray[np.float64]:
        """Standard deviation (2,) of the anti-alias filter, in pixels of the series."""
        pixel_mm = self.frame.spacing_mm[1]
        return np.asarray(_SMOOTH_SHARE * pixel_mm / self.source_frame.spacing_mm[1:])

    def source_slice(self, index: int) -> int:
        """Return the slice of the series that lies in slice `index` of the grid."""
        point = self.frame.to_mm([index, 0.0, 0.0])
        return round(float(self.source_frame.to_index(point)[0]))

    def plane_map(
        self, *, to_source: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return matrix (2, 2) and offset (2,) between (row, column) indices.

        Parameters
        ----------
        to_source
            From the grid to the series; else from the series to the grid.
        """
        if to_source:
            return _plane_map(self.frame, self.source_frame)
        return _plane_map(self.source_frame, self.frame)

    def map_to(
        self, other: SagittalGrid
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return matrix (2, 2) and offset (2,) to the (row, column) of another grid.

        Parameters
        ----------
        other
            Of the same series.
        """
        return _plane_map(self.frame, other.frame)

    def to_source_indices(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (row, column) of the grid, shape (N, 2), to those of the series."""
        matrix, offset = self.plane_map(to_source=True)
        return np.asarray(points @ matrix.T + offset)


def sagittal_grid(
    frame: Frame, shape: tuple[int, int, int], pixel_mm: float
) -> SagittalGrid:
    """Lay a sagittal grid over a series.

    The grid is centred on the series, so that it does not depend on which corner the
    series begins at.

    Parameters
    ----------
    frame, shape
        Of the series, whose slices must be sagittal within 45 degrees.
    pixel_mm
        Distance of rows and of columns of the new grid (mm).

    Raises
    ------
    ValueError
        If the slices are not sagittal within 45 degrees.
    """
    normal = frame.directions[:, 0]
    if abs(float(normal @ _TO_THE_RIGHT)) < np.sqrt(0.5):
        message = f"slices are not sagittal: normal {normal.round(3).tolist()}"
        raise ValueError(message)
    slice_axis = normal if normal @ _TO_THE_RIGHT > 0 else -normal
    row_axis = _TO_THE_FEET - (_TO_THE_FEET @ slice_axis) * slice_axis
    row_axis = row_axis / np.linalg.norm(row_axis)
    column_axis = np.cross(row_axis, slice_axis)
    directions = np.stack([slice_axis, row_axis, column_axis], axis=1)

    corners = np.array(
        [(k, r, c) for k in (0, 1) for r in (0, 1) for c in (0, 1)], np.float64
    )
    edges = frame.to_mm(corners * np.array(shape) - 0.5) @ directions
    low, high = edges.min(axis=0), edges.max(axis=0)
    spacing = np.array([frame.spacing_mm[0], pixel_mm, pixel_mm])
    counts = np.maximum(np.ceil((high - low) / spacing - 1e-6), 1).astype(int)
    counts[0] = shape[0]
    origin = directions @ ((low + high) / 2 - (counts - 1) / 2 * spacing)
    return SagittalGrid(
        frame=Frame(origin_mm=origin, directions=directions, spacing_mm=spacing),
        shape=(int(counts[0]), int(counts[1]), int(counts[2])),
        source_frame=frame,
        source_shape=shape,
    )


def turned_grid(
    grid: SagittalGrid,
    middle_mm: NDArray[np.float64],
    turn_rad: float,
    slices: range,
    shape: tuple[int, int],
    pixel_mm: float,
) -> SagittalGrid:
    """Lay a small grid over some slices of another, turned within their planes.

    Parameters
    ----------
    grid
        The grid that it is laid over.
    middle_mm : ndarray, shape (2,)
        Where its middle lies: along rows and columns, from pixel (0, 0) of `grid`.
    turn_rad
        By how much its rows run from the feet to the back.
    slices
        Of `grid`.
    shape
        Rows and columns of the new grid.
    pixel_mm
        Their distance (mm).
    """
    across, down, back = grid.frame.directions.T
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    rows, columns = cosine * down + sine * back, cosine * back - sine * down
    middle = middle_mm / grid.frame.spacing_mm[1:]
    half_mm = (np.array(shape) - 1) / 2 * pixel_mm
    origin = grid.frame.to_mm([slices.start, *middle])
    return SagittalGrid(
        frame=Frame(
            origin_mm=origin - half_mm[0] * rows - half_mm[1] * columns,
            directions=np.stack([across, rows, columns], axis=1),
            spacing_mm=np.array([grid.frame.spacing_mm[0], pixel_mm, pixel_mm]),
        ),
        shape=(len(slices), *shape),
        source_frame=grid.source_frame,
        source_shape=grid.source_shape,
    )


def _plane_map(
    start: Frame, end: Frame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return matrix and offset between (row, column) of frames of one series."""
    corners = end.to_index(start.to_mm([[0, 0, 0], [0, 1, 0], [0, 0, 1]]))
    offset = corners[0, 1:]
    return (corners[1:, 1:] - offset).T, offset


Window = tuple[slice, slice]
"""Rows and columns."""


def sample_picture(
    grid: SagittalGrid,
    voxels: NDArray[np.float32],
    index: int,
    window: Window | None = None,
) -> NDArray[np.float32]:
    """Sample slice `index` of the grid from a series' voxels.

    Parameters
    ----------
    grid
        Where to sample.
    voxels : ndarray, shape (K, R, C)
        The series.
    index
        Slice of the grid.
    window
        Rows and columns of the grid that are wanted; all by default.

    Returns
    -------
    ndarray, shape (R', C') or that of the window, float32
        Smoothed against aliasing, then linear. Outside the series: its lowest value.
    """
    from scipy import ndimage

    picture = voxels[grid.source_slice(index)]
    sd_px = grid.smooth_sd_px
    matrix, offset = grid.plane_map(to_source=True)
    rows, columns = window or (slice(0, grid.shape[1]), slice(0, grid.shape[2]))
    offset = offset + matrix @ [rows.start, columns.start]
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    start, stop = _smoothed(matrix, offset, shape, sd_px, picture.shape)
    smooth = ndimage.gaussian_filter(
        picture[start[0] : stop[0], start[1] : stop[1]],
        sd_px,
        mode="nearest",
        truncate=SMOOTH_REACH,
    )
    return resample(
        smooth,
        matrix,
        offset - start,
        shape,
        order=1,
        outside=float(picture.min()),
    )


def sample_pictures(
    grid: SagittalGrid, voxels: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Sample all slices of a grid at once: as `sample_picture`, one after the other.

    Returns
    -------
    ndarray, shape (K', R', C'), float32
    """
    from scipy import ndimage

    sources = [grid.source_slice(index) for index in range(grid.shape[0])]
    sd_px = grid.smooth_sd_px
    matrix, offset = grid.plane_map(to_source=True)
    shape = grid.shape[1:]
    if is_straight(matrix, shape):
        return np.stack([sample_picture(grid, voxels, k) for k in range(grid.shape[0])])
    start, stop = _smoothed(matrix, offset, shape, sd_px, voxels.shape[1:])
    near = np.stack(
        [voxels[k, start[0] : stop[0], start[1] : stop[1]] for k in sources]
    )
    smooth = ndimage.gaussian_filter(
        near, sd_px, mode="nearest", truncate=SMOOTH_REACH, axes=(1, 2)
    )
    places = (range(shape[0]), range(shape[1]))
    reader = LinearReader(matrix, offset - start, places, smooth.shape[1:])
    sampled = np.empty(grid.shape, np.float32)
    for index, source in enumerate(sources):
        lowest = float(voxels[source].min()) if reader.has_outside else 0.0
        sampled[index] = reader.read(smooth[index], lowest)
    return sampled


def _smoothed(
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int],
    sd_px: NDArray[np.float64],
    source: tuple[int, ...],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first source pixel (row, column) to smooth, and the one after all.

    Parameters
    ----------
    matrix, offset
        From the places that are sampled to the source.
    shape
        Of those places.
    sd_px
        Of the filter.
    source
        Rows and columns of the source.
    """
    first, last = _reach(matrix, offset, shape)
    margin = np.ceil(SMOOTH_REACH * sd_px).astype(int) + 1
    start = np.clip(first - margin, 0, np.array(source) - 1)
    return start, np.clip(last + margin + 1, start + 1, source)


def _reach(
    matrix: NDArray[np.float64], offset: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last source pixel (row, column) that is sampled."""
    far = np.array(shape) - 1
    corners = np.array([[0, 0], [0, far[1]], [far[0], 0], far]) @ matrix.T + offset
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    return low.astype(np.int64), high.astype(np.int64)
