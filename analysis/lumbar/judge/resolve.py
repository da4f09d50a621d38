"""Values that were measured and must not be told: the picture does not bear them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.levels import Levels
from analysis.lumbar.anatomy.structures import CANAL, VERTEBRAE
from analysis.lumbar.measure.measurements import (
    Measured,
    MeasuredBody,
    MeasuredDisc,
    SpineMeasurements,
)
from analysis.lumbar.measure.quantities import OF_BODIES, OF_LEVELS
from analysis.lumbar.measure.quantity import Need, Quantity
from analysis.lumbar.value import Missing

M = TypeVar("M", bound=Measured[Any])

MAX_UNCERTAIN_SHARE = 1 / 3
"""Standard uncertainty of a height, of the height itself: beyond it the height may as
well be half or half as much again. When it was chosen two of 125 discs of train had
more, 0.36 and 0.52: one was read 1.6 mm too low of 5.2 mm, and the other's drawn
outline could not be measured either; the next had 0.19. The networks have learnt from
both since (0.22 and 0.32)."""


def uncertain_heights(measured: SpineMeasurements) -> dict[int, Missing]:
    """Return why discs whose height is known too badly have no values, by number."""
    found = {}
    for row in measured.discs:
        height, u = row.number("disc_height_mm"), row.uncertainty.get("disc_height_mm")
        if height is None or u is None:
            continue
        if u > MAX_UNCERTAIN_SHARE * height:
            text = (
                f"its outline is unsure: a height of {height:.1f} mm with a standard "
                f"uncertainty of {u:.1f} mm, which may be {MAX_UNCERTAIN_SHARE:.0%} of "
                "it at most"
            )
            found[row.disc.number] = Missing(
                absence=Absence.GEOMETRY_UNFIT, code="too_uncertain", text=text
            )
    return found


def cut_bodies(levels: Levels) -> dict[int, Missing]:
    """Return why bodies that something cuts in two have no height, by their number."""
    return {
        body.number: Missing(
            absence=Absence.GEOMETRY_UNFIT,
            code="incomplete",
            text=f"what looks like a disc cuts {body.label} in two",
        )
        for body in VERTEBRAE
        if body.number in levels.cut
    }


def refuse(
    measured: SpineMeasurements, unfit: Mapping[int, Missing]
) -> SpineMeasurements:
    """Put reasons in the place of values.

    Parameters
    ----------
    measured
        What was measured.
    unfit
        By number of the structure, why it cannot be measured. All values that need a
        disc go with it, and with a body those that need its height.
    """
    if not unfit:
        return measured
    return replace(
        measured,
        discs=tuple(_disc(row, unfit) for row in measured.discs),
        bodies=tuple(_body(body, unfit) for body in measured.bodies),
    )


def _disc(row: MeasuredDisc, unfit: Mapping[int, Missing]) -> MeasuredDisc:
    own = unfit.get(row.disc.number)
    if own is not None:
        return _withheld(row, OF_LEVELS, Need.DISC, own)
    beside = (row.site.above, row.site.below)
    numbers = [body.structure.number for body in beside]
    reasons = [unfit[number] for number in numbers if number in unfit]
    if not reasons:
        return row
    return _withheld(row, OF_LEVELS, Need.BODY_HEIGHTS, reasons[0])


def _body(body: MeasuredBody, unfit: Mapping[int, Missing]) -> MeasuredBody:
    reason = unfit.get(body.vertebra.number)
    if reason is None:
        return body
    return _withheld(body, OF_BODIES, Need.BODY_HEIGHTS, reason)


def _withheld(
    measured: M, quantities: Sequence[Quantity[Any]], need: Need, reason: Missing
) -> M:
    """Put a reason in the place of what needs something; one that came first stays."""
    keys = {quantity.key for quantity in quantities if need in quantity.needs}
    values = {
        key: reason if key in keys and not isinstance(value, Missing) else value
        for key, value in measured.values.items()
    }
    return replace(
        measured, values=values, uncertainty=_without(measured.uncertainty, keys)
    )


def _without(known: Mapping[str, float], keys: Collection[str]) -> dict[str, float]:
    return {key: value for key, value in known.items() if key not in keys}


def without_uncertainty(
    measured: SpineMeasurements, edited: frozenset[int]
) -> SpineMeasurements:
    """Take the uncertainty from what rests on an edited outline.

    It was learnt from the network's errors and says nothing of a reader's.
    """
    discs = tuple(_sober(row, edited) for row in measured.discs)
    return replace(measured, discs=discs)


def _sober(row: MeasuredDisc, edited: frozenset[int]) -> MeasuredDisc:
    bodies = {body.structure.number for body in (row.site.above, row.site.below)}
    parts = (
        (Need.DISC, {row.disc.number}),
        (Need.BODIES, bodies),
        (Need.CANAL, {CANAL.number}),
    )
    gone = {need for need, numbers in parts if numbers & edited}
    keys = {quantity.key for quantity in OF_LEVELS if gone & quantity.needs}
    return replace(row, uncertainty=_without(row.uncertainty, keys))
