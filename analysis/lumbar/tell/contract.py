"""From measured rows to the words of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.concepts import (
    DEGREE,
    MILLIMETRE,
    NO_UNITS,
    PRIVATE_SCHEME,
    RATIO,
    SQUARE_MILLIMETRE,
    Concept,
)
from analysis.contract.measurement import Measurement, Unmeasured
from analysis.contract.result import Finding, Json, Notice
from analysis.contract.segmentation import Segment, Segmentation
from analysis.lumbar.anatomy.levels import Levels
from analysis.lumbar.anatomy.structures import DISCS, STRUCTURES, level_of
from analysis.lumbar.correct.outlined_spine import READER, OutlinedSpine, edited_labels
from analysis.lumbar.judge.grades_and_norms import Assessment
from analysis.lumbar.measure.discs_and_bodies import SlabMeasurement
from analysis.lumbar.measure.measurements import DiscRow, Rows
from analysis.lumbar.tell.evaluations import (
    assessed_details,
    assessed_reasons,
    grades_of,
    reference_measurements,
    unmeasured_of,
)
from analysis.lumbar.value import Missing, Value

HEIGHT = Concept("121207", "DCM", "Height")
DEPTH = Concept("131197000", "SCT", "Depth")
DERIVATION = Concept("121401", "DCM", "Derivation")
MEAN = Concept("373098007", "SCT", "Mean")
DISC_HEIGHT_INDEX = Concept("DHI", PRIVATE_SCHEME, "Disc height index")
HEIGHT_DIAMETER_RATIO = Concept("HDR", PRIVATE_SCHEME, "Disc height-diameter ratio")
DELTA_SI = Concept(
    "DELTA-SI", PRIVATE_SCHEME, "Disc signal intensity difference relative to CSF"
)

AREA = Concept("42798000", "SCT", "Area")
WEDGE = Concept("DISC-WEDGE", PRIVATE_SCHEME, "Disc wedge angle, open to the front")
RATIO_CSF = Concept("DISC-CSF", PRIVATE_SCHEME, "Disc to CSF mean signal ratio")
NUCLEUS_CSF = Concept("NUCLEUS-CSF", PRIVATE_SCHEME, "Nucleus to CSF mean signal ratio")
TOPOGRAPHY = Concept("106233006", "SCT", "Topographical modifier")
ANTERIOR = Concept("255549009", "SCT", "Anterior")
MIDDLE = Concept("C25569", "NCIt", "Middle")
POSTERIOR = Concept("255551008", "SCT", "Posterior")

Modifiers = tuple[tuple[Concept, Concept], ...]
_MEAN_OF: Modifiers = ((DERIVATION, MEAN),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One quantity of a disc, as it is reported.

    Parameters
    ----------
    key
        Of `report.json`, and of the uncertainty.
    value
        Reads it off a row.
    is_main
        Whether it stands beside the disc in a viewer with room for few numbers.
    """

    key: str
    concept: Concept
    unit: Concept
    value: Callable[[DiscRow], Value]
    modifiers: Modifiers = ()
    is_main: bool = False


def _height_at(key: str, place: Concept, value: Callable[[DiscRow], Value]) -> Output:
    return Output(
        key=key,
        concept=HEIGHT,
        unit=MILLIMETRE,
        value=value,
        modifiers=((TOPOGRAPHY, place),),
    )


