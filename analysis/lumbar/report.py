"""From measured rows to the words of the contract."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.contract.concepts import (
    MILLIMETRE,
    NO_UNITS,
    PRIVATE_SCHEME,
    RATIO,
    Concept,
)
from analysis.contract.measurement import Measurement, Unmeasured
from analysis.contract.result import Finding, Json, Notice
from analysis.contract.segmentation import Segment, Segmentation
from analysis.lumbar.anatomy import STRUCTURES
from analysis.lumbar.measure.geometry import SlabMeasurement
from analysis.lumbar.measure.quantity import Missing, Quantity
from analysis.lumbar.measure.rows import DiscRow, Rows

HEIGHT = Concept("121207", "DCM", "Height")
DEPTH = Concept("131197000", "SCT", "Depth")
DERIVATION = Concept("121401", "DCM", "Derivation")
MEAN = Concept("373098007", "SCT", "Mean")
DISC_HEIGHT_INDEX = Concept("DHI", PRIVATE_SCHEME, "Disc height index")
HEIGHT_DIAMETER_RATIO = Concept("HDR", PRIVATE_SCHEME, "Disc height-diameter ratio")
DELTA_SI = Concept(
    "DELTA-SI", PRIVATE_SCHEME, "Disc signal intensity difference relative to CSF"
)
PFIRRMANN = Concept("PFIRRMANN", PRIVATE_SCHEME, "Pfirrmann grade")

_MEAN_OF = ((DERIVATION, MEAN),)
_DECIMALS = 4
"""Of `report.json`; more than any quantity is known to."""


def numbers_in(labels: NDArray[np.uint8]) -> set[int]:
    """Return the labels that occur, without the background."""
    return set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0}


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


def findings(rows: Rows, numbers: set[int]) -> tuple[Finding, ...]:
    """Return the discs from L1/L2 down, then the vertebrae from the head down."""
    discs = [_disc_finding(row, numbers) for row in rows.discs]
    bodies = [_body_finding(body, numbers) for body in reversed(rows.bodies)]
    return (*discs, *bodies)


def _disc_finding(row: DiscRow, numbers: set[int]) -> Finding:
    quantities = (
        (HEIGHT, row.disc_height_mm, MILLIMETRE, _MEAN_OF),
        (DEPTH, row.disc_length_mm, MILLIMETRE, ()),
        (DISC_HEIGHT_INDEX, row.disc_height_index, RATIO, ()),
        (HEIGHT_DIAMETER_RATIO, row.height_diameter_ratio, RATIO, ()),
        (DELTA_SI, row.delta_si, NO_UNITS, ()),
        (PFIRRMANN, row.pfirrmann_grade, NO_UNITS, ()),
    )
    number = row.disc.number
    return Finding(
        site=row.disc.concept,
        label=row.disc.label,
        segment_number=number if number in numbers else None,
        outline=row.outline,
        measurements=_measurements(quantities),
        unmeasured=_unmeasured(quantities),
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


Asked = tuple[Concept, Quantity, Concept, tuple[tuple[Concept, Concept], ...]]


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


def details(rows: Rows) -> Mapping[str, Json]:
    """Return this analysis' part of `report.json`."""
    return {"levels": [_level(row) for row in rows.discs]}


def _level(row: DiscRow) -> dict[str, Json]:
    quantities: dict[str, Quantity] = {
        "disc_height_mm": row.disc_height_mm,
        "disc_height_index": row.disc_height_index,
        "height_diameter_ratio": row.height_diameter_ratio,
        "delta_si": row.delta_si,
        "pfirrmann_grade": row.pfirrmann_grade,
    }
    values: dict[str, Json] = {
        key: None if isinstance(value, Missing) else round(value, _DECIMALS)
        for key, value in quantities.items()
    }
    reasons: dict[str, Json] = {
        key: str(value)
        for key, value in quantities.items()
        if isinstance(value, Missing)
    }
    return {"level": row.level, **values, "unmeasured": reasons}


def level_warnings(rows: Rows) -> tuple[Notice, ...]:
    """Say which of the five levels could not be measured at all."""
    absent = [
        row.level for row in rows.discs if isinstance(row.disc_height_mm, Missing)
    ]
    if not absent:
        return ()
    text = f"Not measured: {', '.join(absent)}"
    return (Notice(code="levels_missing", text=text),)
