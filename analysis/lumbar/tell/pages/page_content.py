"""What the pages show, and how they write a value."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contract.result import Notice, Provenance
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.judge.grades_and_norms import Assessment
from analysis.lumbar.measure.measurements import SpineMeasurements
from analysis.lumbar.measure.quantity import Shown
from analysis.lumbar.number_or_reason import Missing, Value
from analysis.lumbar.tell.words import Words


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """All that the pages show, and how large and in which words.

    Parameters
    ----------
    scale
        Pixels of a page for each of one of the usual size.
    """

    volume: Volume
    anatomy: Anatomy
    rows: SpineMeasurements
    assessment: Assessment
    warnings: tuple[Notice, ...]
    provenance: Provenance
    words: Words
    scale: int = 1


def written(value: Value, shown: Shown, words: Words) -> str:
    """Return a value with the decimals that are known of it."""
    if isinstance(value, Missing):
        return words.page("not_had")
    # What is rounded to 0 has no sign.
    return f"{round(value, shown.decimals) + 0.0:.{shown.decimals}f}"
