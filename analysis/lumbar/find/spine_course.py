"""The bodies and discs that hang together in a tissue map, as one column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.dilation import grown
from analysis.imaging.one_of import is_one_of
from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.spine_curve import Column, lengths_mm
from analysis.lumbar.anatomy.structures import Tissue

_BRIDGE_MM = 3.2
"""Bodies and discs that are this close belong to one column; end plates and dark
cortex between them are about 1 mm thick."""
_GAP_MM = 20.0
"""A piece is in line if it begins within half a level of where the spine ends."""
_LEAP_MM = 80.0
"""So far apart a large piece may begin: a body and both of its discs that were not
seen, 27 + 2 x 10 mm, and the piece of the next body that hangs on them."""
_ASIDE_MM = 30.0
"""From front to back, as far as S1 lies behind L4."""
_LEAN = 0.8
"""Millimetres to the back for each to the feet where the spine is steepest."""
_MIN_LEAP_SHARE = 0.1
"""Of the largest piece; less, that far away, is no part of a spine."""
_MIN_S1_SHARE, _MOSTLY = 0.02, 0.5
"""The same for a piece that is mostly S1: half of what it is of a whole spine."""
_MIN_PIECE_SHARE = 0.01
"""Of the largest piece; less is noise. One disc is about 2 % of a lumbar spine."""
_SMOOTH_MM = 12.0
"""Standard deviation along the spine: half a vertebra, so that the curve follows the
spine and not the outline of one body."""

_AT_ONCE = 1024
"""Pixels whose distances from the line fit into the processor's cache."""
_NOTHING_MM = 1e-9

_COLUMN = (Tissue.BODY, Tissue.DISC, Tissue.S1)


def find_column(
    tissue: NDArray[np.uint8], spacing_mm: NDArray[np.float64]
) -> Column | None:
    """Find the spine in a tissue map; None where there is nothing of it.

    Parameters
    ----------
    tissue : ndarray, shape (K, R, C), uint8
        On a sagittal grid: rows run to the feet, columns to the back.
    spacing_mm : ndarray, shape (3,)
        Between slices, rows and columns.
    """
    from scipy import ndimage

    steps = max(1, round(_BRIDGE_MM / 2 / float(spacing_mm[1])))
    whole = is_one_of(tissue, _COLUMN)
    window = window_of(whole, steps)
    if window is None:
        return None
    mask, shown = whole[window], tissue[window]
    pieces, _ = ndimage.label(grown(mask, steps), np.ones((3, 3, 3)))
    indices = np.argwhere(mask) + [side.start for side in window]
    points = indices * spacing_mm
    s1 = shown[mask] == Tissue.S1
    kept = np.flatnonzero(_in_line(points, pieces[mask].astype(np.int64), s1))
    indices, points = indices.take(kept, axis=0), points.take(kept, axis=0)
    line = _centre_line(indices, points, tissue.shape[1], spacing_mm)
    pixels, owner = _distinct_pixels(indices)
    pixels_mm = pixels * spacing_mm[1:]
    nearest, _ = _nearest(line, pixels_mm)
    forward = np.gradient(line[:, 1:], axis=0)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    down, back = (pixels_mm - line[nearest, 1:]).T
    ahead_down, ahead_back = forward[nearest].T
    along = lengths_mm(line)[nearest] + (down * ahead_down + back * ahead_back)
    behind = back * ahead_down - down * ahead_back
    right = points[:, 0] - line[nearest, 0][owner]
    return Column(
        indices=indices,
        tissue=tissue[tuple(indices.T)],
        points_mm=points,
        along_mm=along[owner],
        beside_mm=np.stack([right, behind[owner]], axis=1),
        line_mm=line,
    )


