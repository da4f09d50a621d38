"""How far a disc reaches behind the line on the rear corners of its bodies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.field import Field
from analysis.lumbar.measure.discs_and_bodies import middle_half
from analysis.lumbar.measure.end_plates import STEP_MM
from analysis.lumbar.measure.interbody import body_cut_off, without_corner_of_s1
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.number_or_reason import Missing, Value

_REACH_MM = 14.0
"""Before and behind the line; a larger sequester is no bulge."""
_SMOOTH_LINES = 4
"""Over 1.6 mm, two pixels: what bulges less high is a pixel."""


def bulge_of(
    disc: Field, upper_mm: NDArray[np.float64], lower_mm: NDArray[np.float64]
) -> float | None:
    """Measure by how much a disc passes a line at the most.

    Parameters
    ----------
    disc
        Its field in one slice.
    upper_mm, lower_mm : ndarray, shape (2,)
        (row, column) of the rear corners of the body above and of that below.

    Returns
    -------
    float or None
        In mm, negative where it stays before the line; None where the disc does not
        come near it.
    """
    length_mm = float(np.linalg.norm(lower_mm - upper_mm))
    count = int(length_mm / STEP_MM) + 1
    if count < _SMOOTH_LINES:
        return None
    down = (lower_mm - upper_mm) / length_mm
    back = np.array([-down[1], down[0]])
    lines = round(2 * _REACH_MM / STEP_MM)
    lead = disc.sample(
        upper_mm - _REACH_MM * back,
        np.stack([down, back], axis=1) * STEP_MM,
        (range(count), range(lines)),
    )
    inside = lead > 0
    met = np.flatnonzero(inside.any(axis=1))
    if len(met) < _SMOOTH_LINES:
        return None
    last = np.where(inside[met], np.arange(lines), -1).max(axis=1)
    last = np.minimum(last, lines - 2)
    here, there = lead[met, last], lead[met, last + 1]
    reached = (last + here / (here - there)) * STEP_MM - _REACH_MM
    window = np.ones(_SMOOTH_LINES) / _SMOOTH_LINES
    return float(np.convolve(reached, window, "valid").max())


def reach_behind(level: DiscLevel) -> Value:
    """Return by how much a disc passes that line near its middle, at any level.

    At L5/S1 too: there it is no number to be told, yet goes with what readers see.
    """
    return level.once(_reach_behind)


def _reach_behind(level: DiscLevel) -> Value:
    cut = body_cut_off(level)
    if cut is not None:
        return cut
    found = []
    for index in level.anatomy.middle_slices(level.disc):
        disc = level.anatomy.field(level.disc, index)
        above = level.shapes.of(level.above.structure, index)
        below = level.shapes.of(level.below.structure, index)
        if disc is None or above is None or below is None:
            continue
        bulge = bulge_of(disc, above.lower.rear_mm, below.upper.rear_mm)
        if bulge is not None:
            found.append(bulge)
    if found:
        return middle_half(found)
    if isinstance(level.slab.height_mm, Missing):
        return level.slab.height_mm
    text = "the rear corners of the bodies are not seen, or lie on each other"
    return Missing(absence=Absence.GEOMETRY_UNFIT, code="end_plates", text=text)


def rear_bulge_mm(level: DiscLevel) -> Value:
    """Return by how much a disc bulges behind its bodies, near its middle.

    Not at L5/S1: from drawn and found outlines of eight patients it came out without
    any likeness (r 0.04), for it hangs on the rear corner of S1.
    """
    return without_corner_of_s1(level, "a bulge") or reach_behind(level)
