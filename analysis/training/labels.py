"""What a pixel may be: label maps of the sources turned into sets of classes."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


class Label(IntEnum):
    """Classes of the lumbar network; the value is the channel."""

    BACKGROUND = 0
    BODY = 1
    DISC = 2
    S1 = 3
    CANAL = 4
    POSTERIOR = 5


_SPIDER_VERTEBRA, _SPIDER_DISC, _SPIDER_CANAL = 1, 2, 3
_LOWEST_DISC = 1

_ONE_SIDED = 0.9
"""Share of a vertebral component on one side of the canal that decides for it all;
components below it (body, pedicle and lamina in one) are split at the mid-line."""

_S1_DEPTH_MM = 45.0
"""How far S1 may reach below L5/S1: an S1 body is about 30 mm tall; by half more."""

_S1_MARGIN_MM = 12.0
"""How far S1 may reach beyond the ends of the disc above it."""

_USUAL_DISC_MM2 = 300.0
"""Area of a healthy adult disc in a mid-sagittal slice: 35 mm x 9 mm."""

_MAX_DISC_WEIGHT = 3.0
"""Pieces at the edge of a disc must not outweigh whole discs."""

_DISC_RIM_MM = 3.0
"""How far around a disc its weight reaches: the end plates on both sides."""


def split_vertebrae(semantic: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn SPIDER's three classes into body, disc, canal and posterior elements.

    Each connected piece of vertebra in a slice is body if it lies in front of the
    mid-line of the canal, and posterior elements if it lies behind. A piece on both
    sides is cut at the mid-line.

    Parameters
    ----------
    semantic : ndarray, shape (K, R, C), uint8
        1 vertebra with posterior elements, 2 disc, 3 canal; rows run from head to
        foot, columns from front to back.

    Returns
    -------
    ndarray, shape (K, R, C), uint8
        Members of `Label`; S1 does not occur.
    """
    labels = np.zeros(semantic.shape, np.uint8)
    labels[semantic == _SPIDER_DISC] = Label.DISC
    labels[semantic == _SPIDER_CANAL] = Label.CANAL
    common = _mid_line((semantic == _SPIDER_CANAL).any(axis=0), None)
    columns = np.arange(semantic.shape[2])[None, :]
    for index, picture in enumerate(semantic):
        line = _mid_line(picture == _SPIDER_CANAL, common)
        if line is None:
            labels[index][picture == _SPIDER_VERTEBRA] = Label.BODY
            continue
        in_front = columns < line[:, None]
        pieces, count = ndimage.label(picture == _SPIDER_VERTEBRA)
        for piece in range(1, count + 1):
            mask = pieces == piece
            share = float(in_front[mask].mean())
            body = mask & in_front
            if share >= _ONE_SIDED:
                body = mask
            elif share <= 1 - _ONE_SIDED:
                body = np.zeros_like(mask)
            labels[index][mask] = Label.POSTERIOR
            labels[index][body] = Label.BODY
    return labels


