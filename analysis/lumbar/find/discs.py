"""Discs along the spine: one plane each, however the network broke or fused them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.disc_plane import DiscPlane
from analysis.lumbar.anatomy.spine_curve import Column
from analysis.lumbar.anatomy.structures import Tissue

_CORE_HALF_MM = 9.0
"""Half of the depth in which discs are looked for: the middle half of an adult disc.
Osteophytes and bridges that fuse neighbours lie outside it."""
_CORE_SIDE_MM = 12.0
"""The same to either side."""
_MERGE_MM = 8.0
"""Pieces closer than this along the spine are one disc; two discs are 20 mm apart or
more, even in a small adult's thoracic spine."""
_FUSED_MM = 22.0
"""A piece that reaches further than this along the spine holds two discs."""
_MIN_SHARE = 0.12
"""Of the middle size of the five largest; less is a loose piece."""
_MIN_MM2_A_SLICE = 8.0
"""A collapsed disc, 1.6 mm high, over 5 mm of the core."""
_MIN_PLANE_VOXELS = 12
"""Fewer do not tell a direction: a collapsed disc, 1.6 mm high, over 5 mm."""
_MAX_SLOPE = 0.7
"""Steepest plane against the centre line; beyond it the fit followed noise."""
_MAX_DEPTH_MM = 65.0
"""No lumbar disc is as deep from front to back; a pattern that is, is no spine."""
_NEAR_MM = 12.0
"""Disc voxels further from every disc's plane than half a vertebra are noise."""


def find_discs(column: Column) -> list[DiscPlane]:
    """Find what looks like a disc in a column, from the head to the feet."""
    core = _core(column)
    pieces = [part for piece in _pieces(column, core) for part in _split(column, piece)]
    pieces = _merge(column, pieces)
    if not pieces:
        return []
    sizes = np.array([len(piece) for piece in pieces])
    usual = float(np.median(np.sort(sizes)[-5:]))
    slices = int(np.count_nonzero(np.bincount(column.indices[:, 0])))
    pixel_mm2 = (column.row_step_mm or 1.0) ** 2
    floor = max(_MIN_SHARE * usual, _MIN_MM2_A_SLICE / pixel_mm2 * min(slices, 3))
    kept = [piece for piece, size in zip(pieces, sizes, strict=True) if size >= floor]
    planes = [_plane(column, piece) for piece in kept]
    planes = [plane for plane in planes if plane.depth_mm <= _MAX_DEPTH_MM]
    return sorted(planes, key=lambda plane: plane.along_mm)


def plane_of(column: Column, member: NDArray[np.bool_]) -> DiscPlane | None:
    """Return the plane of a disc whose voxels are known; None where they are too few.

    Parameters
    ----------
    member : ndarray, shape (N,)
        Whether a voxel of the column belongs to the disc.
    """
    piece = np.flatnonzero(member & _is_central(column))
    return _plane(column, piece) if piece.size >= _MIN_PLANE_VOXELS else None


def owners(column: Column, below_mm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which disc each voxel of a column belongs to; -1 where to none.

    Parameters
    ----------
    below_mm : ndarray, shape (discs, N)
        How far each voxel lies below the plane of each disc.
    """
    owner = np.full(below_mm.shape[1], -1, np.int64)
    discs = np.flatnonzero(column.tissue == Tissue.DISC)
    away_mm = np.abs(below_mm.take(discs, axis=1))
    near = away_mm.min(axis=0) < _NEAR_MM
    owner[discs[near]] = away_mm.argmin(axis=0)[near]
    return owner


def _is_central(column: Column) -> NDArray[np.bool_]:
    right, back = column.beside_mm.T
    near = (np.abs(back) < _CORE_HALF_MM) & (np.abs(right) < _CORE_SIDE_MM)
    return np.asarray(near)


def _core(column: Column) -> NDArray[np.int64]:
    return np.flatnonzero((column.tissue == Tissue.DISC) & _is_central(column))


def _pieces(column: Column, chosen: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return connected pieces of the chosen voxels, as positions in the column."""
    from scipy import ndimage

    if chosen.size == 0:
        return []
    indices = column.indices[chosen]
    low, high = indices.min(axis=0), indices.max(axis=0) + 1
    mask = np.zeros(high - low, bool)
    place = tuple((indices - low).T)
    mask[place] = True
    pieces, count = ndimage.label(mask, np.ones((3, 3, 3)))
    owner = pieces[place]
    return [chosen[owner == piece] for piece in range(1, count + 1)]


def _split(column: Column, piece: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Cut a piece that reaches along two discs where it is thinnest between them."""
    along = column.along_mm[piece]
    low, high = np.percentile(along, [2, 98])
    if high - low < _FUSED_MM:
        return [piece]
    counts, edges = np.histogram(along, bins=max(3, round((high - low) / 2)))
    third = max(1, len(counts) // 4)
    cut = edges[third + int(counts[third:-third].argmin()) + 1]
    above = along < cut
    if not above.any() or above.all():
        return [piece]
    return [*_split(column, piece[above]), *_split(column, piece[~above])]


def _merge(column: Column, pieces: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    ordered = sorted(pieces, key=lambda piece: float(column.along_mm[piece].mean()))
    merged: list[NDArray[np.int64]] = []
    for piece in ordered:
        here = float(column.along_mm[piece].mean())
        if merged and here - float(column.along_mm[merged[-1]].mean()) < _MERGE_MM:
            merged[-1] = np.concatenate([merged[-1], piece])
        else:
            merged.append(piece)
    return merged


def _plane(column: Column, piece: NDArray[np.int64]) -> DiscPlane:
    points = column.points_mm[piece]
    along = float(column.along_mm[piece].mean())
    centre = points.mean(axis=0)
    ahead = column.direction(along)
    back = np.array([-ahead[1], ahead[0]])
    offset = points - centre
    design = np.stack([offset[:, 1:] @ back, offset[:, 0], np.ones(len(piece))], 1)
    slopes = np.linalg.lstsq(design, offset[:, 1:] @ ahead, rcond=None)[0]
    slope, side = np.clip(slopes[:2], -_MAX_SLOPE, _MAX_SLOPE)
    down = ahead - slope * back
    whole = np.abs(column.along_mm - along) < _MERGE_MM
    depth = column.beside_mm[whole & (column.tissue == Tissue.DISC), 1]
    low, high = np.percentile(depth, [2, 98])
    return DiscPlane(
        centre_mm=centre,
        along_mm=along,
        down=down / np.linalg.norm(down),
        side_slope=float(side),
        depth_mm=float(high - low),
    )