def nearest_on_line(
    line_mm: NDArray[np.float64],
    indices: NDArray[np.int64],
    spacing_mm: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the point of a line that is nearest to each voxel within its slice.

    Parameters
    ----------
    line_mm : ndarray, shape (M, 3)
        Points along slice, row and column, from voxel (0, 0, 0).
    indices : ndarray, shape (N, 3)
        (slice, row, column) of the voxels.
    spacing_mm : ndarray, shape (3,)
        Between slices, rows and columns.

    Returns
    -------
    ndarray, shape (N,)
        Place in the line.
    ndarray, shape (N,)
        Distance along row and column (mm).
    """
    pixels, owner = _distinct_pixels(indices)
    nearest, apart_mm = _nearest(line_mm, pixels * spacing_mm[1:])
    return nearest[owner], apart_mm[owner]


def _distinct_pixels(
    indices: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each pixel (row, column) once, and which of them each voxel lies in.

    Most slices show the same pixels: what holds for a pixel is reckoned once.
    """
    rows, columns = indices[:, 1], indices[:, 2]
    wanted = np.zeros((int(rows.max()) + 1, int(columns.max()) + 1), np.bool_)
    wanted[rows, columns] = True
    place = np.zeros(wanted.shape, np.int64)
    place[wanted] = np.arange(int(wanted.sum()))
    return np.argwhere(wanted), place[rows, columns]


def _nearest(
    line_mm: NDArray[np.float64], pixels_mm: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the place in a line that is nearest to each pixel, and how far it is.

    The rows of the line rise. So a point is nearer than the one beside a pixel only if
    it lies no further up or down than that one is away.
    """
    line_rows, line_columns = line_mm[:, 1], line_mm[:, 2]
    last = len(line_mm) - 1
    nearest = np.empty(len(pixels_mm), np.int64)
    squared = np.empty(len(pixels_mm))
    for start in range(0, len(pixels_mm), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        rows, columns = pixels_mm[part].T
        beside = np.minimum(np.searchsorted(line_rows, rows), last)
        reach = np.hypot(line_rows[beside] - rows, line_columns[beside] - columns)
        reach += _NOTHING_MM
        first = np.searchsorted(line_rows, rows - reach)
        end = np.searchsorted(line_rows, rows + reach, side="right")
        places = first[:, None] + np.arange(int((end - first).max()))
        np.minimum(places, last, out=places)
        apart = np.square(line_rows[places] - rows[:, None])
        apart += np.square(line_columns[places] - columns[:, None])
        best = apart.argmin(axis=1)
        nearest[part] = first + best
        squared[part] = apart[np.arange(len(best)), best]
    return nearest, np.sqrt(squared)


def _in_line(
    points_mm: NDArray[np.float64], piece: NDArray[np.int64], s1: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Choose the largest piece, and those that continue it up or down.

    Parameters
    ----------
    points_mm : ndarray, shape (N, 3)
    piece : ndarray, shape (N,)
        Which piece each voxel belongs to.
    s1 : ndarray, shape (N,)
        Whether it is S1: a level may be missing above, and no other piece tells it.
    """
    sizes = np.bincount(piece)
    chosen = piece == int(sizes.argmax())
    for other in np.argsort(-sizes)[1:].tolist():
        if sizes[other] < _MIN_PIECE_SHARE * sizes.max():
            break
        mine = piece == other
        for end in (np.min, np.max):
            near = chosen & (
                np.abs(points_mm[:, 1] - end(points_mm[mine, 1])) < _GAP_MM
            )
            if not near.any():
                continue
            apart = points_mm[mine, 2].mean() - points_mm[near, 2].mean()
            if abs(apart) < _GAP_MM:
                chosen = chosen | mine
                break
        else:
            share = _MIN_S1_SHARE if s1[mine].mean() > _MOSTLY else _MIN_LEAP_SHARE
            large = sizes[other] >= share * sizes.max()
            if large and _goes_on(points_mm[chosen], points_mm[mine]):
                chosen = chosen | mine
    return np.asarray(chosen)


def _goes_on(spine_mm: NDArray[np.float64], piece_mm: NDArray[np.float64]) -> bool:
    """Say whether a piece continues the spine beyond a body that was not seen."""
    above, below = spine_mm, piece_mm
    if above[:, 1].mean() > below[:, 1].mean():
        above, below = below, above
    end, start = float(above[:, 1].max()), float(below[:, 1].min())
    gap = start - end
    if not -_GAP_MM < gap < _LEAP_MM:  # a steep sacrum begins beside what is above it
        return False
    last = above[above[:, 1] > end - _GAP_MM, 2].mean()
    first = below[below[:, 1] < start + _GAP_MM, 2].mean()
    return bool(abs(first - last) < _ASIDE_MM + _LEAN * max(gap, 0.0))


def _centre_line(
    indices: NDArray[np.int64],
    points_mm: NDArray[np.float64],
    rows: int,
    spacing_mm: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return a smooth line through the middle of every row, one point a row."""
    from scipy import ndimage

    def smooth(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.bincount(indices[:, 1], weights, minlength=rows)
        sd = _SMOOTH_MM / spacing_mm[1]
        return np.asarray(ndimage.gaussian_filter1d(total, sd, mode="constant"))

    first, last = int(indices[:, 1].min()), int(indices[:, 1].max())
    present = slice(first, last + 1)
    mass = smooth(np.ones(len(indices)))[present]
    middle = [smooth(points_mm[:, axis])[present] / mass for axis in range(3)]
    return np.stack(middle, axis=1)
