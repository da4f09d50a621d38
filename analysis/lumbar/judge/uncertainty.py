"""How well a value is known: its typical error, by its quantity's terms.

It is what values differ by from the outlines of SPIDER's reader, and no standard
uncertainty of the anatomy: outlines of other readers lie further away, and not by
chance (docs/accuracy-measurements.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from analysis.lumbar.doubt import Doubt, Effect, Scope, of_disc
from analysis.lumbar.fitted_limits import HEIGHT_SHARE
from analysis.lumbar.measure.measured_sites import DiscLevel, Site, Vertebra
from analysis.lumbar.measure.measurements import Measured, SpineMeasurements
from analysis.lumbar.measure.quantities import (
    OF_BODIES,
    OF_LEVELS,
    OF_SPINE,
    OF_UPPER_LEVELS,
)
from analysis.lumbar.measure.quantity import Quantity

S = TypeVar("S", bound=Site)
M = TypeVar("M", bound=Measured[Any])

MAX_UNCERTAIN_SHARE = HEIGHT_SHARE.limit
"""Typical error of a height, of the height itself: beyond it the height may as
well be half or half as much again."""


def with_uncertainty(
    measured: SpineMeasurements, edited: frozenset[int] = frozenset()
) -> SpineMeasurements:
    """Add to every value that is known how well it is.

    Parameters
    ----------
    edited
        Numbers of the structures that a reader outlined: the uncertainty was learnt
        from the network's errors, and says nothing of what rests on these.
    """
    return SpineMeasurements(
        discs=tuple(_known(OF_LEVELS, one, edited) for one in measured.discs),
        bodies=tuple(_known(OF_BODIES, one, edited) for one in measured.bodies),
        spine=_known(OF_SPINE, measured.spine, edited),
        upper=tuple(_known(OF_UPPER_LEVELS, one, edited) for one in measured.upper),
    )


def _known(
    quantities: Sequence[Quantity[Any]], measured: M, edited: frozenset[int]
) -> M:
    known = uncertainties(quantities, measured)
    drawn = Scope(structures=edited)
    kept = {
        one.key: known[one.key]
        for one in quantities
        if one.key in known and not measured.site.rests_on(drawn, one.needs)
    }
    return replace(measured, uncertainty=kept)


def uncertainties(
    quantities: Sequence[Quantity[S]], measured: Measured[S]
) -> dict[str, float]:
    """Return the typical error of each value that is known, by its key."""
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


def height_doubts(measured: SpineMeasurements) -> tuple[Doubt, ...]:
    """Doubt the discs whose height is known too badly to be told."""
    found = []
    for row in (*measured.upper, *measured.discs):
        height, u = row.number("disc_height_mm"), row.uncertainty.get("disc_height_mm")
        if height is None or u is None or u <= MAX_UNCERTAIN_SHARE * height:
            continue
        text = (
            f"its outline is unsure: a height of {height:.1f} mm with a typical error "
            f"of {u:.1f} mm, which may be {MAX_UNCERTAIN_SHARE:.0%} of it at most"
        )
        doubt = Doubt(
            scope=of_disc(row.disc.number),
            effect=Effect.WITHHOLD,
            code="too_uncertain",
            text=text,
        )
        found.append(doubt)
    return tuple(found)


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
