"""`AnalysisResult`: all that an analysis hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.contract.concepts import Concept
from analysis.contract.measurement import (
    Change,
    Grade,
    Measurement,
    Outline,
    Unmeasured,
)
from analysis.contract.segmentation import Segmentation

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""A value that JSON can carry."""

_RGB_DIMENSIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that a reader must know before using the result.

    Parameters
    ----------
    code
        Stable word in `snake_case`.
    text
        One sentence for people, free of patient data.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One site with its measurements and grades.

    Parameters
    ----------
    site
        The coded structure.
    label
        The same site for people, such as `L4/L5 disc`.
    segment_number
        Its segment in the result's segmentation; None where it has none.
    outline
        Its outline in the slice on which it is best seen; None where it has none.
    changes
        Since an earlier examination, where there is one to compare with.
    """

    site: Concept
    label: str
    segment_number: int | None = None
    outline: Outline | None = None
    measurements: tuple[Measurement, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
    grades: tuple[Grade, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """One picture for the reader.

    Parameters
    ----------
    title
        What it shows, such as `Overlay`.
    pixels : ndarray, shape (H, W, 3), uint8
        Red, green, blue.
    """

    title: str
    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if len(shape) != _RGB_DIMENSIONS or shape[2] != _RGB_DIMENSIONS:
            message = f"pixels: expected shape (H, W, 3), got {shape}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made the result."""

    name: str
    version: str
    weights_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnalysisResult:
    """All that an analysis hands back.

    Parameters
    ----------
    segmentation
        On the grid of the volume that was analysed.
    findings
        One per site, in the order in which a reader expects them.
    pages
        Pictures; the first is the overlay.
    provenance
        What made it.
    warnings
        What a reader must know first.
    details
        The analysis' own part of `report.json`.
    summary
        Sentences for a reader, by language (RFC 5646); in English if in any.
    report_text
        A paragraph to be pasted into a radiology report, by language (RFC 5646).
    language
        Of all texts in it but those of `summary` and `report_text`: pages, warnings,
        reasons, meanings of codes. Labels, codes and keys have none.
    kept
        What the analysis wants back with outlines that a reader corrects; for nobody
        else to read.

    Raises
    ------
    ValueError
        If a finding names a segment that is not there, or there is no page.
    """

    segmentation: Segmentation
    findings: tuple[Finding, ...]
    pages: tuple[Page, ...]
    provenance: Provenance
    warnings: tuple[Notice, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)
    summary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    report_text: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"
    kept: bytes = b""

    def __post_init__(self) -> None:
        if not self.pages:
            message = "pages: expected at least the overlay"
            raise ValueError(message)
        numbers = {segment.number for segment in self.segmentation.segments}
        for finding in self.findings:
            if finding.segment_number not in numbers | {None}:
                message = f"{finding.label}: no segment {finding.segment_number}"
                raise ValueError(message)
