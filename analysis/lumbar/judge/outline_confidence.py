"""How well a structure is outlined, told from the networks' own probabilities.

If a pixel belongs to the structure with the probability that the network gives, the
overlap that is to be expected follows from the sum of these probabilities, inside the
outline and just outside of it. It needs no pass of its own. For discs the networks are
too sure, so that a line is fitted to what was drawn.

Of discs and bodies the slices count in which they are measured: where a structure ends
at the sides, readers differ as networks do, and no value rests on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.dilation import grown
from analysis.lumbar.anatomy.named_levels import Window, windows_of
from analysis.lumbar.anatomy.structures import (
    CANAL,
    DISCS,
    MEASURED_LEVELS,
    VERTEBRAE,
    Tissue,
)
from analysis.lumbar.anatomy.tissue_map import FULL, TissueMap
from analysis.lumbar.doubt import Doubt, warning
from analysis.lumbar.fitted_limits import BODY_OVERLAP, DISC_OVERLAP

_RIM_PX = 3
"""How far outside the outline a structure may still be: 2.4 mm."""
_OUTLINE = 0.5
"""Probability on the outline that is drawn and measured."""
_MIN_PIXELS = 20
"""Fewer say nothing."""
_DISC_OFFSET, _DISC_SLOPE = -0.268, 1.273
"""Of the line from the expected overlap of a disc to its true one, by least squares
over 125 drawn discs of 25 patients (`python -m tests.accuracy.confidence train`), four
of whom disc 0.1.0, with which it was fitted, had not learnt from. It was fitted to
whole discs, and holds as well in the slices that are measured. For bodies the line has
slope 1.00 and no offset, for S1 and canal too little differs to fit one."""
UNCERTAIN_DISC = DISC_OVERLAP.limit
UNCERTAIN_BODY = BODY_OVERLAP.limit
_WARNED = (
    *VERTEBRAE[: len(MEASURED_LEVELS) + 1],
    *DISCS[: len(MEASURED_LEVELS)],
)
"""The uppermost bodies and discs in view are often cut, and not measured."""
_CHANNELS: Mapping[int, tuple[Tissue, ...]] = {
    **dict.fromkeys((s.number for s in VERTEBRAE), (Tissue.BODY, Tissue.S1)),
    **dict.fromkeys((s.number for s in DISCS), (Tissue.DISC,)),
    CANAL.number: (Tissue.CANAL,),
}


def outline_confidence(
    tissues: TissueMap,
    names: NDArray[np.uint8],
    without: Collection[int] = (),
    windows: Mapping[int, Window] | None = None,
    *,
    slices: Mapping[int, Sequence[int]] | None = None,
) -> dict[int, float]:
    """Return the expected overlap (Dice) of each named structure with the truth.

    Parameters
    ----------
    tissues
        The network's answer.
    names : ndarray, shape (K, R, C), uint8
        Named structures on the grid of `tissues`, from `name_levels`.
    without
        Numbers of structures that the network did not draw.
    windows
        Of the structures, where they are known: see `windows_of`.
    slices
        Those of `names` that count, by the number of the structure; of structures that
        are not in it, all.

    Returns
    -------
    dict
        By number of the structure, 0 to 1; structures of a few pixels are left out.
        Too high where the network is sure and wrong.

    References
    ----------
    .. [1] Mehrtash A et al. Confidence calibration and predictive uncertainty
       estimation for deep medical image segmentation. IEEE Trans Med Imaging
       2020;39(12):3868-3878: the confidence of a structure from that of its pixels.
    """
    found: dict[int, float] = {}
    held_by = windows_of(names) if windows is None else windows
    for number, channels in _CHANNELS.items():
        held = held_by.get(number)
        if number in without or held is None:
            continue
        shown, rows, columns = held[0], _widened(held[1]), _widened(held[2])
        counted = sorted((slices or {}).get(number, range(shown.start, shown.stop)))
        planes = tissues.probability[:, :, rows, columns][counted]
        share = planes[:, list(channels)].sum(axis=1, dtype=np.float32) / FULL
        mine = names[:, rows, columns][counted] == number
        inside = mine & (share > _OUTLINE)
        count = int(inside.sum())
        if count < _MIN_PIXELS:
            continue
        near = grown(inside, _RIM_PX)
        overlap = float(2 * share[inside].sum() / (count + share[near].sum()))
        found[number] = _calibrated(number, overlap)
    return found


def uncertain_outlines(confidence: Mapping[int, float]) -> tuple[Doubt, ...]:
    """Warn of the measured discs and their bodies that are outlined least well.

    Parameters
    ----------
    confidence
        From `outline_confidence`.
    """
    doubtful = [
        f"{structure.label} ({confidence[structure.number]:.2f})"
        for structure in _WARNED
        if confidence.get(structure.number, 1.0) < _limit(structure.number)
    ]
    if not doubtful:
        return ()
    text = (
        "Less certain outlines, by their expected overlap (Dice) with a reader's in "
        f"the slices that are measured: {', '.join(doubtful)}"
    )
    return (warning("outline_uncertain", text),)


def _calibrated(number: int, overlap: float) -> float:
    if _CHANNELS[number] != (Tissue.DISC,):
        return overlap
    return min(max(_DISC_OFFSET + _DISC_SLOPE * overlap, 0.0), 1.0)


def _limit(number: int) -> float:
    limits = {(Tissue.DISC,): UNCERTAIN_DISC, (Tissue.BODY, Tissue.S1): UNCERTAIN_BODY}
    return limits.get(_CHANNELS[number], 0.0)


def _widened(side: slice) -> slice:
    return slice(max(0, side.start - _RIM_PX), side.stop + _RIM_PX)
