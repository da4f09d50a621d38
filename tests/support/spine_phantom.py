"""A lumbar spine of boxes whose truth is known, on any grid in the patient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame

# Directions along which slice, row and column index grow, as columns, for slices in the
# three planes of the patient as scanners write them.
SAGITTAL = np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Column to the back, row to the feet; slices then run to the patient's right."""
CORONAL = np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]])
"""Column to the left, row to the feet; slices then run to the back."""
AXIAL = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
"""Column to the left, row to the back; slices then run to the head."""

DISC_LABELS = ("L5/S1 disc", "L4/L5 disc", "L3/L4 disc", "L2/L3 disc", "L1/L2 disc")
BODY_LABELS = ("S1", "L5", "L4", "L3", "L2", "L1")

_BODY_MM = 26.0
_DISC_MM = 10.0
_DEPTH_MM = 34.0
_HALF_WIDTH_MM = 22.0
_CANAL_MM = (19.0, 33.0)
_LORDOSIS_MM = 6.0
"""Depth of the bow of the column, towards the front."""

BACKGROUND, BODY, DISC, CANAL = 40.0, 180.0, 320.0, 900.0


def turned(directions: NDArray[np.float64], *, angle_deg: float) -> NDArray[np.float64]:
    """Return directions turned about the patient's x and z axis by one angle each."""
    angle = np.deg2rad(angle_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    about_z = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return np.asarray(about_x @ about_z @ directions)


def frame_of(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float] = (4.0, 1.0, 1.0),
    directions: NDArray[np.float64] = SAGITTAL,
) -> Frame:
    """Return a frame whose grid has its centre at the origin of the patient."""
    half = (np.array(shape) - 1) / 2 * np.array(spacing_mm)
    return Frame(
        origin_mm=-directions @ half,
        directions=directions,
        spacing_mm=np.array(spacing_mm),
    )


def phantom_spine(
    shape: tuple[int, int, int] = (11, 256, 160),
    spacing_mm: tuple[float, float, float] = (4.0, 1.0, 1.0),
    directions: NDArray[np.float64] = SAGITTAL,
) -> tuple[NDArray[np.float32], Frame, NDArray[np.uint8]]:
    """Draw a lumbar spine of boxes in the patient, whatever grid samples it.

    Discs are 10 mm high, bodies 26 mm, both 34 mm deep and 44 mm wide; the canal lies
    behind. The column is bowed, so head and feet, front and back can be told apart.

    Returns
    -------
    voxels : ndarray, shape (K, R, C), float32
        A T2 picture: canal bright, discs brighter than bodies, faint texture.
    frame
        Its grid.
    labels : ndarray, shape (K, R, C), uint8
        1 to 6: S1, L5 … L1. 11 to 15: discs from L5/S1 up. 20: canal.
    """
    frame = frame_of(shape, spacing_mm, directions)
    indices = np.moveaxis(np.indices(shape), 0, -1)
    left, back, head = np.moveaxis(frame.to_mm(indices), -1, 0)
    back = back + _LORDOSIS_MM * np.cos(head / 60.0)
    pitch = _BODY_MM + _DISC_MM
    height = head + 3 * pitch
    number = np.floor(height / pitch).astype(int)
    in_disc = height - number * pitch >= _BODY_MM
    inside = (np.abs(left) <= _HALF_WIDTH_MM) & (np.abs(back) <= _DEPTH_MM / 2)
    labels = np.zeros(shape, dtype=np.uint8)
    column = inside & (number >= 0) & (number <= len(DISC_LABELS))
    labels[column & ~in_disc] = (number + 1)[column & ~in_disc]
    discs = column & in_disc & (number < len(DISC_LABELS))
    labels[discs] = (number + 11)[discs]
    canal = (np.abs(left) <= 8.0) & (back >= _CANAL_MM[0]) & (back <= _CANAL_MM[1])
    labels[canal & (number >= 0) & (number <= len(DISC_LABELS))] = 20
    voxels = np.full(shape, BACKGROUND, dtype=np.float32)
    voxels[(labels > 0) & (labels <= len(BODY_LABELS))] = BODY
    voxels[(labels > 10) & (labels < 20)] = DISC
    voxels[labels == 20] = CANAL
    texture = 8 * np.sin(left / 3) * np.sin(back / 4) * np.sin(head / 5)
    return np.round(voxels + texture).astype(np.float32), frame, labels


def mirrored(
    array: NDArray[np.generic], frame: Frame, axes: tuple[int, int]
) -> tuple[NDArray[Any], Frame]:
    """Sample the same patient on a grid two of whose axes run the other way.

    Two, for a frame is right-handed: columns that run to the front bring slices that
    run to the other side.
    """
    directions, corner = frame.directions.copy(), np.zeros(3)
    for axis in axes:
        last = array.shape[axis] - 1
        array = np.take(array, np.arange(last, -1, -1), axis=axis)
        directions[:, axis] *= -1
        corner[axis] = last
    return array, Frame(
        origin_mm=frame.to_mm(corner),
        directions=directions,
        spacing_mm=frame.spacing_mm,
    )
