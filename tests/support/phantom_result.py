"""A synthetic `AnalysisResult` on the grid of a phantom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.contract.concepts import (
    MILLIMETRE,
    NO_UNITS,
    PRIVATE_SCHEME,
    RATIO,
    Concept,
)
from analysis.contract.measurement import (
    Absence,
    Grade,
    Measurement,
    NormPlace,
    Outline,
    Unmeasured,
)
from analysis.contract.result import (
    AnalysisResult,
    Finding,
    Notice,
    Page,
    Provenance,
)
from analysis.contract.segmentation import Segment, Segmentation

SITES = {
    1: Concept("65985001", "SCT", "S1 vertebra"),
    2: Concept("49668003", "SCT", "L5 vertebra"),
    3: Concept("11994002", "SCT", "L4 vertebra"),
    4: Concept("36470004", "SCT", "L3 vertebra"),
    5: Concept("14293000", "SCT", "L2 vertebra"),
    6: Concept("66794005", "SCT", "L1 vertebra"),
    11: Concept("715056000", "SCT", "L5/S1 disc"),
    12: Concept("84020006", "SCT", "L4/L5 disc"),
    13: Concept("62551000", "SCT", "L3/L4 disc"),
    14: Concept("67459009", "SCT", "L2/L3 disc"),
    15: Concept("80064006", "SCT", "L1/L2 disc"),
    20: Concept("61853006", "SCT", "Spinal canal structure"),
}
LABELS = {
    1: "S1", 2: "L5", 3: "L4", 4: "L3", 5: "L2", 6: "L1",
    11: "L5/S1 disc", 12: "L4/L5 disc", 13: "L3/L4 disc", 14: "L2/L3 disc",
    15: "L1/L2 disc", 20: "Spinal canal",
}  # fmt: skip

HEIGHT = Concept("121207", "DCM", "Height")
HEIGHT_INDEX = Concept("DHI", PRIVATE_SCHEME, "Disc height index")
DELTA_SI = Concept("DELTA_SI", PRIVATE_SCHEME, "Signal intensity difference")
PFIRRMANN = Concept("PFIRRMANN", PRIVATE_SCHEME, "Pfirrmann grade")
GRADE_III = Concept("PFIRRMANN-3", PRIVATE_SCHEME, "Pfirrmann grade III")
GRADE_IV = Concept("PFIRRMANN-4", PRIVATE_SCHEME, "Pfirrmann grade IV")
PFIRRMANN_III = Grade(
    concept=PFIRRMANN,
    value=GRADE_III,
    probabilities=((GRADE_III, 0.75), (GRADE_IV, 0.25)),
)
NORM = NormPlace(
    z_score=-1.5, percentile=6.75, count=37, population="women, 50 to 59 years"
)


def box_outline(labels: NDArray[np.uint8], label: int) -> Outline:
    """Return the bounding rectangle of a label in the middle of its slices."""
    slices = np.flatnonzero((labels == label).any(axis=(1, 2)))
    middle = int(slices[len(slices) // 2])
    rows, columns = np.nonzero(labels[middle] == label)
    top, bottom = float(rows.min()), float(rows.max())
    front, back = float(columns.min()), float(columns.max())
    corners = [(top, front), (top, back), (bottom, back), (bottom, front), (top, front)]
    return Outline(slice_index=middle, points=np.array(corners))


def phantom_result(
    labels: NDArray[np.uint8], *, all_measured: bool = False
) -> AnalysisResult:
    """Return a result with every label of a phantom as segment, every disc as finding.

    Unless `all_measured`, the signal of the lowest disc could not be had.
    """
    present = [label for label in LABELS if (labels == label).any()]
    segments = tuple(
        Segment(
            number=label,
            label=LABELS[label],
            structure=SITES[label],
            colour=((label * 67) % 256, (label * 131) % 256, (label * 29) % 256),
        )
        for label in present
    )
    findings = tuple(
        _finding(labels, label, measured=all_measured or label != 11)
        for label in present
        if 10 < label < 20
    )
    picture = np.zeros((256, 384, 3), dtype=np.uint8)
    picture[64:192, 96:288] = (200, 60, 20)
    return AnalysisResult(
        segmentation=Segmentation(labels=labels, segments=segments),
        findings=findings,
        pages=(Page(title="Overlay", pixels=picture),),
        provenance=Provenance(
            name="lumbar-mri", version="1.0.0", weights_sha256="ab" * 32
        ),
        warnings=(Notice(code="phantom", text="this is a phantom, not a patient"),),
    )


def _finding(labels: NDArray[np.uint8], label: int, *, measured: bool) -> Finding:
    signal = Measurement(concept=DELTA_SI, value=71.25, unit=NO_UNITS)
    missing = Unmeasured(
        concept=DELTA_SI,
        reason=Absence.SIGNAL_UNFIT,
        text="the canal is saturated in this slice",
    )
    return Finding(
        site=SITES[label],
        label=LABELS[label],
        segment_number=label,
        outline=box_outline(labels, label),
        measurements=(
            Measurement(
                concept=HEIGHT,
                value=10.0 + label / 7,
                unit=MILLIMETRE,
                uncertainty=0.375,
                is_main=True,
            ),
            Measurement(
                concept=HEIGHT_INDEX, value=1 / 3, unit=RATIO, norm=NORM, is_main=True
            ),
            *((signal,) if measured else ()),
        ),
        unmeasured=() if measured else (missing,),
        grades=(PFIRRMANN_III,) if measured else (),
    )
