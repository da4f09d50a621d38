"""Signal difference between the parts of a disc, against cerebrospinal fluid.

A healthy disc has a bright nucleus in a dark annulus: two peaks in the histogram of
its grey values. They merge as it degenerates. Their distance is given in 255ths of
the signal of cerebrospinal fluid (CSF).

References
----------
Zheng HD et al. Nat Commun 2022;13:841, the quantity called delta-SI. Departures from
the reference, with reasons, are listed in docs/measurements.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Absence
from analysis.lumbar.measure.quantity import Missing, Quantity

SCALE = 255.0
"""The signal of CSF on the scale of the reference, an eight-bit picture."""
CSF_PERCENTILE = 80.0
"""Of the canal's inner part: above nerve roots and the conus, below the noise."""
EROSION_MM = 1.5
"""Taken off the canal's edge, where fat and dura mix in."""
MIN_CSF_VOXELS = 200
MIN_DISC_VOXELS = 80
"""With fewer the place of a histogram peak varies by more than 8 grey levels."""
SATURATED_SHARE = 0.05
"""More CSF than this at the very top of the grey scale: the scale has been clipped."""
_TOP_SHARE = 0.995
SMOOTH_GREY = 4.0
"""Smoothing of the histogram, in 255ths of CSF: brings the spread of the result by
chance from 8.7 to 2.8 grey levels without bias (synthetic disc of 1000 voxels)."""
_PEAK_SHARE = 0.95
"""The second peak is the value that is both far from 0.95 of the first and frequent;
the factor is the reference's, and lets a symmetric peak fall to its brighter side."""
_HIGHEST_GREY = 2 * int(SCALE)
"""Brighter than twice CSF: fat or an artefact; counted at this value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsfReference:
    """What CSF measures in this series, in the series' own units."""

    signal: Quantity


def csf_reference(
    values: NDArray[np.float32], highest: NDArray[np.float32]
) -> CsfReference:
    """Return the signal of CSF.

    Parameters
    ----------
    values : ndarray, shape (N,)
        Grey values of the canal without its edge, in the slices near the middle.
    highest : ndarray, shape (N,)
        The highest grey value of the slice of each.
    """
    if len(values) < MIN_CSF_VOXELS:
        text = f"{len(values)} voxels of CSF, at least {MIN_CSF_VOXELS} are needed"
        return CsfReference(signal=_unfit("csf_missing", text))
    saturated = float((values >= _TOP_SHARE * highest).mean())
    if saturated > SATURATED_SHARE:
        text = (
            f"{saturated:.0%} of CSF is at the top of the grey scale, limit "
            f"{SATURATED_SHARE:.0%}: the scale is clipped"
        )
        return CsfReference(signal=_unfit("csf_saturated", text))
    signal = float(np.percentile(values, CSF_PERCENTILE))
    if signal <= 0:
        return CsfReference(signal=_unfit("csf_dark", f"CSF has signal {signal:.0f}"))
    return CsfReference(signal=signal)


def signal_difference(values: NDArray[np.float32], csf: CsfReference) -> Quantity:
    """Return delta-SI of one disc, in 255ths of the CSF signal.

    Parameters
    ----------
    values : ndarray, shape (N,)
        Grey values of the disc in the slices near its middle.
    csf
        From the same series.
    """
    if isinstance(csf.signal, Missing):
        return csf.signal
    if len(values) < MIN_DISC_VOXELS:
        text = f"{len(values)} voxels of disc, at least {MIN_DISC_VOXELS} are needed"
        return _unfit("too_few_voxels", text)
    from scipy import ndimage

    grey = np.clip(values.astype(np.float64) * (SCALE / csf.signal), 0, _HIGHEST_GREY)
    edges = np.arange(_HIGHEST_GREY + 2) - 0.5
    counts = np.histogram(grey, edges)[0].astype(np.float64)
    smooth = ndimage.gaussian_filter1d(counts, SMOOTH_GREY, mode="constant")
    levels = np.arange(len(smooth))
    first = int(smooth.argmax())
    second = int((np.abs(levels - _PEAK_SHARE * first) * smooth).argmax())
    return float(abs(first - second))


def _unfit(code: str, text: str) -> Missing:
    return Missing(absence=Absence.SIGNAL_UNFIT, code=code, text=text)
