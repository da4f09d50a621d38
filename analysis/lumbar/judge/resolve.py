"""From doubts to what follows: a notice, values that are withheld, or a refusal.

The only place where a doubt has an effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from analysis.contract.errors import UnsuitableInput
from analysis.contract.result import Notice
from analysis.lumbar.anatomy.structures import STRUCTURES, level_of
from analysis.lumbar.doubt import SERIES, Doubt, Effect, Need, Refused
from analysis.lumbar.measure.height_loss import LOST_HEIGHT
from analysis.lumbar.measure.measurements import Measured, SpineMeasurements
from analysis.lumbar.measure.quantities import (
    OF_BODIES,
    OF_LEVELS,
    OF_SPINE,
    OF_UPPER_LEVELS,
)
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.number_or_reason import Missing

M = TypeVar("M", bound=Measured[Any])

_FIRST = ("level_uncertain", "levels_missing", "vertebral_height_loss")
"""Codes of what a reader has to look at before all else: whether the names are right,
what is not there at all, and a body that may be broken."""


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a `Refused` from within into the outcome that the node knows.

    Raises
    ------
    UnsuitableInput
        With the code and the text of the doubt.
    """
    try:
        yield
    except Refused as refused:
        raise _unsuitable(refused.doubt) from None


def withheld(measured: SpineMeasurements, doubts: Sequence[Doubt]) -> SpineMeasurements:
    """Put reasons in the place of the values that are not to be told.

    Raises
    ------
    UnsuitableInput
        If a doubt refuses the series, or no disc was found.
    """
    for doubt in doubts:
        if doubt.effect is Effect.REFUSE:
            raise _unsuitable(doubt)
    if all(row.outline is None for row in measured.discs):
        text = "None of the discs L1/L2 to L5/S1 was found"
        raise UnsuitableInput(code="no_lumbar_spine", text=text)
    against = [doubt for doubt in doubts if doubt.effect is Effect.WITHHOLD]
    if not against:
        return measured
    return SpineMeasurements(
        discs=tuple(_without(row, OF_LEVELS, against) for row in measured.discs),
        bodies=tuple(_without(one, OF_BODIES, against) for one in measured.bodies),
        spine=_without(measured.spine, OF_SPINE, against),
        upper=tuple(_without(row, OF_UPPER_LEVELS, against) for row in measured.upper),
    )


def signal_unfit(doubts: Iterable[Doubt]) -> Missing | None:
    """Return why no signal of the series can be used; None where it can."""
    for doubt in doubts:
        if doubt.effect is Effect.WITHHOLD and doubt.scope.need is Need.SIGNAL:
            return _reason(doubt)
    return None


def notices(doubts: Iterable[Doubt], measured: SpineMeasurements) -> tuple[Notice, ...]:
    """Return what the reader is told, each thing once.

    Doubt of the names, levels without a value and lost height come first, then all else
    in the order of the doubts.

    Parameters
    ----------
    measured
        What is left of the values: a level without any is named.
    """
    told: dict[str, list[Doubt]] = {}
    for doubt in doubts:
        told.setdefault(doubt.code, []).append(doubt)
    known = {number for many in told.values() for one in many for number in _sites(one)}
    absent = [
        row.level
        for row in measured.discs
        if row.number("disc_height_mm") is None and row.disc.number not in known
    ]
    found = [Notice(code=code, text=_text(many)) for code, many in told.items()]
    if absent:
        text = f"Not measured: {', '.join(absent)}"
        found.append(Notice(code="levels_missing", text=text))
    ranks = {code: rank for rank, code in enumerate(_FIRST)}
    return tuple(sorted(found, key=lambda one: ranks.get(one.code, len(_FIRST))))


def _unsuitable(doubt: Doubt) -> UnsuitableInput:
    return UnsuitableInput(code=doubt.code, text=doubt.text)


def _reason(doubt: Doubt) -> Missing:
    return Missing(absence=doubt.absence, code=doubt.code, text=doubt.text)


def _without(
    measured: M, quantities: Sequence[Quantity[Any]], doubts: Sequence[Doubt]
) -> M:
    """Withhold what doubts concern; the first reason for an absence stays.

    But for a loss of height, which was read from values: a doubt about these is why.
    """
    values = dict(measured.values)
    for quantity in quantities:
        value = values[quantity.key]
        if isinstance(value, Missing) and value.code != LOST_HEIGHT:
            continue
        for doubt in doubts:
            if measured.site.rests_on(doubt.scope, quantity.needs):
                values[quantity.key] = _reason(doubt)
                break
    return replace(measured, values=values, uncertainty=_known(measured, values))


def _known(measured: Measured[Any], values: Mapping[str, object]) -> dict[str, float]:
    return {
        key: value
        for key, value in measured.uncertainty.items()
        if not isinstance(values[key], Missing)
    }


def _sites(doubt: Doubt) -> frozenset[int]:
    """Return the structures whose values go with a doubt."""
    if doubt.effect is not Effect.WITHHOLD or doubt.scope == SERIES:
        return frozenset()
    return doubt.scope.structures or frozenset()


def _text(doubts: Sequence[Doubt]) -> str:
    """Return one text for all doubts of a code, with the structures they withhold."""
    named: dict[str, list[str]] = {}
    for doubt in doubts:
        labels = named.setdefault(doubt.text, [])
        labels += [
            label
            for one in reversed(STRUCTURES)
            if one.number in _sites(doubt) and (label := level_of(one)) not in labels
        ]
    parts = [
        f"{', '.join(labels)} not measured: {text}" if labels else text
        for text, labels in named.items()
    ]
    return "; ".join(parts).replace(".; ", ". ")