DISC_OUTPUTS = (
    Output(
        key="disc_height_mm",
        concept=HEIGHT,
        unit=MILLIMETRE,
        value=lambda row: row.disc_height_mm,
        modifiers=_MEAN_OF,
        is_main=True,
    ),
    _height_at("anterior_height_mm", ANTERIOR, lambda row: row.anterior_height_mm),
    _height_at("middle_height_mm", MIDDLE, lambda row: row.middle_height_mm),
    _height_at("posterior_height_mm", POSTERIOR, lambda row: row.posterior_height_mm),
    Output(
        key="disc_length_mm",
        concept=DEPTH,
        unit=MILLIMETRE,
        value=lambda row: row.disc_length_mm,
    ),
    Output(
        key="disc_area_mm2",
        concept=AREA,
        unit=SQUARE_MILLIMETRE,
        value=lambda row: row.disc_area_mm2,
    ),
    Output(
        key="wedge_angle_deg",
        concept=WEDGE,
        unit=DEGREE,
        value=lambda row: row.wedge_angle_deg,
    ),
    Output(
        key="disc_height_index",
        concept=DISC_HEIGHT_INDEX,
        unit=RATIO,
        value=lambda row: row.disc_height_index,
        is_main=True,
    ),
    Output(
        key="height_diameter_ratio",
        concept=HEIGHT_DIAMETER_RATIO,
        unit=RATIO,
        value=lambda row: row.height_diameter_ratio,
    ),
    Output(
        key="delta_si", concept=DELTA_SI, unit=NO_UNITS, value=lambda row: row.delta_si
    ),
    Output(
        key="signal_ratio_csf",
        concept=RATIO_CSF,
        unit=RATIO,
        value=lambda row: row.signal_ratio_csf,
    ),
    Output(
        key="nucleus_ratio_csf",
        concept=NUCLEUS_CSF,
        unit=RATIO,
        value=lambda row: row.nucleus_ratio_csf,
    ),
)
"""What a finding and `report.json` hold of a disc, in the order of a reader."""
OUTLINES_EDITED = "outlines_edited"
_BEYOND_LATIN = "\u0250"
_DECIMALS = 4
"""Of `report.json`; more than any quantity is known to."""


def numbers_in(labels: NDArray[np.uint8]) -> set[int]:
    """Return the labels that occur, without the background."""
    return set(np.flatnonzero(np.bincount(labels[labels > 0])).tolist())


def segmentation(labels: NDArray[np.uint8]) -> Segmentation:
    """Describe each label that occurs."""
    numbers = numbers_in(labels)
    segments = tuple(
        Segment(
            number=structure.number,
            label=structure.label,
            structure=structure.concept,
            colour=structure.colour,
            region=structure.region,
        )
        for structure in STRUCTURES
        if structure.number in numbers
    )
    return Segmentation(labels=labels, segments=segments)


def findings(
    rows: Rows, assessment: Assessment, numbers: set[int]
) -> tuple[Finding, ...]:
    """Return the discs from L1/L2 down, then the vertebrae from the head down."""
    discs = [_disc_finding(row, assessment, numbers) for row in rows.discs]
    bodies = [_body_finding(body, numbers) for body in reversed(rows.bodies)]
    return (*discs, *bodies)


def _disc_finding(row: DiscRow, assessment: Assessment, numbers: set[int]) -> Finding:
    number = row.disc.number
    values = [(output, output.value(row)) for output in DISC_OUTPUTS]
    own = tuple(
        Measurement(
            concept=output.concept,
            value=value,
            unit=output.unit,
            modifiers=output.modifiers,
            uncertainty=row.uncertainty.get(output.key),
            is_main=output.is_main,
        )
        for output, value in values
        if not isinstance(value, Missing)
    )
    missing = tuple(
        Unmeasured(concept=output.concept, reason=value.absence, text=value.text)
        for output, value in values
        if isinstance(value, Missing)
    )
    return Finding(
        site=row.disc.concept,
        label=row.disc.label,
        segment_number=number if number in numbers else None,
        outline=row.outline,
        measurements=(*own, *reference_measurements(row, assessment)),
        unmeasured=(*missing, *unmeasured_of(row, assessment)),
        grades=grades_of(row.level, assessment),
    )


def _body_finding(body: SlabMeasurement, numbers: set[int]) -> Finding:
    quantities = (
        (HEIGHT, body.height_mm, MILLIMETRE, _MEAN_OF),
        (DEPTH, body.length_mm, MILLIMETRE, ()),
    )
    number = body.structure.number
    return Finding(
        site=body.structure.concept,
        label=body.structure.label,
        segment_number=number if number in numbers else None,
        outline=body.outline,
        measurements=_measurements(quantities),
        unmeasured=_unmeasured(quantities),
    )


Asked = tuple[Concept, Value, Concept, tuple[tuple[Concept, Concept], ...]]


def _measurements(quantities: tuple[Asked, ...]) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(concept=concept, value=value, unit=unit, modifiers=modifiers)
        for concept, value, unit, modifiers in quantities
        if not isinstance(value, Missing)
    )


