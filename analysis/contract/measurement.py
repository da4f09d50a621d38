"""Measurements, grades and their absence, each with its place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from analysis.contract.concepts import Concept


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
    """

    concept: Concept
    reason: Absence
    text: str


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

    Raises
    ------
    ValueError
        If the value is not finite: absence is `Unmeasured`, never NaN.
    """

    concept: Concept
    value: float
    unit: Concept
    modifiers: tuple[tuple[Concept, Concept], ...] = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            message = f"{self.concept.meaning}: not finite: {self.value}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A member of a published scale."""

    concept: Concept
    value: Concept


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
