"""How well a value is known, and what change of it is more than chance.

The terms are fitted by `python -m tests.accuracy.uncertainty train` on hand-drawn
outlines, the changes by `python -m tests.accuracy.repeatability train 3`; both are
tested on patients that neither has seen (docs/accuracy-measurements.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from analysis.lumbar.measure.geometry import SlabMeasurement
from analysis.lumbar.measure.quantity import Missing, Quantity
from analysis.lumbar.measure.slab import Slab


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
        "disc_height_mm": Terms(floor=0.253, share=0.0574, blur=0.858, spread=0.797),
        "anterior_height_mm": Terms(floor=0.526, share=0.0835),
        "middle_height_mm": Terms(floor=0.503, share=0.0294, blur=1.21, spread=0.406),
        "posterior_height_mm": Terms(floor=0.656, spread=0.346),
        "disc_length_mm": Terms(floor=0.241, share=0.0251, blur=0.201, spread=0.18),
        "disc_area_mm2": Terms(floor=0, share=0.0927, blur=0.69, spread=0.427),
        "wedge_angle_deg": Terms(floor=1.78, share=0.103, spread=0.445),
        "disc_height_index": Terms(floor=0, share=0.0506, blur=1.39, spread=0.476),
        "height_diameter_ratio": Terms(floor=0.0134, share=0.0157, spread=0.596),
        "delta_si": Terms(floor=0.534, share=0.00656),
        "signal_ratio_csf": Terms(floor=0.00169, share=0.0212),
        "nucleus_ratio_csf": Terms(floor=0.00279, share=0.00807),
    }
)

CHANGES: Mapping[str, float] = MappingProxyType(
    {
        "disc_height_mm": 0.273,
        "anterior_height_mm": 0.596,
        "middle_height_mm": 0.384,
        "posterior_height_mm": 0.455,
        "disc_length_mm": 1.225,
        "disc_area_mm2": 11.214,
        "wedge_angle_deg": 1.809,
        "disc_height_index": 0.014,
        "height_diameter_ratio": 0.01,
        "delta_si": 3.505,
        "signal_ratio_csf": 0.01,
        "nucleus_ratio_csf": 0.01,
        "reference.dh_px512": 0.914,
        "reference.dhi": 0.039,
        "reference.hdr": 0.031,
        "reference.delta_si": 44.268,
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
    slab: SlabMeasurement, values: Mapping[str, Quantity]
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
