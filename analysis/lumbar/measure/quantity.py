"""What a quantity is: all that the analysis knows of one number, in one entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from analysis.contract.concepts import Concept
from analysis.lumbar.doubt import Need
from analysis.lumbar.number_or_reason import Value

Modifiers = tuple[tuple[Concept, Concept], ...]
"""Pairs of (name, value) that narrow a concept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Parts of a typical error, added in squares.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectableChange:
    """From when on two examinations of one patient differ.

    Parameters
    ----------
    share
        Minimal detectable change as a share of the value, from people who were examined
        twice: see `measure.repeat_examinations`.
    floor
        The same in the quantity's own unit, from altered copies of one picture: what
        they cannot tell apart, two examinations cannot.
    told_as
        The concept under which a change is told everywhere; None where it stands in
        `report.json` alone.
    """

    share: float
    floor: float
    told_as: Concept | None = None

    def limit(self, earlier: float, now: float) -> float:
        """Return the least change of two values that could be shown."""
        return max(self.floor, self.share * (abs(earlier) + abs(now)) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a quantity is written for people.

    Parameters
    ----------
    head, unit
        Of its column on a page.
    decimals
        As many as are known.
    is_first
        Whether it stands beside the picture, where a reader looks first; else it
        stands on the second page.
    """

    head: str
    unit: str
    decimals: int
    is_first: bool = False


S_contra = TypeVar("S_contra", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity(Generic[S_contra]):
    """One quantity of a site of kind `S_contra`: a disc level, a body, the spine.

    Parameters
    ----------
    key
        In `report.json`; after a dot in an object of its own (`reference.dhi`).
    concept, modifiers
        In the structured report; no concept where it stands in `report.json` alone.
    unit
        UCUM.
    read
        Measures it.
    definition
        One line of `docs/measurements.md`.
    needs
        What it rests on.
    plausible
        Least and greatest value in its unit; others are refused. For the documents:
        who measures applies them.
    in_slices
        Its values in the slices that it is the middle of, for the spread of `terms`.
    terms
        Of its typical error; None where none is known.
    change
        What difference of two examinations counts; None where it is not compared.
    shown
        How a page writes it; None where none does.
    is_main
        Whether the sentences say it, and a viewer with room for few numbers shows it.
    """

    key: str
    concept: Concept | None
    unit: Concept
    read: Callable[[S_contra], Value]
    definition: str
    needs: frozenset[Need]
    modifiers: Modifiers = ()
    plausible: tuple[float, float] | None = None
    in_slices: Callable[[S_contra], Sequence[float]] | None = None
    terms: Terms | None = None
    change: DetectableChange | None = None
    shown: Shown | None = None
    is_main: bool = False
