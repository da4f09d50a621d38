"""From grades and norms to the words of the contract and of `report.json`."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.contract.concepts import NO_UNITS, PRIVATE_SCHEME, RATIO, Concept
from analysis.contract.measurement import (
    Grade,
    Measurement,
    NormPlace,
    Unmeasured,
)
from analysis.contract.result import Json
from analysis.lumbar.judge.grade.grading import DiscGrade
from analysis.lumbar.judge.grade.model import GRADES, ROMAN
from analysis.lumbar.judge.grades_and_norms import Assessment, reference_of
from analysis.lumbar.judge.norms.place import Places
from analysis.lumbar.measure.measurements import DiscRow
from analysis.lumbar.value import Missing

PFIRRMANN = Concept("PFIRRMANN", PRIVATE_SCHEME, "Pfirrmann grade")
PFIRRMANN_GRADES = tuple(
    Concept(f"PFIRRMANN-{grade}", PRIVATE_SCHEME, f"Pfirrmann grade {roman}")
    for grade, roman in zip(GRADES, ROMAN, strict=True)
)
NARROWING = Concept("NARROWING", PRIVATE_SCHEME, "Disc space narrowing")
PRESENT = Concept("52101004", "SCT", "Present")
ABSENT = Concept("272519000", "SCT", "Absent")
REFERENCE = {
    "dhi": (
        Concept("DHI-ZHENG2022", PRIVATE_SCHEME, "Disc height index as Zheng 2022"),
        RATIO,
    ),
    "hdr": (
        Concept("HDR-ZHENG2022", PRIVATE_SCHEME, "Height-diameter ratio as Zheng 2022"),
        RATIO,
    ),
    "delta_si": (
        Concept("DSI-ZHENG2022", PRIVATE_SCHEME, "Disc signal gap as Zheng 2022"),
        NO_UNITS,
    ),
}
"""The parameters that have norms, by the definitions to which the norms belong."""
_DECIMALS = 4
_EVEN = 0.5


def reference_measurements(
    row: DiscRow, assessment: Assessment
) -> tuple[Measurement, ...]:
    """Return the values that have norms, each with its place where there is one."""
    places = assessment.places[row.level]
    return tuple(
        Measurement(
            concept=REFERENCE[key][0],
            value=value,
            unit=REFERENCE[key][1],
            norm=_only(places[key]),
        )
        for key, value in reference_of(row).items()
        if not isinstance(value, Missing)
    )


def _only(places: Places | Missing) -> NormPlace | None:
    """Return the place if there is one; two, where the sex is not known, are none."""
    if isinstance(places, Missing) or len(places) > 1:
        return None
    return next(iter(places.values()))


def grades_of(level: str, assessment: Assessment) -> tuple[Grade, ...]:
    """Return the Pfirrmann grade of a level, and its narrowing, as evaluations."""
    graded = assessment.grades[level]
    if isinstance(graded, Missing):
        return ()
    shares = zip(PFIRRMANN_GRADES, graded.probabilities, strict=True)
    value = PFIRRMANN_GRADES[GRADES.index(graded.grade)]
    narrowed = graded.narrowing
    return (
        Grade(concept=PFIRRMANN, value=value, probabilities=tuple(shares)),
        Grade(
            concept=NARROWING,
            value=PRESENT if narrowed > _EVEN else ABSENT,
            probabilities=((PRESENT, narrowed), (ABSENT, 1 - narrowed)),
        ),
    )


def unmeasured_of(row: DiscRow, assessment: Assessment) -> tuple[Unmeasured, ...]:
    """Return why a level has no grade, or no value that has norms."""
    graded = assessment.grades[row.level]
    asked = [(PFIRRMANN, graded)] if isinstance(graded, Missing) else []
    asked += [
        (REFERENCE[key][0], value)
        for key, value in reference_of(row).items()
        if isinstance(value, Missing)
    ]
    return tuple(
        Unmeasured(concept=concept, reason=absent.absence, text=absent.text)
        for concept, absent in asked
    )


def assessed_details(level: str, assessment: Assessment) -> dict[str, Json]:
    """Return grade, its probabilities and the norms of a level for `report.json`."""
    graded = assessment.grades[level]
    grade: Json = None
    shares: Json = None
    narrowing: Json = None
    if isinstance(graded, DiscGrade):
        grade = graded.grade
        shares = [round(share, _DECIMALS) for share in graded.probabilities]
        narrowing = round(graded.narrowing, _DECIMALS)
    return {
        "pfirrmann_grade": grade,
        "pfirrmann_probabilities": shares,
        "narrowing_probability": narrowing,
        "norms": {
            key: None if isinstance(places, Missing) else _json(places)
            for key, places in assessment.places[level].items()
        },
    }


def assessed_reasons(level: str, assessment: Assessment) -> dict[str, Json]:
    """Return why a level has no grade or no norms, by their path in the level."""
    graded = assessment.grades[level]
    reasons: dict[str, Json] = {
        f"norms.{key}": str(places)
        for key, places in assessment.places[level].items()
        if isinstance(places, Missing)
    }
    if isinstance(graded, Missing):
        reasons |= dict.fromkeys(
            ("pfirrmann_grade", "narrowing_probability"), str(graded)
        )
    return reasons


def _json(places: Mapping[str, NormPlace]) -> dict[str, Json]:
    """Return one place as it is, two under `f` and `m`."""
    numbers: dict[str, dict[str, Json]] = {
        sex: {
            "z": round(place.z_score, _DECIMALS),
            "percentile": round(place.percentile, _DECIMALS),
            "n": place.count,
        }
        for sex, place in places.items()
    }
    return dict(numbers) if len(numbers) > 1 else next(iter(numbers.values()))