def _mid_line(
    canal: NDArray[np.bool_], common: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Column of the canal's middle in every row, or None without any canal.

    Where a slice leaves the canal it follows the line common to all slices, moved to
    meet its own; a straight continuation would cut the bodies of a lordotic spine.
    """
    rows, columns = np.nonzero(canal)
    if rows.size == 0:
        return common
    present = np.unique(rows)
    middle = np.asarray(ndimage.mean(columns, rows, present), np.float64)
    every = np.arange(canal.shape[0])
    if common is None:
        return np.interp(every, present, middle)
    return common + np.interp(every, present, middle - common[present])


def region_below_disc(
    disc: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return where S1 may lie: a rectangle hanging from the lowest disc.

    Parameters
    ----------
    disc : ndarray, shape (R, C), bool
        The lowest disc.
    spacing_mm
        Distance of rows and of columns (mm).

    Returns
    -------
    ndarray, shape (R, C), bool
        True below the disc's long axis, within the depth of an S1 body.
    """
    rows, columns = np.nonzero(disc)
    if rows.size < 2:  # noqa: PLR2004 - one pixel has no axis
        return np.zeros(disc.shape, np.bool_)
    points_mm = np.stack([rows * spacing_mm[0], columns * spacing_mm[1]])
    centre_mm = points_mm.mean(axis=1)
    axis = np.linalg.eigh(np.cov(points_mm))[1][:, -1]
    axis = axis if axis[1] > 0 else -axis
    down = np.array([axis[1], -axis[0]])
    along_disc = axis @ (points_mm - centre_mm[:, None])
    grid = np.indices(disc.shape).reshape(2, -1) * np.array(spacing_mm)[:, None]
    offset = grid - centre_mm[:, None]
    along, depth = axis @ offset, down @ offset
    inside = (along > along_disc.min() - _S1_MARGIN_MM) & (
        along < along_disc.max() + _S1_MARGIN_MM
    )
    inside &= (depth > 0) & (depth < _S1_DEPTH_MM)
    return np.asarray(inside.reshape(disc.shape))


def allowed_for_spider(
    labels: NDArray[np.uint8],
    discs: NDArray[np.uint8],
    s1: NDArray[np.bool_],
    s1_slices: frozenset[int],
    spacing_mm: tuple[float, float],
) -> NDArray[np.uint8]:
    """Return the set of classes that each SPIDER pixel may have, as bits.

    SPIDER labels nothing below the lowest disc. Where S1 has been drawn the slice is
    exact; elsewhere background below that disc may be background or S1.

    Parameters
    ----------
    labels : ndarray, shape (K, R, C), uint8
        From `split_vertebrae`.
    discs : ndarray, shape (K, R, C), uint8
        Disc instances, 1 the lowest.
    s1 : ndarray, shape (K, R, C), bool
        Hand-drawn S1 bodies.
    s1_slices
        Slices in which S1 has been drawn.
    spacing_mm
        Distance of rows and of columns (mm).

    Returns
    -------
    ndarray, shape (K, R, C), uint8
        Bit c is set where the pixel may be class c.
    """
    allowed = np.left_shift(np.uint8(1), labels).astype(np.uint8)
    lowest = discs == _LOWEST_DISC
    below = region_below_disc(lowest.any(axis=0), spacing_mm)
    either = np.uint8((1 << Label.BACKGROUND) | (1 << Label.S1))
    for index in range(labels.shape[0]):
        free = labels[index] == Label.BACKGROUND
        if index in s1_slices:
            allowed[index][free & s1[index]] = 1 << Label.S1
        else:
            allowed[index][free & below] = either
    return allowed


def allowed_for_part(
    labels: NDArray[np.uint8], annotated: frozenset[Label], open_above_row: int
) -> NDArray[np.uint8]:
    """Return the set of classes that each pixel of a partly labelled source may have.

    A class that the source does not annotate hides in its background, so a pixel
    without a label may be anything but an annotated class. Labels end somewhere up
    the spine; above that row nothing is known at all.

    Parameters
    ----------
    labels : ndarray, shape (K, R, C), uint8
        Members of `Label`; background where nothing is labelled.
    annotated
        Classes that the source labels wherever they occur below the row.
    open_above_row
        First row, from the head, in which the labels are complete.

    Returns
    -------
    ndarray, shape (K, R, C), uint8
        Bit c is set where the pixel may be class c.
    """
    allowed = np.left_shift(np.uint8(1), labels).astype(np.uint8)
    free = labels == Label.BACKGROUND
    whole = (1 << len(Label)) - 1
    allowed[free] = whole - sum(1 << label for label in annotated)
    above = free.copy()
    above[:, max(0, open_above_row) :] = False
    allowed[above] = whole
    return allowed


def decided(
    allowed: NDArray[np.uint8], group: tuple[Label, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say where a group of classes is, and where that is known.

    Returns
    -------
    truth : ndarray of bool
        Where the pixel must be of the group.
    known : ndarray of bool
        Where it must be, or cannot be, of the group.
    """
    bits = np.uint8(sum(1 << label for label in group))
    truth = (allowed & ~bits) == 0
    return truth, truth | ((allowed & bits) == 0)


def thin_disc_weight(
    allowed: NDArray[np.uint8], spacing_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """Weigh the surroundings of small discs up, so that each disc counts alike.

    Parameters
    ----------
    allowed : ndarray, shape (R, C), uint8
        Bit sets of one slice.
    spacing_mm
        Distance of rows and of columns (mm).

    Returns
    -------
    ndarray, shape (R, C), float32
        1 or more; at and around a disc of less than the usual area the ratio of both,
        within a limit.
    """
    pieces, count = ndimage.label(allowed == 1 << Label.DISC)
    weight = np.ones(allowed.shape, np.float32)
    if count == 0:
        return weight
    areas = np.bincount(pieces.ravel(), minlength=count + 1) * spacing_mm[0]
    areas = areas * spacing_mm[1]
    apart, nearest = ndimage.distance_transform_edt(
        pieces == 0, sampling=spacing_mm, return_indices=True
    )
    near = apart < _DISC_RIM_MM
    owner = pieces[nearest[0][near], nearest[1][near]]
    ratio = np.clip(_USUAL_DISC_MM2 / areas[owner], 1.0, _MAX_DISC_WEIGHT)
    weight[near] = ratio
    return weight
