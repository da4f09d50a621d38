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
from analysis.lumbar.doubt import apart
from analysis.lumbar.number_or_reason import Missing, Value

SCALE = 255.0
"""The signal of CSF on the scale of the reference, an eight-bit picture."""
CSF_PERCENTILE = 80.0
"""Of the canal's inner part: above nerve roots and the conus, below the noise."""
EROSION_MM = 1.5
"""Taken off the canal's edge, where fat and dura mix in."""
MIN_CSF_VOXELS = 200
MIN_NUCLEUS_VOXELS = 20
"""The mean of 20 voxels is known to a quarter of their spread."""
MIN_DISC_VOXELS = 80
"""With fewer the place of a histogram peak varies by more than 8 grey levels."""
SATURATED_SHARE = 0.05
"""More CSF than this at the very top of the grey scale: the scale has been clipped."""
_TOP_SHARE = 0.995
SMOOTH_GREY = 6.0
_SHARPNESS = 8
"""Smoothing of the histogram, in 255ths of CSF, and the power that a peak is weighted
with. On 6 patients of train, each read in 8 ways (tests/accuracy/repeatability.py), the
within-subject standard deviation is 1.0; with the largest value of a histogram smoothed
by 4 it is 1.9, of a raw one 5.5. The mean moves by 0.4."""
_NEGLIGIBLE = 1e-3
_BRIGHT_PERCENTILE = 95.0
_BRIGHT_SHARE = 0.5
"""What is darker than half of the brightest twentieth of the canal is not fluid."""
_PEAK_SHARE = 0.95
"""The second peak is the value that is both far from 0.95 of the first and frequent;
the factor is the reference's, and lets a symmetric peak fall to its brighter side."""
_HIGHEST_GREY = 2 * int(SCALE)
"""Brighter than twice CSF: fat or an artefact; counted at this value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsfReference:
    """What CSF measures in this series, in the series' own units."""

    signal: Value


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
        shown = apart(saturated, SATURATED_SHARE, 0, times=100.0)
        text = (
            f"{shown}% of CSF is at the top of the grey scale, limit "
            f"{SATURATED_SHARE:.0%}: the scale is clipped"
        )
        return CsfReference(signal=_unfit("csf_saturated", text))
    signal = float(np.percentile(values, CSF_PERCENTILE))
    if signal <= 0:
        return CsfReference(signal=_unfit("csf_dark", f"CSF has signal {signal:.0f}"))
    return CsfReference(signal=signal)


def signal_difference(values: NDArray[np.float32], csf: CsfReference) -> Value:
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
    counts = _histogram(values, csf.signal, SMOOTH_GREY)
    first = (counts / counts.max()) ** _SHARPNESS
    places = np.flatnonzero(first > _NEGLIGIBLE)
    distances = [_soft_distance(counts, int(place)) for place in places]
    return float(np.average(distances, weights=first[places]))


def _soft_distance(counts: NDArray[np.float64], first: int) -> float:
    """Return the distance of the second peak from a first one.

    The mean of all distances, weighted so that nearly only the largest value counts:
    the largest alone jumps to the other side of the histogram by chance.
    """
    levels = np.arange(len(counts))
    far = np.abs(levels - _PEAK_SHARE * first) * counts
    weights = (far / far.max()) ** _SHARPNESS
    return float((np.abs(levels - first) * weights).sum() / weights.sum())


def mean_ratio(values: NDArray[np.float32], csf: CsfReference) -> Value:
    """Return the mean signal of some voxels over that of CSF."""
    if isinstance(csf.signal, Missing):
        return csf.signal
    if len(values) < MIN_NUCLEUS_VOXELS:
        text = f"{len(values)} voxels, at least {MIN_NUCLEUS_VOXELS} are needed"
        return _unfit("too_few_voxels", text)
    return float(values.mean()) / csf.signal


def reference_difference(
    disc: NDArray[np.float32], canal: NDArray[np.float32]
) -> Value:
    """Return delta-SI of one disc in one slice by the reference's own definition.

    The peaks are those of the raw histogram where the series has 8 bits, as the
    pictures of the reference have. A series of more bits has no such histogram until
    someone chooses a window; it is smoothed there, which moves no peak on average.

    CSF is its most frequent value, even at the top of the scale: of the bright part of
    the canal, for the reference outlined CSF alone and not roots and fat.

    Parameters
    ----------
    disc, canal : ndarray, shape (N,)
        Grey values in one slice, the canal without its edge.
    """
    if len(disc) < MIN_DISC_VOXELS or len(canal) < MIN_DISC_VOXELS:
        text = f"{len(disc)} voxels of disc and {len(canal)} of canal"
        return _unfit("too_few_voxels", f"{text}, at least {MIN_DISC_VOXELS} each")
    bright = float(np.percentile(canal, _BRIGHT_PERCENTILE))
    if bright <= 0:
        return _unfit("csf_dark", f"CSF has signal {bright:.0f}")
    both = np.concatenate([disc, canal])
    eight_bits = both.min() >= 0 and both.max() <= SCALE and (both % 1 == 0).all()
    # Eight bits keep their own bins; others get bins of which CSF has about 255.
    scale, smooth = (SCALE, 0.0) if eight_bits else (bright, SMOOTH_GREY)
    fluid = canal[canal >= _BRIGHT_SHARE * bright]
    csf = float(_histogram(fluid, scale, smooth).argmax())
    counts = _histogram(disc, scale, smooth)
    levels = np.arange(len(counts))
    first = int(counts.argmax())
    second = int((np.abs(levels - _PEAK_SHARE * first) * counts).argmax())
    return abs(first - second) * SCALE / csf


def _histogram(
    values: NDArray[np.float32], csf: float, smooth: float
) -> NDArray[np.float64]:
    """Return the counts of grey values on the scale on which CSF is 255."""
    from scipy import ndimage

    grey = np.clip(values.astype(np.float64) * (SCALE / csf), 0, _HIGHEST_GREY)
    edges = np.arange(_HIGHEST_GREY + 2) - 0.5
    counts = np.histogram(grey, edges)[0].astype(np.float64)
    if smooth == 0:
        return counts
    return np.asarray(ndimage.gaussian_filter1d(counts, smooth, mode="constant"))


def _unfit(code: str, text: str) -> Missing:
    return Missing(absence=Absence.SIGNAL_UNFIT, code=code, text=text)
