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
from analysis.lumbar.tell.pages.typography import NOT_HAD


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """All that the pages show."""

    volume: Volume
    anatomy: Anatomy
    rows: SpineMeasurements
    assessment: Assessment
    warnings: tuple[Notice, ...]
    provenance: Provenance


def written(value: Value, shown: Shown) -> str:
    """Return a value with the decimals that are known of it."""
    if isinstance(value, Missing):
        return NOT_HAD
    # What is rounded to 0 has no sign.
    return f"{round(value, shown.decimals) + 0.0:.{shown.decimals}f}"
