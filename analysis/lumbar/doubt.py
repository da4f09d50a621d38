"""A doubt: what it concerns, what follows from it, and how it is told.

Whoever finds one says so and goes on; `judge.resolve` alone turns doubts into notices,
values that are withheld, or a refusal. Where nothing is left to go on with, `Refused`
carries the doubt there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from analysis.contract.measurement import Absence


class Need(Enum):
    """What a value rests on, so that it goes where that is in doubt."""

    DISC = auto()
    """The outline of the disc of its level."""
    BODIES = auto()
    """The outlines of the bodies beside it, by which its direction is known."""
    BODY_HEIGHTS = auto()
    """The heights of the bodies beside it, or of its own body; of a curve, those of the
    bodies at its ends."""
    SACRUM = auto()
    """The upper end plate of S1 alone."""
    CANAL = auto()
    """The outline of the canal."""
    SIGNAL = auto()
    """Grey values: they need a weighting that they are known for."""


class Effect(Enum):
    """What follows from a doubt; each has the one before it in it."""

    WARN = auto()
    """The reader is told."""
    WITHHOLD = auto()
    """The values that it concerns are not told, with the doubt as the reason."""
    REFUSE = auto()
    """Nothing is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which values a doubt concerns; all where nothing is said.

    Parameters
    ----------
    structures
        Numbers of structures: only values that rest on one of them.
    need
        Only values that need this; with `structures`, that need it of them.
    """

    structures: frozenset[int] | None = None
    need: Need | None = None


SERIES = Scope()
"""The series as a whole."""
SIGNAL = Scope(need=Need.SIGNAL)
"""All grey values of it."""


def of_disc(number: int) -> Scope:
    """Return the scope of all that needs the outline of a disc."""
    return Scope(structures=frozenset({number}), need=Need.DISC)


def of_body_height(number: int) -> Scope:
    """Return the scope of all that needs the height of a vertebral body."""
    return Scope(structures=frozenset({number}), need=Need.BODY_HEIGHTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """One thing that speaks against the series, or against some values.

    Parameters
    ----------
    scope
        What it concerns.
    effect
        What follows from it.
    code
        Stable word in `snake_case`.
    text
        One sentence for people, with the number and the limit where there is one.
    absence
        The class of the reason, where values are withheld.
    """

    scope: Scope
    effect: Effect
    code: str
    text: str
    absence: Absence = Absence.GEOMETRY_UNFIT


def warning(code: str, text: str) -> Doubt:
    """Return a doubt about the series that the reader is told, and nothing else."""
    return Doubt(scope=SERIES, effect=Effect.WARN, code=code, text=text)


GEOMETRY_ONLY = "Geometry is measured, signal is not"


def unfit_signal(code: str, text: str) -> Doubt:
    """Return a doubt that withholds all that rests on grey values."""
    return Doubt(
        scope=SIGNAL,
        effect=Effect.WITHHOLD,
        code=code,
        text=text,
        absence=Absence.SIGNAL_UNFIT,
    )


_MOST_DECIMALS = 4


def apart(value: float, limit: float, decimals: int, *, times: float = 1.0) -> str:
    """Write a value with decimals enough to be told from its limit: 0.797, not 0.80.

    Parameters
    ----------
    decimals
        With which it is written otherwise.
    times
        Both are written as so many of it: 100 for per cent.
    """
    value, limit = value * times, limit * times
    while (
        decimals < _MOST_DECIMALS
        and value != limit
        and round(value, decimals) == round(limit, decimals)
    ):
        decimals += 1
    return f"{value:.{decimals}f}"


class Refused(Exception):  # noqa: N818 - see `analysis.contract.errors`
    """The picture leaves nothing to go on with.

    Parameters
    ----------
    code, text
        As of a `Doubt`.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text
        self.doubt = Doubt(scope=SERIES, effect=Effect.REFUSE, code=code, text=text)
