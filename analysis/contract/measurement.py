"""Measurements, grades and their absence, each with its place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from analysis.contract.concepts import (
    DECREASED,
    INCREASED,
    NO_DETECTABLE_CHANGE,
    Concept,
)

_PER_CENT = 100


class Absence(Enum):
    """Why a quantity has no value."""

    NOT_ATTEMPTED = "not-attempted"
    OUTSIDE_FIELD_OF_VIEW = "outside-field-of-view"
    STRUCTURE_MISSING = "structure-missing"
    SIGNAL_UNFIT = "signal-unfit"
    GEOMETRY_UNFIT = "geometry-unfit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeasured:
    """A quantity that was asked for and could not be had.

    Parameters
    ----------
    concept
        The quantity.
    reason
        Its class, for machines.
    text
        One sentence for people, with the number and the limit where there is one.
    code
        Stable word in `snake_case`; empty where an analysis has none.
    """

    concept: Concept
    reason: Absence
    text: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormPlace:
    """Where a value stands among people of the same level, sex and age.

    Parameters
    ----------
    z_score
        Distance from the median of the norm, in its standard deviations.
    percentile
        0 to 100.
    count
        People whose values made this part of the norm.
    population
        Who they are, such as `women, 40-49 years`, and the source.

    Raises
    ------
    ValueError
        If a number is not finite or the percentile is outside 0 to 100.
    """

    z_score: float
    percentile: float
    count: int
    population: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.z_score) and 0 <= self.percentile <= _PER_CENT):
            message = f"norm: z {self.z_score}, percentile {self.percentile}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A quantity with its value and unit.

    Parameters
    ----------
    concept
        The quantity.
    value
        The number, finite.
    unit
        Its unit, UCUM.
    modifiers
        Pairs of (name, value) that narrow the concept, such as a derivation.
    uncertainty
        Standard uncertainty in the same unit, above 0; None where it is not known.
    norm
        Its place among the norms; None where none applies.
    is_main
        Whether a viewer with room for few numbers should show it; if none of a finding
        is, that is the first.

    Raises
    ------
    ValueError
        If a number is not finite: absence is `Unmeasured`, never NaN.
    """

    concept: Concept
    value: float
    unit: Concept
    modifiers: tuple[tuple[Concept, Concept], ...] = ()
    uncertainty: float | None = None
    norm: NormPlace | None = None
    is_main: bool = False

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            message = f"{self.concept.meaning}: not finite: {self.value}"
            raise ValueError(message)
        if self.uncertainty is not None and not 0 < self.uncertainty < math.inf:
            message = f"{self.concept.meaning}: uncertainty {self.uncertainty}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A quantity in two examinations of one patient, against what can be detected.

    Parameters
    ----------
    concept
        That the quantity has changed, such as "Change of disc height".
    earlier, now
        Its values in `unit`.
    detectable
        Minimal detectable change: a smaller one may be chance. Above 0.

    Raises
    ------
    ValueError
        If a number is not finite or nothing would be chance.
    """

    concept: Concept
    unit: Concept
    earlier: float
    now: float
    detectable: float

    def __post_init__(self) -> None:
        numbers = (self.earlier, self.now, self.detectable)
        if not all(map(math.isfinite, numbers)) or self.detectable <= 0:
            message = f"{self.concept.meaning}: {numbers}"
            raise ValueError(message)

    @property
    def difference(self) -> float:
        """By how much the value has grown."""
        return self.now - self.earlier

    @property
    def is_detectable(self) -> bool:
        """Whether the change is more than chance."""
        return abs(self.difference) >= self.detectable

    @property
    def verdict(self) -> Concept:
        """One of the three words for a change."""
        if not self.is_detectable:
            return NO_DETECTABLE_CHANGE
        return INCREASED if self.difference > 0 else DECREASED


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A member of a published scale.

    Parameters
    ----------
    concept
        The scale, such as Pfirrmann grade.
    value
        The member.
    probabilities
        Calibrated probability of each member, summing to 1; empty where not known.
    """

    concept: Concept
    value: Concept
    probabilities: tuple[tuple[Concept, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """A closed polygon or an open line in one slice of the analysed volume.

    Parameters
    ----------
    slice_index
        The slice, K of the volume.
    points : ndarray, shape (N, 2), float64
        (row, column), fractional indices; voxel centres are whole numbers.
        A closed outline repeats its first point.
    """

    slice_index: int
    points: NDArray[np.float64]
