"""From grades and norms to the words of the contract and of `report.json`."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.contract.concepts import PRIVATE_SCHEME, Concept
from analysis.contract.measurement import (
    Grade,
    NormPlace,
    Unmeasured,
)
from analysis.contract.result import Json
from analysis.lumbar.judge.displacement.displacement import DiscDisplacement, Told
from analysis.lumbar.judge.grade.grading import DiscGrade
from analysis.lumbar.judge.grade.model import GRADES, ROMAN
from analysis.lumbar.judge.grades_and_norms import Assessment
from analysis.lumbar.judge.height_loss_doubts import known_share
from analysis.lumbar.judge.norms.place import Places
from analysis.lumbar.measure.height_loss import HeightLoss
from analysis.lumbar.measure.measurements import MeasuredBody, SpineMeasurements
from analysis.lumbar.number_or_reason import Missing
from analysis.lumbar.tell.grade_words import UNSURE
from analysis.lumbar.tell.words import Words

PFIRRMANN = Concept("PFIRRMANN", PRIVATE_SCHEME, "Pfirrmann grade")
PFIRRMANN_GRADES = tuple(
    Concept(f"PFIRRMANN-{grade}", PRIVATE_SCHEME, f"Pfirrmann grade {roman}")
    for grade, roman in zip(GRADES, ROMAN, strict=True)
)
NARROWING = Concept("NARROWING", PRIVATE_SCHEME, "Disc space narrowing")
PRESENT = Concept("52101004", "SCT", "Present")
ABSENT = Concept("272519000", "SCT", "Absent")
DISPLACEMENT = Concept(
    "DISPLACEMENT", PRIVATE_SCHEME, "Disc displacement (bulge, protrusion or extrusion)"
)
INDETERMINATE = Concept("82334004", "SCT", "Indeterminate")
DISPLACEMENTS = {
    Told.ABSENT: ABSENT,
    Told.PRESENT: PRESENT,
    Told.UNSURE: INDETERMINATE,
}
NARROWEST_CANAL = Concept(
    "CANAL-NARROWEST", PRIVATE_SCHEME, "Level of least canal AP diameter, no grade"
)
"""Present at one disc of every series in which the canal is seen: a place, and no
stenosis."""
HEIGHT_LOSS = Concept("HEIGHT-LOSS", PRIVATE_SCHEME, "Vertebral height loss (Genant)")
HEIGHT_LOSSES = {
    HeightLoss.NONE: ABSENT,
    HeightLoss.MILD: Concept("255604002", "SCT", "Mild"),
    HeightLoss.MODERATE: Concept("6736007", "SCT", "Moderate"),
    HeightLoss.SEVERE: Concept("24484000", "SCT", "Severe"),
}
_DECIMALS = 4


def norms_of(level: str, assessment: Assessment) -> dict[str, NormPlace]:
    """Return the places among norms of the values of a level, by their key."""
    found = {key: _only(places) for key, places in assessment.places[level].items()}
    return {
        f"reference.{key}": place for key, place in found.items() if place is not None
    }


def _only(places: Places | Missing) -> NormPlace | None:
    """Return the place if there is one; two, where the sex is not known, are none."""
    if isinstance(places, Missing) or len(places) > 1:
        return None
    return next(iter(places.values()))


def grades_of(level: str, assessment: Assessment) -> tuple[Grade, ...]:
    """Return grade, narrowing and displacement of a level as evaluations."""
    return (*_graded(level, assessment), *_displaced(level, assessment))


def _displaced(level: str, assessment: Assessment) -> tuple[Grade, ...]:
    found = assessment.displacements[level]
    if isinstance(found, Missing):
        return ()
    share = found.probability
    return (
        Grade(
            concept=DISPLACEMENT,
            value=DISPLACEMENTS[found.told],
            probabilities=((PRESENT, share), (ABSENT, 1 - share)),
        ),
    )


def _graded(level: str, assessment: Assessment) -> tuple[Grade, ...]:
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
            value=_narrowed(narrowed),
            probabilities=((PRESENT, narrowed), (ABSENT, 1 - narrowed)),
        ),
    )


def _narrowed(share: float) -> Concept:
    """Return what is said of narrowing: where pages are unsure, so is the report."""
    low, high = UNSURE
    if low < share < high:
        return INDETERMINATE
    return PRESENT if share >= high else ABSENT


def narrowest_canal(measured: SpineMeasurements) -> str | None:
    """Return the level at which the canal is narrowest.

    None where nothing is known, or it may be narrowest where it has no diameter.
    """
    if measured.spine.number("least_canal_ap_diameter_mm") is None:
        return None
    known = canal_depths_mm(measured)
    return min(known, key=lambda level: known[level]) if known else None


def canal_depths_mm(measured: SpineMeasurements) -> dict[str, float]:
    """Return the diameter of the canal at each level where it has one."""
    return {
        row.level: diameter
        for row in measured.discs
        if (diameter := row.number("canal_ap_diameter_mm")) is not None
    }


def narrowest_of(level: str, measured: SpineMeasurements) -> tuple[Grade, ...]:
    """Say at the level where the canal is narrowest that it is."""
    if level != narrowest_canal(measured):
        return ()
    return (Grade(concept=NARROWEST_CANAL, value=PRESENT),)


def height_loss_of(body: MeasuredBody) -> tuple[Grade, ...]:
    """Return the loss of height of a body as an evaluation."""
    share = known_share(body)
    if share is None:
        return ()
    return (Grade(concept=HEIGHT_LOSS, value=HEIGHT_LOSSES[share.grade]),)


def height_loss_details(body: MeasuredBody) -> dict[str, Json]:
    """Return the same for `report.json`: which height, and its grade from 0 to 3."""
    share = known_share(body)
    if share is None:
        return {"height_loss_grade": None, "height_loss_place": None}
    return {
        "height_loss_grade": int(share.grade),
        "height_loss_place": share.place,
    }


def unmeasured_of(level: str, assessment: Assessment) -> tuple[Unmeasured, ...]:
    """Return why a level has no grade, and why nothing is told of displacement."""
    asked = (
        (PFIRRMANN, assessment.grades[level]),
        (DISPLACEMENT, assessment.displacements[level]),
    )
    return tuple(
        Unmeasured(concept=concept, reason=why.absence, text=why.text, code=why.code)
        for concept, why in asked
        if isinstance(why, Missing)
    )


def assessed_details(level: str, assessment: Assessment) -> dict[str, Json]:
    """Return grade, narrowing, displacement and norms for `report.json`."""
    graded = assessment.grades[level]
    grade: Json = None
    shares: Json = None
    narrowing: Json = None
    span: Json = None
    rival: Json = None
    if isinstance(graded, DiscGrade):
        span, rival = [graded.lowest, graded.highest], graded.rival
        grade = graded.grade
        shares = [round(share, _DECIMALS) for share in graded.probabilities]
        narrowing = round(graded.narrowing, _DECIMALS)
    displaced, likely = _displacement_details(assessment, level)
    return {
        "pfirrmann_grade": grade,
        "pfirrmann_range": span,
        "pfirrmann_rival": rival,
        "pfirrmann_probabilities": shares,
        "narrowing_probability": narrowing,
        "displacement": displaced,
        "displacement_probability": likely,
        "norms": {
            key: None if isinstance(places, Missing) else _json(places)
            for key, places in assessment.places[level].items()
        },
    }


def _displacement_details(assessment: Assessment, level: str) -> tuple[Json, Json]:
    found = assessment.displacements[level]
    if not isinstance(found, DiscDisplacement):
        return None, None
    return found.told.value, round(found.probability, _DECIMALS)


def assessed_reasons(
    level: str, assessment: Assessment, words: Words
) -> dict[str, Json]:
    """Return why a level has no grade or no norms, by their path in the level."""
    graded = assessment.grades[level]
    reasons: dict[str, Json] = {
        f"norms.{key}": words.reason_with_code(places)
        for key, places in assessment.places[level].items()
        if isinstance(places, Missing)
    }
    if isinstance(graded, Missing):
        reasons |= dict.fromkeys(
            ("pfirrmann_grade", "narrowing_probability"),
            words.reason_with_code(graded),
        )
    displaced = assessment.displacements[level]
    if isinstance(displaced, Missing):
        reasons |= dict.fromkeys(
            ("displacement", "displacement_probability"),
            words.reason_with_code(displaced),
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
