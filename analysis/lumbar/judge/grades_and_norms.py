"""What the measured values say of a person: grades, and places among norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.judge.displacement.displacement import (
    Displaced,
    displacement_of,
)
from analysis.lumbar.judge.grade.features import DiscFeatures, disc_features
from analysis.lumbar.judge.grade.grading import Graded, grades_by
from analysis.lumbar.judge.norms.curves import PARAMETERS
from analysis.lumbar.judge.norms.place import NormAge, Places, norm_places
from analysis.lumbar.measure.measurements import MeasuredDisc, SpineMeasurements
from analysis.lumbar.number_or_reason import Missing, Value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assessment:
    """Grades and norms of the discs that are reported.

    Parameters
    ----------
    person
        Whose norms apply, or why none do.
    grades
        By level, such as `L4/L5`.
    places
        By level, then by parameter: `dhi`, `hdr`, `delta_si`.
    displacements
        By level.
    """

    person: NormAge | Missing
    grades: Mapping[str, Graded]
    places: Mapping[str, Mapping[str, Places | Missing]]
    displacements: Mapping[str, Displaced]


def assess(
    anatomy: Anatomy,
    volume: Volume,
    rows: SpineMeasurements,
    person: NormAge | Missing,
    signal_unfit: Missing | None,
    *,
    threads: int = 1,
) -> Assessment:
    """Grade every disc whose height could be had, and place its values among norms.

    Parameters
    ----------
    anatomy, volume
        The named structures, and the series.
    rows
        What was measured.
    person
        Whose norms apply, or why none do.
    signal_unfit
        Why no signal of this series can be used; None where it can.
    threads
        That share the slices.
    """
    known = tuple(
        row.disc for row in rows.discs if row.number("disc_height_mm") is not None
    )
    features: dict[int, DiscFeatures | Missing] = {}
    if signal_unfit is None:
        features = disc_features(anatomy, volume, known, threads=threads)
    else:
        features = {disc.number: signal_unfit for disc in known}
    graded = grades_by(features)
    return Assessment(
        person=person,
        grades={row.level: _grade(row, graded) for row in rows.discs},
        places={
            row.level: norm_places(row.level, reference_of(row), person)
            for row in rows.discs
        },
        displacements={row.level: _displacement(row, features) for row in rows.discs},
    )


def reference_of(row: MeasuredDisc) -> dict[str, Value]:
    """Return the values by the reference's definitions that have norms, by parameter.

    Where our own delta-SI is refused, as with clipped CSF, that of the reference is a
    number without a meaning and has no place among norms.
    """
    values = {name: row.values[f"reference.{name}"] for name in PARAMETERS}
    own = row.values["delta_si"]
    return values | ({"delta_si": own} if isinstance(own, Missing) else {})


def _grade(row: MeasuredDisc, graded: Mapping[int, Graded]) -> Graded:
    height = row.values["disc_height_mm"]
    if isinstance(height, Missing):
        return height
    return graded[row.disc.number]


def _displacement(
    row: MeasuredDisc, features: Mapping[int, DiscFeatures | Missing]
) -> Displaced:
    height = row.values["disc_height_mm"]
    if isinstance(height, Missing):
        return height
    return displacement_of(row.site, features[row.disc.number])
