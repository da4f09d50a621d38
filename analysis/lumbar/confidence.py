"""How well a structure is outlined, told from the network's own probabilities.

If a pixel belongs to the structure with the probability that the network gives, the
overlap that is to be expected follows from the sum of these probabilities, inside the
outline and just outside of it. It needs no second network and no second pass.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy import CANAL, DISCS, VERTEBRAE, Tissue
from analysis.lumbar.segment import FULL, TissueMap

_RIM_PX = 3
"""How far outside the outline a structure may still be: 2.4 mm."""
_MIN_PIXELS = 20
"""Fewer say nothing."""
_CHANNELS: Mapping[int, tuple[Tissue, ...]] = {
    **dict.fromkeys((s.number for s in VERTEBRAE), (Tissue.BODY, Tissue.S1)),
    **dict.fromkeys((s.number for s in DISCS), (Tissue.DISC,)),
    CANAL.number: (Tissue.CANAL,),
}


def outline_confidence(
    tissues: TissueMap, names: NDArray[np.uint8]
) -> dict[int, float]:
    """Return the expected overlap (Dice) of each named structure with the truth.

    Parameters
    ----------
    tissues
        The network's answer.
    names : ndarray, shape (K, R, C), uint8
        Named structures on the grid of `tissues`, from `levels.name_levels`.

    Returns
    -------
    dict
        By number of the structure, 0 to 1; structures of a few pixels are left out.
        Too high where the network is sure and wrong; an order first of all.

    References
    ----------
    .. [1] Mehrtash A et al. Confidence calibration and predictive uncertainty
       estimation for deep medical image segmentation. IEEE Trans Med Imaging
       2020;39(12):3868-3878: the confidence of a structure from that of its pixels.
    """
    from scipy import ndimage

    plus = ndimage.generate_binary_structure(2, 1)[None]
    found: dict[int, float] = {}
    # A number that does not occur has None for a window, whatever the stubs say.
    windows = dict(enumerate(ndimage.find_objects(names), start=1))
    for number, channels in _CHANNELS.items():
        if not windows.get(number):
            continue
        slices, rows, columns = windows[number]
        wide = (slices, _widened(rows), _widened(columns))
        inside = names[wide] == number
        count = int(inside.sum())
        if count < _MIN_PIXELS:
            continue
        planes = tissues.probability[slices, :, wide[1], wide[2]]
        share = planes[:, list(channels)].sum(axis=1, dtype=np.float32) / FULL
        near = ndimage.binary_dilation(inside, plus, iterations=_RIM_PX)
        found[number] = float(2 * share[inside].sum() / (count + share[near].sum()))
    return found


def _widened(side: slice) -> slice:
    return slice(max(0, side.start - _RIM_PX), side.stop + _RIM_PX)
