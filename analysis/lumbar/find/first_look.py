"""The first look: the tissue of every pixel, whole slices at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.sagittal_grid import sagittal_grid, sample_picture
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM, TissueMap
from analysis.lumbar.find.networks import SliceSegmenter


def look_first(volume: Volume, segmenter: SliceSegmenter, threads: int) -> TissueMap:
    """Run the network over every slice of the volume."""
    count, rows, columns = volume.voxels.shape
    grid = sagittal_grid(volume.frame, (count, rows, columns), PIXEL_MM)
    with ThreadPoolExecutor(threads) as pool:
        sample = partial(sample_picture, grid, volume.voxels)
        pictures = np.stack(list(pool.map(sample, range(count))))
    probability = segmenter.in_steps(pictures, FULL)
    with ThreadPoolExecutor(threads) as pool:
        tissue = np.stack(list(pool.map(_likeliest, probability)))
    return TissueMap(grid=grid, probability=probability, tissue=tissue)


def _likeliest(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the first of the greatest of the planes (N, R, C), as argmax, but fast."""
    most, tissue = planes[0].copy(), np.zeros(planes.shape[1:], np.uint8)
    for number, plane in enumerate(planes[1:], 1):
        tissue[plane > most] = number
        np.maximum(most, plane, out=most)
    return tissue
