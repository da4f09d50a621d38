"""How well a value is known, and what change of it is more than chance.

The terms are fitted by `python -m tests.accuracy.uncertainty train` on hand-drawn
outlines, the changes by `python -m tests.accuracy.repeatability train 3`; both are
tested on patients that neither has seen (docs/accuracy-measurements.md). The terms were
fitted with disc 0.1.0, which had not learnt from four of the patients: where a network
has learnt the outlines, its errors are too small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from analysis.lumbar.measure.discs_and_bodies import SlabMeasurement
from analysis.lumbar.measure.slab import Slab
from analysis.lumbar.value import Missing, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Parts of a standard uncertainty, added in squares.

    Parameters
    ----------
    floor
        In the quantity's own unit.
    share
        Of the value.
    blur
        Of the change of the value when the outline is drawn at another level of the
        network's probability.
    spread
        Of the standard deviation of the slices that were measured.
    """

    floor: float
    share: float = 0.0
    blur: float = 0.0
    spread: float = 0.0


TERMS: Mapping[str, Terms] = MappingProxyType(
    {
        "disc_height_mm": Terms(floor=0.35, share=0.0394, blur=0.61, spread=0.667),
        "anterior_height_mm": Terms(floor=0.524, share=0.0704, spread=0.206),
        "middle_height_mm": Terms(floor=0.659, share=0.0188, spread=0.421),
        "posterior_height_mm": Terms(floor=0.616, spread=0.298),
        "disc_length_mm": Terms(floor=0.296, share=0.0192, blur=0.133, spread=0.142),
        "disc_area_mm2": Terms(floor=0, share=0.0784, blur=0.731, spread=0.483),
        "wedge_angle_deg": Terms(floor=1.62, share=0.0995, blur=0.691, spread=0.777),
        "disc_height_index": Terms(floor=0, share=0.0388, blur=1.37, spread=0.478),
        "height_diameter_ratio": Terms(floor=0.0124, blur=0.325, spread=0.351),
        "delta_si": Terms(floor=0.478, share=0.00932),
        "signal_ratio_csf": Terms(floor=0.00101, share=0.0273),
        "nucleus_ratio_csf": Terms(floor=0.00246, share=0.003),
    }
)

CHANGES: Mapping[str, float] = MappingProxyType(
    {
        "disc_height_mm": 0.255,
        "anterior_height_mm": 0.549,
        "middle_height_mm": 0.315,
        "posterior_height_mm": 0.319,
        "disc_length_mm": 1.136,
        "disc_area_mm2": 10.947,
        "wedge_angle_deg": 2.13,
        "disc_height_index": 0.014,
        "height_diameter_ratio": 0.008,
        "delta_si": 3.517,
        "signal_ratio_csf": 0.009,
        "nucleus_ratio_csf": 0.008,
        "reference.dh_px512": 0.967,
        "reference.dhi": 0.037,
        "reference.hdr": 0.03,
        "reference.delta_si": 44.255,
    }
)
"""Minimal detectable change in the quantity's own unit: a smaller difference of two
examinations may be chance. A lower bound, for nobody was examined twice."""

_READ: Mapping[str, Callable[[Slab], float]] = MappingProxyType(
    {
        "disc_height_mm": lambda slab: slab.height_mm,
        "anterior_height_mm": lambda slab: slab.anterior_height_mm,
        "middle_height_mm": lambda slab: slab.middle_height_mm,
        "posterior_height_mm": lambda slab: slab.posterior_height_mm,
        "disc_length_mm": lambda slab: slab.length_mm,
        "disc_area_mm2": lambda slab: slab.area_mm2,
        "wedge_angle_deg": lambda slab: slab.wedge_deg or 0.0,
    }
)
_AS_HEIGHT = ("disc_height_index", "height_diameter_ratio")
"""Ratios that move as the height does."""


def sensitivity(slab: SlabMeasurement, key: str, value: float) -> tuple[float, float]:
    """Return by how much a value moves with the outline, and between slices.

    Parameters
    ----------
    slab
        The disc.
    key, value
        The quantity.

    Returns
    -------
    tuple of float
        Blur and spread in the quantity's own unit; 0 where they do not apply.
    """
    if not slab.slices or (key not in _READ and key not in _AS_HEIGHT):
        return 0.0, 0.0
    blurs = [one.blur_mm / one.height_mm for one in slab.slices if one.height_mm > 0]
    blur = float(np.median(blurs)) * abs(value) if blurs else 0.0
    read = _READ.get(key, _READ["disc_height_mm"])
    values = [read(one) for one in slab.slices]
    if len(values) == 1:
        return blur, 0.0
    spread = float(np.std(values, ddof=1))
    if key in _AS_HEIGHT:
        spread *= abs(value) / max(float(np.median(values)), 1.0)
    return blur, spread


def uncertainties(
    slab: SlabMeasurement, values: Mapping[str, Value]
) -> dict[str, float]:
    """Return the standard uncertainty of each value that is known, by its name."""
    found = {}
    for key, value in values.items():
        terms = TERMS.get(key)
        if terms is None or isinstance(value, Missing):
            continue
        blur, spread = sensitivity(slab, key, value)
        parts = (
            terms.floor,
            terms.share * value,
            terms.blur * blur,
            terms.spread * spread,
        )
        found[key] = float(np.linalg.norm(parts))
    return found
