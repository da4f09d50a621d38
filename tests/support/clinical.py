"""A series of clinical size, resampled from the bundled one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.variants import Series, fresh, read_bundled

SLICES, SIDE = 18, 512


def clinical_series(folder: Path, slices: int = SLICES) -> Series:
    """Return slices of 512 x 512: between neighbours linear, the rows cropped.

    The spacing between slices is half that of the bundled series.
    """
    source = read_bundled(folder)
    stack = np.stack([one.pixel_array for one in source]).astype(np.float64)
    first_row = (stack.shape[1] - SIDE) // 2
    stack = stack[:, first_row : first_row + SIDE, :SIDE]
    positions = np.array(
        [[float(part) for part in one.ImagePositionPatient] for one in source]
    )
    positions[:, 2] -= first_row * float(source[0].PixelSpacing[0])
    at = np.arange(slices) / 2
    made = fresh([source[min(int(depth), len(source) - 1)] for depth in at])
    for number, (depth, instance) in enumerate(zip(at, made, strict=True), start=1):
        pixels = between(stack, float(depth))
        instance.Rows, instance.Columns = pixels.shape
        instance.PixelData = np.rint(pixels).astype(np.uint16).tobytes()
        position = between(positions, float(depth))
        instance.ImagePositionPatient = position.round(4).tolist()
        instance.InstanceNumber = number
        instance.SpacingBetweenSlices = float(source[0].SpacingBetweenSlices) / 2
    return made


def between(stack: NDArray[np.float64], depth: float) -> NDArray[np.float64]:
    """Return the plane at a fractional depth; beyond the last one, extrapolated."""
    lower = min(int(depth), len(stack) - 2)
    share = depth - lower
    plane: NDArray[np.float64] = (1 - share) * stack[lower] + share * stack[lower + 1]
    return np.maximum(plane, 0) if plane.ndim > 1 else plane
