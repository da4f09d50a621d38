"""Where a viewer draws segments, against where they are in the patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from analysis.contract.segmentation import Segmentation
from tests.support.ohif_page import Grid

STEP = 3
"""Every third pixel of a source image is looked at."""
MIN_PLACES = 40
"""A segment of fewer places in a slice is too small to tell a shift from a border."""
_BLOCK = 4
MIN_HUE = 60
"""Difference of the largest and the least part of a colour; below it a segment is drawn
in grey upon grey, and cannot be told by its colour."""
_UNTOUCHED = 12.0
"""Grey levels by which a place may differ and still bear no overlay."""
_LEAST_OPAQUE = 0.2


def in_patient(image: Dataset, points: NDArray[Any]) -> NDArray[np.float64]:
    """Return points of an image in the patient, by its header alone.

    Parameters
    ----------
    points : ndarray, shape (N, 2)
        (row, column), from the centre of the first pixel.

    Returns
    -------
    ndarray, shape (N, 3)
        In mm (LPS).

    References
    ----------
    PS3.3 C.7.6.2.1.1.
    """
    row_mm, column_mm = (float(each) for each in image.PixelSpacing)
    along_row, along_column = np.reshape(
        [float(each) for each in image.ImageOrientationPatient], (2, 3)
    )
    steps = np.stack([along_column * row_mm, along_row * column_mm])
    corner = np.array([float(each) for each in image.ImagePositionPatient])
    return corner + points.astype(np.float64) @ steps


def grid_of(image: Dataset) -> Grid:
    """Return every third pixel of an image as places in the patient."""
    first, below, beside = in_patient(image, np.array([[0, 0], [1, 0], [0, 1]]))
    return Grid(
        sop_uid=str(image.SOPInstanceUID),
        origin=first,
        row_step=STEP * (below - first),
        column_step=STEP * (beside - first),
        rows=len(range(0, image.Rows, STEP)),
        columns=len(range(0, image.Columns, STEP)),
    )


def sampled(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the pixels of an image that `grid_of` asks for."""
    return plane[::STEP, ::STEP]


def likeness(seen: NDArray[np.uint8], image: NDArray[Any]) -> float:
    """Return how well grey values that are seen follow those of the image, up to 1.

    Both are averaged over blocks, for a viewer smooths thin lines and letters.
    """
    grey = _blocks(seen.mean(axis=2))
    if grey.std() == 0:
        return 0.0
    return float(np.corrcoef(grey.ravel(), _blocks(image).ravel())[0, 1])


def _blocks(plane: NDArray[Any]) -> NDArray[np.float64]:
    rows, columns = (count // _BLOCK for count in plane.shape)
    whole = plane[: rows * _BLOCK, : columns * _BLOCK].astype(np.float64)
    blocks = whole.reshape(rows, _BLOCK, columns, _BLOCK)
    return np.asarray(blocks.mean(axis=(1, 3)))


def agreement(
    bare: NDArray[np.uint8],
    covered: NDArray[np.uint8],
    expected: NDArray[np.uint8],
    segmentation: Segmentation,
) -> dict[str, float]:
    """Return the Dice overlap of each segment of a slice: drawn against expected.

    Parameters
    ----------
    bare, covered : ndarray, shape (rows, columns, 3), uint8
        What is seen without the overlay, and with it.
    expected : ndarray, shape (rows, columns), uint8
        Labels at the same places.
    """
    colours = {one.number: one.colour for one in segmentation.segments}
    drawn = drawn_labels(bare, covered, colours)
    return {
        segment.label: _dice(drawn == segment.number, expected == segment.number)
        for segment in segmentation.segments
        if (expected == segment.number).sum() >= MIN_PLACES
        and max(segment.colour) - min(segment.colour) >= MIN_HUE
    }


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def drawn_labels(
    bare: NDArray[np.uint8],
    covered: NDArray[np.uint8],
    colours: Mapping[int, Iterable[int]],
) -> NDArray[np.uint8]:
    """Tell which segment is drawn at each place, by its colour; 0 where none is.

    A viewer mixes grey and colour, with a share that it chooses: the segment is the one
    whose mixture comes nearest.
    """
    grey, seen = bare.astype(np.float64), covered.astype(np.float64)
    change = seen - grey
    drawn = np.zeros(grey.shape[:2], dtype=np.uint8)
    nearest = np.linalg.norm(change, axis=2)
    touched = nearest > _UNTOUCHED
    nearest[:] = np.inf
    for number, colour in colours.items():
        towards = np.array(tuple(colour), dtype=np.float64) - grey
        length = np.maximum((towards**2).sum(axis=2), 1.0)
        share = np.clip((change * towards).sum(axis=2) / length, _LEAST_OPAQUE, 1.0)
        distance = np.linalg.norm(change - share[..., None] * towards, axis=2)
        closer = touched & (distance < nearest)
        drawn[closer] = number
        nearest[closer] = distance[closer]
    return drawn
