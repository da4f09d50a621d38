"""From measurements to the words of the contract, and of `report.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Measurement, NormPlace, Unmeasured
from analysis.contract.result import Finding, Json
from analysis.contract.segmentation import Segment, Segmentation, numbers_in
from analysis.lumbar.anatomy.named_levels import Levels
from analysis.lumbar.anatomy.structures import DISCS, LUMBAR_SPINE, STRUCTURES, level_of
from analysis.lumbar.correct.outlined_spine import OutlinedSpine, edited_labels
from analysis.lumbar.judge.grades_and_norms import Assessment, reference_of
from analysis.lumbar.measure.measured_sites import WholeSpine
from analysis.lumbar.measure.measurements import (
    Measured,
    MeasuredBody,
    MeasuredDisc,
    SpineMeasurements,
)
from analysis.lumbar.measure.quantities import (
    OF_BODIES,
    OF_LEVELS,
    OF_SPINE,
    OF_UPPER_LEVELS,
)
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.number_or_reason import Missing
from analysis.lumbar.tell.evaluations import (
    assessed_details,
    assessed_reasons,
    grades_of,
    height_loss_details,
    height_loss_of,
    narrowest_canal,
    narrowest_of,
    norms_of,
    unmeasured_of,
)
from analysis.lumbar.tell.words import Words

_DECIMALS = 4
"""Of `report.json`; more than any quantity is known to."""


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
    measured: SpineMeasurements, assessment: Assessment, numbers: set[int]
) -> tuple[Finding, ...]:
    """Return the discs from L1/L2 down, those above, the vertebrae and the spine."""
    discs = [
        replace(found, grades=(*found.grades, *narrowest_of(row.level, measured)))
        for row in measured.discs
        for found in (_disc_finding(row, assessment, numbers),)
    ]
    upper = [_upper_finding(row, numbers) for row in measured.upper]
    bodies = [_body_finding(body, numbers) for body in reversed(measured.bodies)]
    return (*discs, *upper, *bodies, *_spine_finding(measured.spine))


def _disc_finding(
    row: MeasuredDisc, assessment: Assessment, numbers: set[int]
) -> Finding:
    number = row.disc.number
    reference = {f"reference.{k}": value for k, value in reference_of(row).items()}
    told = replace(row, values={**row.values, **reference})
    return Finding(
        site=row.disc.concept,
        label=row.disc.label,
        segment_number=number if number in numbers else None,
        outline=row.outline,
        measurements=_numbers_of(OF_LEVELS, told, norms_of(row.level, assessment)),
        unmeasured=(
            *_unmeasured(OF_LEVELS, told),
            *unmeasured_of(row.level, assessment),
        ),
        grades=grades_of(row.level, assessment),
    )


def _upper_finding(row: MeasuredDisc, numbers: set[int]) -> Finding:
    number = row.disc.number
    return Finding(
        site=row.disc.concept,
        label=row.disc.label,
        segment_number=number if number in numbers else None,
        outline=row.outline,
        measurements=_numbers_of(OF_UPPER_LEVELS, row),
        unmeasured=_unmeasured(OF_UPPER_LEVELS, row),
    )


def _body_finding(body: MeasuredBody, numbers: set[int]) -> Finding:
    number = body.vertebra.number
    return Finding(
        site=body.vertebra.concept,
        label=body.vertebra.label,
        segment_number=number if number in numbers else None,
        outline=body.outline,
        measurements=_numbers_of(OF_BODIES, body),
        unmeasured=_unmeasured(OF_BODIES, body),
        grades=height_loss_of(body),
    )


def _spine_finding(spine: Measured[WholeSpine]) -> tuple[Finding, ...]:
    """Return what is told of the spine as a whole; nothing where nothing is asked."""
    if not spine.values:
        return ()
    found = Finding(
        site=LUMBAR_SPINE,
        label=LUMBAR_SPINE.meaning,
        measurements=_numbers_of(OF_SPINE, spine),
        unmeasured=_unmeasured(OF_SPINE, spine),
    )
    return (found,)


def _numbers_of(
    quantities: Sequence[Quantity[Any]],
    measured: Measured[Any],
    norms: Mapping[str, NormPlace] = MappingProxyType({}),
) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(
            concept=quantity.concept,
            value=value,
            unit=quantity.unit,
            modifiers=quantity.modifiers,
            uncertainty=measured.uncertainty.get(quantity.key),
            norm=norms.get(quantity.key),
            is_main=quantity.is_main,
        )
        for quantity in quantities
        if quantity.concept is not None
        and (value := measured.number(quantity.key)) is not None
    )


def _unmeasured(
    quantities: Sequence[Quantity[Any]], measured: Measured[Any]
) -> tuple[Unmeasured, ...]:
    values = ((one.concept, measured.values[one.key]) for one in quantities)
    return tuple(
        Unmeasured(
            concept=concept, reason=value.absence, text=value.text, code=value.code
        )
        for concept, value in values
        if concept is not None and isinstance(value, Missing)
    )


def details(
    measured: SpineMeasurements, assessment: Assessment, words: Words
) -> Mapping[str, Json]:
    """Return this analysis' part of `report.json`; its reasons in a language."""
    return {
        "levels": [
            {
                "level": row.level,
                **_json(row),
                **assessed_details(row.level, assessment),
                **_how_known(
                    row, words, assessed_reasons(row.level, assessment, words)
                ),
            }
            for row in measured.discs
        ],
        "upper_levels": [
            {"level": row.level, **_json(row), **_how_known(row, words)}
            for row in measured.upper
        ],
        "vertebrae": [
            {
                "vertebra": body.vertebra.label,
                **_json(body),
                **height_loss_details(body),
                **_how_known(body, words),
            }
            for body in reversed(measured.bodies)
        ],
        "spine": {
            **_json(measured.spine),
            "narrowest_canal": narrowest_canal(measured),
            **_how_known(measured.spine, words),
        },
    }


