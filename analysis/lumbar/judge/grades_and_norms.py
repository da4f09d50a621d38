"""What the measured values say of a person: grades, and places among norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.contract.plugin import Subject
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.judge.grade.grading import Graded, grade_discs
from analysis.lumbar.judge.norms.place import NormAge, Places, norm_age, norm_places
from analysis.lumbar.measure.measurements import DiscRow, Rows
from analysis.lumbar.value import Missing


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
    """

    person: NormAge | Missing
    grades: Mapping[str, Graded]
    places: Mapping[str, Mapping[str, Places | Missing]]


def assess(
    anatomy: Anatomy,
    volume: Volume,
    rows: Rows,
    subject: Subject,
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
    subject
        Age and sex, as far as the series states them.
    signal_unfit
        Why no signal of this series can be used; None where it can.
    threads
        That share the slices.
    """
    person = norm_age(subject)
    known = tuple(
        row.disc for row in rows.discs if not isinstance(row.disc_height_mm, Missing)
    )
    graded = grade_discs(anatomy, volume, known, signal_unfit, threads=threads)
    return Assessment(
        person=person,
        grades={row.level: _grade(row, graded) for row in rows.discs},
        places={
            row.level: norm_places(row.level, reference_of(row), person)
            for row in rows.discs
        },
    )


def reference_of(row: DiscRow) -> dict[str, float | Missing]:
    """Return the values by the reference's definitions that have norms.

    Where our own delta-SI is refused, as with clipped CSF, that of the reference is a
    number without a meaning and has no place among norms.
    """
    values = row.reference
    signal = row.delta_si if isinstance(row.delta_si, Missing) else values.delta_si
    return {"dhi": values.dhi, "hdr": values.hdr, "delta_si": signal}


def _grade(row: DiscRow, graded: Mapping[int, Graded]) -> Graded:
    if isinstance(row.disc_height_mm, Missing):
        return row.disc_height_mm
    return graded[row.disc.number]
