"""How well a value is known: its standard uncertainty, by its quantity's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from analysis.lumbar.measure.measurements import Measured, SpineMeasurements
from analysis.lumbar.measure.quantities import OF_BODIES, OF_LEVELS, OF_SPINE
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.measure.sites import DiscLevel, Site, Vertebra

S = TypeVar("S", bound=Site)


def with_uncertainty(measured: SpineMeasurements) -> SpineMeasurements:
    """Add to every value that is known how well it is."""
    return SpineMeasurements(
        discs=tuple(
            replace(one, uncertainty=uncertainties(OF_LEVELS, one))
            for one in measured.discs
        ),
        bodies=tuple(
            replace(one, uncertainty=uncertainties(OF_BODIES, one))
            for one in measured.bodies
        ),
        spine=replace(
            measured.spine, uncertainty=uncertainties(OF_SPINE, measured.spine)
        ),
    )


def uncertainties(
    quantities: Sequence[Quantity[S]], measured: Measured[S]
) -> dict[str, float]:
    """Return the standard uncertainty of each value that is known, by its key."""
    found = {}
    for quantity in quantities:
        value, terms = measured.number(quantity.key), quantity.terms
        if terms is None or value is None:
            continue
        blur, spread = sensitivity(quantity, measured.site, value)
        parts = (
            terms.floor,
            terms.share * value,
            terms.blur * blur,
            terms.spread * spread,
        )
        found[quantity.key] = float(np.linalg.norm(parts))
    return found


def sensitivity(quantity: Quantity[S], site: S, value: float) -> tuple[float, float]:
    """Return by how much a value moves with the outline, and between slices.

    Returns
    -------
    tuple of float
        Blur and spread in the quantity's own unit; 0 where they do not apply.
    """
    if quantity.in_slices is None or not isinstance(site, DiscLevel | Vertebra):
        return 0.0, 0.0
    blur = site.slab.blur_share * abs(value)
    values = quantity.in_slices(site)
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return blur, spread
