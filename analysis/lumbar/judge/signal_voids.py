"""Parts of the spine that give no signal: metal, or bone or gas of that size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.one_of import is_one_of
from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE
from analysis.lumbar.doubt import Doubt, apart, warning
from analysis.lumbar.fitted_limits import VOID_MM2

MIN_VOID_MM2 = VOID_MM2.limit
"""A dark area this large inside the spine is no tissue."""
_VOID_SHARE = 0.1
"""Of the signal of bone marrow: compact bone and noise have this or less."""
_VOID_SMOOTH_MM = 0.8
_REACH_MM = 10.0
"""Gaps between named structures up to twice this are closed: a void has no name."""
_LEVELS = 5


def metal(
    anatomy: Anatomy, volume: Volume, labels: NDArray[np.uint8]
) -> tuple[Doubt, ...]:
    """Return the doubt about a spine of which a part gives no signal, or none.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    volume, labels
        The series, and its named structures on its own grid.
    """
    largest = void_mm2(anatomy, volume, labels)
    if largest <= MIN_VOID_MM2:
        return ()
    shown = apart(largest, MIN_VOID_MM2, 0)
    text = (
        f"{shown} mm2 of the spine give no signal in one slice (limit "
        f"{MIN_VOID_MM2:.0f}): metal, or bone or gas of that size"
    )
    return (warning("metal", text),)


def void_mm2(
    anatomy: Anatomy,
    volume: Volume,
    labels: NDArray[np.uint8],
    least: float = MIN_VOID_MM2,
) -> float:
    """Return the largest area of the spine without signal in a slice.

    Parameters
    ----------
    least
        Smaller areas (mm2) count as none.
    """
    slices = _shown(anatomy)
    return max((_void_mm2(volume, labels, one, least) for one in slices), default=0.0)


def _shown(anatomy: Anatomy) -> set[int]:
    """Return the slices of the series that were measured."""
    slices = {
        index for disc in DISCS[:_LEVELS] for index in anatomy.middle_slices(disc)
    }
    return {anatomy.tissues.grid.source_slice(index) for index in slices}


def _void_mm2(
    volume: Volume, labels: NDArray[np.uint8], index: int, least: float
) -> float:
    """Return the largest area inside the spine that gives no signal in a slice."""
    from scipy import ndimage

    spacing = volume.frame.spacing_mm[1:]
    window = window_of(labels[index] > 0)
    if window is None:
        return 0.0
    numbers, picture = labels[index][window], volume.voxels[index][window]
    bone = is_one_of(numbers, [one.number for one in VERTEBRAE])
    if not bone.any():
        return 0.0
    marrow = float(np.median(picture[bone]))
    smooth = ndimage.gaussian_filter(picture, _VOID_SMOOTH_MM / spacing)
    dark = smooth < _VOID_SHARE * marrow
    pixel_mm2 = float(spacing.prod())
    if dark.sum() * pixel_mm2 <= least:  # the usual; closing takes its time
        return 0.0
    away = ndimage.distance_transform_edt(~np.pad(numbers > 0, 1), spacing)
    near = away < _REACH_MM
    # Closing by distance: what is left when the same way is taken back.
    inside = ndimage.distance_transform_edt(np.pad(near, 1), spacing) > _REACH_MM
    return _largest_px(inside[2:-2, 2:-2] & dark) * pixel_mm2


def _largest_px(mask: NDArray[np.bool_]) -> int:
    """Return the size of the largest piece of a mask."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    return int(np.bincount(pieces.ravel())[1:].max()) if count else 0
