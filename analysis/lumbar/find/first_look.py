"""The first look: the tissue of every pixel, whole slices at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from analysis.contract.volume import Volume
from analysis.imaging.sagittal_grid import sagittal_grid, sample_picture
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM, TissueMap
from analysis.lumbar.find.networks import Segmenter

_BATCH = 8
"""Slices whose probabilities are held at full precision; bounds the memory."""
_REACH = 1
"""Neighbours on either side that a network may look at."""


def look_first(volume: Volume, segmenter: Segmenter, threads: int) -> TissueMap:
    """Run the network over every slice of the volume."""
    count, rows, columns = volume.voxels.shape
    grid = sagittal_grid(volume.frame, (count, rows, columns), PIXEL_MM)
    probability = np.empty((count, len(Tissue), *grid.shape[1:]), np.uint8)
    with ThreadPoolExecutor(threads) as pool:
        sample = partial(sample_picture, grid, volume.voxels)
        pictures = np.stack(list(pool.map(sample, range(count))))
    for start in range(0, count, _BATCH):
        first = max(0, start - _REACH)
        seen = pictures[first : start + _BATCH + _REACH]
        part = slice(start - first, start - first + _BATCH)
        planes = segmenter.probabilities(seen, part)
        np.rint(planes * FULL, out=planes)
        probability[start : start + len(planes)] = planes
    with ThreadPoolExecutor(threads) as pool:
        likeliest = partial(np.argmax, axis=0)
        tissue = np.stack(list(pool.map(likeliest, probability)))
    return TissueMap(grid=grid, probability=probability, tissue=tissue.astype(np.uint8))