def _unmeasured(quantities: tuple[Asked, ...]) -> tuple[Unmeasured, ...]:
    return tuple(
        Unmeasured(concept=concept, reason=value.absence, text=value.text)
        for concept, value, _, _ in quantities
        if isinstance(value, Missing)
    )


def details(rows: Rows, assessment: Assessment) -> Mapping[str, Json]:
    """Return this analysis' part of `report.json`."""
    return {"levels": [_level(row, assessment) for row in rows.discs]}


def other_readings(levels: Levels) -> Mapping[str, list[dict[str, Json]]]:
    """Return what the levels would be called if they were counted otherwise.

    Empty where nothing speaks against the count.
    """
    if not levels.alternatives:
        return {}
    readings: list[dict[str, Json]] = [
        {"reason": reading.reason, "levels": dict(reading.names)}
        for reading in levels.alternatives
    ]
    return {"alternative_levels": readings}


def certainties(
    levels: Levels, confidence: Mapping[int, float]
) -> Mapping[str, dict[str, Json]]:
    """Return how sure each name is, and how good each outline is expected to be.

    Parameters
    ----------
    levels
        The named levels.
    confidence
        By number of the structure, from `confidence.outline_confidence`.
    """
    return {
        "level_certainty": {
            level_of(disc): round(levels.certainty[disc.number], _DECIMALS)
            for disc in DISCS
            if disc.number in levels.certainty
        },
        "outline_confidence": {
            structure.label: round(confidence[structure.number], _DECIMALS)
            for structure in STRUCTURES
            if structure.number in confidence
        },
    }


def _level(row: DiscRow, assessment: Assessment) -> dict[str, Json]:
    quantities = {output.key: output.value(row) for output in DISC_OUTPUTS}
    reference = {
        "dh_px512": row.reference.dh_px512,
        "dhi": row.reference.dhi,
        "hdr": row.reference.hdr,
        "delta_si": row.reference.delta_si,
        "delta_si_grade": row.reference.delta_si_grade,
    }
    return {
        "level": row.level,
        **_numbers(quantities),
        "reference": _numbers(reference),
        **assessed_details(row.level, assessment),
        "uncertainty": _numbers(row.uncertainty),
        "unmeasured": {
            **_reasons(quantities, ""),
            **_reasons(reference, "reference."),
            **assessed_reasons(row.level, assessment),
        },
    }


def _numbers(quantities: Mapping[str, Value]) -> dict[str, Json]:
    return {
        key: None if isinstance(value, Missing) else round(value, _DECIMALS)
        for key, value in quantities.items()
    }


def _reasons(quantities: Mapping[str, Value], prefix: str) -> dict[str, Json]:
    """Return why quantities have no value, by their path in the level."""
    return {
        f"{prefix}{key}": str(value)
        for key, value in quantities.items()
        if isinstance(value, Missing)
    }


def level_warnings(rows: Rows) -> tuple[Notice, ...]:
    """Say which of the five levels could not be measured at all."""
    absent = [
        row.level for row in rows.discs if isinstance(row.disc_height_mm, Missing)
    ]
    if not absent:
        return ()
    text = f"Not measured: {', '.join(absent)}"
    return (Notice(code="levels_missing", text=text),)


def origin(trace: OutlinedSpine) -> dict[str, Json]:
    """Return who drew the outlines, and which of them differ from the network's."""
    if not trace.is_given:
        return {"origin": "network"}
    return {
        "origin": "reader",
        "editor": trace.editor,
        "edited": edited_labels(trace.edited) if trace.former else None,
    }


def edited_warnings(trace: OutlinedSpine) -> tuple[Notice, ...]:
    """Say that a reader drew the outlines, and how the others were measured."""
    if not trace.is_given:
        return ()
    # It stands in pictures, too, whose type face is Latin.
    name = trace.editor if max(trace.editor) < _BEYOND_LATIN else READER
    edited = Notice(code=OUTLINES_EDITED, text=f"Outlines edited by {name}")
    if trace.former is not None:
        return (edited,)
    text = (
        "The network's own outlines are not at hand: all outlines run along voxels, "
        "so values of structures that were not edited differ a little from before"
    )
    return (edited, Notice(code="outlines_from_voxels", text=text))
