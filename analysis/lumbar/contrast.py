"""Is it T2 by the look of it? Asked where neither attributes nor words tell.

Cerebrospinal fluid is what T1 and T2 disagree on most: dark on the one, the brightest
thing in the spine on the other. Bone marrow is its neighbour, so that coil shading
cancels in their ratio.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.contract.errors import UnsuitableInput
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy import CANAL, VERTEBRAE

MIN_FLUID_RATIO = 1.25
"""Fluid to marrow. Of 26 series of `../shared/data` (split train) with this network, 4
of T1 have 0.51 to 0.81; 18 of T2 and 2 of TIRM have 1.75 to 5.1. Gradient echo (2
series) has 1.84 to 1.95: it is not told from T2, which is why no signal is measured."""
_FLUID_PERCENTILE = 80.0
"""Of the canal: above the nerve roots in it."""
_MIN_VOXELS = 200


def check_contrast(volume: Volume, labels: NDArray[np.uint8]) -> None:
    """Refuse a picture on which fluid is not bright.

    Parameters
    ----------
    labels : ndarray, shape (K, R, C), uint8
        Numbers of the structures on the grid of `volume`.

    Raises
    ------
    UnsuitableInput
        `not_t2` if fluid is too dark; `weighting_unknown` if there is too little of
        the spine to tell.
    """
    fluid = _inside(volume, labels == CANAL.number)
    marrow = _inside(volume, np.isin(labels, [one.number for one in VERTEBRAE]))
    if min(fluid.size, marrow.size) < _MIN_VOXELS:
        text = "Neither the attributes nor the picture tell the weighting"
        raise UnsuitableInput(code="weighting_unknown", text=text)
    bright, usual = float(np.percentile(fluid, _FLUID_PERCENTILE)), np.median(marrow)
    if bright < MIN_FLUID_RATIO * usual:
        text = (
            "The attributes do not tell the weighting, and fluid in the canal has "
            f"{bright:.0f} where bone has {usual:.0f}; on T2 it has at least "
            f"{MIN_FLUID_RATIO} times as much"
        )
        raise UnsuitableInput(code="not_t2", text=text)


def _inside(volume: Volume, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the values of a mask without its edge in each slice."""
    from scipy import ndimage

    inner = ndimage.binary_erosion(mask, np.ones((1, 3, 3), np.bool_))
    values: NDArray[np.float32] = volume.voxels[inner]
    return values