def _json(measured: Measured[Any]) -> dict[str, Json]:
    """Return the values by their keys; what stands behind a dot in an own object."""
    found: dict[str, Json] = {}
    parts: dict[str, dict[str, Json]] = {}
    for key, value in measured.values.items():
        number = None if isinstance(value, Missing) else round(value, _DECIMALS)
        part, dot, name = key.partition(".")
        if dot:
            parts.setdefault(part, {})[name] = number
        else:
            found[key] = number
    return {**found, **parts}


def _how_known(
    measured: Measured[Any],
    words: Words,
    others: Mapping[str, Json] = MappingProxyType({}),
) -> dict[str, Json]:
    """Return the uncertainties, and why quantities have no value, by their path."""
    reasons: dict[str, Json] = {
        key: words.reason_with_code(value)
        for key, value in measured.values.items()
        if isinstance(value, Missing)
    }
    return {
        "uncertainty": {
            key: round(value, _DECIMALS) for key, value in measured.uncertainty.items()
        },
        "unmeasured": {**reasons, **others},
    }


def other_readings(levels: Levels, words: Words) -> Mapping[str, list[dict[str, Json]]]:
    """Return what the levels would be called if they were counted otherwise.

    Empty where nothing speaks against the count.
    """
    if not levels.alternatives:
        return {}
    readings: list[dict[str, Json]] = [
        {
            "reason": words.word(reading.reason),
            "levels": dict(reading.names),
            "probability": (
                None
                if reading.probability is None
                else round(reading.probability, _DECIMALS)
            ),
        }
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
        By number of the structure, from `outline_confidence`.
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


def origin(spine: OutlinedSpine) -> dict[str, Json]:
    """Return who drew the outlines, and which of them differ from the network's."""
    if not spine.is_given:
        return {"origin": "network"}
    return {
        "origin": "reader",
        "editor": spine.editor,
        "edited": edited_labels(spine.edited) if spine.former else None,
    }
