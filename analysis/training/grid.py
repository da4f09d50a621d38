"""From a picture's own grid to the network's, and probabilities back again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_SMOOTH_SHARE = 0.4  # sd of the anti-alias filter as a share of the output pixel


def smooth_for(
    slices: NDArray[Any], spacing_mm: tuple[float, float], grid_mm: float
) -> NDArray[np.float32]:
    """Smooth slices (K, R, C) against aliasing on the network's grid."""
    widths = [_SMOOTH_SHARE * grid_mm / step for step in spacing_mm]
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(
        slices.astype(np.float32), [0.0, *widths], mode="nearest"
    )
    return smooth


def to_grid(
    slices: NDArray[Any], spacing_mm: tuple[float, float], grid_mm: float
) -> NDArray[np.float32]:
    """Sample slices on the network's isotropic grid.

    Both grids begin at the same edge of the picture.

    Parameters
    ----------
    slices : ndarray, shape (K, R, C)
    spacing_mm
        Distance of rows and of columns (mm).
    grid_mm
        Distance of rows and columns of the new grid (mm).

    Returns
    -------
    ndarray, shape (K, R', C'), float32
    """
    steps = [grid_mm / step for step in spacing_mm]
    shape = [
        math.ceil(n / step) for n, step in zip(slices.shape[1:], steps, strict=True)
    ]
    smooth = smooth_for(slices, spacing_mm, grid_mm)
    return np.stack([_sample(picture, steps, shape) for picture in smooth])


def from_grid(
    planes: NDArray[np.float32],
    shape: tuple[int, int],
    spacing_mm: tuple[float, float],
    grid_mm: float,
) -> NDArray[np.float32]:
    """Sample planes (N, R', C') of the network's grid on a picture's grid (N, R, C)."""
    steps = [step / grid_mm for step in spacing_mm]
    return np.stack([_sample(plane, steps, list(shape)) for plane in planes])


def _sample(
    picture: NDArray[np.float32], steps: list[float], shape: list[int]
) -> NDArray[np.float32]:
    """Sample linearly; `steps` is the new pixel in old pixels, edges aligned."""
    sampled: NDArray[np.float32] = ndimage.affine_transform(
        picture,
        np.array(steps),
        offset=[step / 2 - 0.5 for step in steps],
        output_shape=tuple(shape),
        order=1,
        mode="nearest",
    )
    return sampled
