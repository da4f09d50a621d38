"""Measures the whole lumbar chain against hand-drawn SPIDER masks.

Run as `python -m tests.accuracy.lumbar train` or `... public_test`; `--models FOLDER`
reads with other networks, `--patients NAME ...` some of them alone. The drawn masks go
through the same code for levels and measurements as the predicted ones; what differs
is the segmentation alone. Prints the tables of docs/measurements.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import (
    CANAL,
    DISCS,
    VERTEBRAE,
    Structure,
    level_of,
)
from analysis.lumbar.anatomy.tissue_map import TissueMap
from analysis.lumbar.check.series import examine
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import Networks, load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.judge.artefacts import unfit_discs
from analysis.lumbar.judge.resolve import withheld
from analysis.lumbar.judge.uncertainty import height_doubts, with_uncertainty
from analysis.lumbar.measure.measurements import SpineMeasurements, measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from tests.support import spider

QUANTITIES = (
    "disc_height_mm",
    "disc_length_mm",
    "disc_height_index",
    "height_diameter_ratio",
    "delta_si",
)
DICE_STRUCTURES = (*VERTEBRAE[1:6], *DISCS[:5], CANAL)
Pair = tuple[str, str, float, float]
"""Patient, level, drawn, predicted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """One patient read from one tissue map."""

    labels: NDArray[np.uint8]
    rows: SpineMeasurements
    warnings: tuple[str, ...]


def read(patient: str, tissues: TissueMap, *, s1_is_given: bool = False) -> Reading:
    """Name and measure one tissue map."""
    volume = spider.read_volume(patient)
    levels = name_levels(tissues, s1_is_given=s1_is_given)
    labels = label_source(tissues, levels.names)
    anatomy = Anatomy(tissues=tissues, levels=levels)
    rows = measure_spine(anatomy, volume, labels)
    codes = tuple(notice.code for notice in levels.doubts)
    return Reading(labels=labels, rows=rows, warnings=codes)


def drawn(patient: str) -> Reading:
    """Read the hand-drawn masks of one patient."""
    volume = spider.read_volume(patient)
    tissue = spider.read_tissue(patient)
    return read(patient, spider.tissue_map(volume, tissue), s1_is_given=True)


def predicted(patient: str, networks: Networks) -> Reading:
    """Read one patient through the network; heights known too badly are refused."""
    found = read(patient, segment(examine(spider.read_volume(patient)), networks))
    known = with_uncertainty(found.rows)
    return replace(
        found, rows=withheld(known, (*height_doubts(known), *unfit_discs(known)))
    )


def dice(first: Reading, second: Reading, structure: Structure) -> float | None:
    """Return the overlap of one structure; None if neither shows it."""
    one, other = (r.labels == structure.number for r in (first, second))
    total = int(one.sum() + other.sum())
    return 2 * int((one & other).sum()) / total if total else None


def level_errors(patient: str, reading: Reading) -> list[str]:
    """Return the drawn discs, by SPIDER's count, that got another disc's name.

    A disc that was taken for a body was not found; that is a matter of overlap.
    """
    discs = np.isin(reading.labels, [disc.number for disc in DISCS])
    instances = spider.read_disc_instances(patient)
    wrong = []
    for position, disc in enumerate(DISCS[:5]):
        named = reading.labels[discs & (instances == position + 1)]
        numbers = np.bincount(named, minlength=CANAL.number + 1)
        if numbers.sum() and numbers.argmax() != disc.number:
            wrong.append(level_of(disc))
    return wrong


def agreement(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return ICC(A,1): two-way, single measures, absolute agreement.

    References
    ----------
    McGraw KO, Wong SP. Psychol Methods 1996;1(1):30-46, table 4.
    """
    table = np.stack([first, second], axis=1)
    count, readers = table.shape
    grand = table.mean()
    between = readers * ((table.mean(axis=1) - grand) ** 2).sum() / (count - 1)
    reader = count * ((table.mean(axis=0) - grand) ** 2).sum() / (readers - 1)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + grand
    error = (rest**2).sum() / ((count - 1) * (readers - 1))
    spread = between + (readers - 1) * error + readers * (reader - error) / count
    return float((between - error) / spread)


def pairs(patients: Mapping[str, tuple[Reading, Reading]], quantity: str) -> list[Pair]:
    """Return what both readings of a patient could measure at a level."""
    found = []
    for patient, readings in patients.items():
        for first, second in zip(*(r.rows.discs for r in readings), strict=True):
            one, other = first.number(quantity), second.number(quantity)
            if one is not None and other is not None:
                found.append((patient, first.level, one, other))
    return found


def table(patients: Mapping[str, tuple[Reading, Reading]]) -> Iterable[str]:
    """Yield the comparison as lines of Markdown."""
    yield "| quantity | n | drawn mean | bias | mean abs. diff. | SD of diff. | ICC |"
    yield "|---|---|---|---|---|---|---|"
    for quantity in QUANTITIES:
        found = pairs(patients, quantity)
        one = np.array([pair[2] for pair in found])
        other = np.array([pair[3] for pair in found])
        gap = other - one
        yield (
            f"| {quantity} | {len(found)} | {one.mean():.3f} | {gap.mean():+.3f} "
            f"| {np.abs(gap).mean():.3f} | {gap.std(ddof=1):.3f} "
            f"| {agreement(one, other):.3f} |"
        )
    yield ""
    yield "| structure | Dice mean | worst |"
    yield "|---|---|---|"
    for structure in DICE_STRUCTURES:
        values = [dice(*readings, structure) for readings in patients.values()]
        known = [value for value in values if value is not None]
        yield f"| {structure.label} | {np.mean(known):.3f} | {min(known):.3f} |"


def main(split: str, names: Sequence[str] | None, models: Path | None) -> None:
    """Read patients of a split, all if None, and print the tables."""
    networks = load_networks(threads=2, folder=models)
    patients: dict[str, tuple[Reading, Reading]] = {}
    lines = []
    for patient in names or spider.patients(split):
        try:
            both = drawn(patient), predicted(patient, networks)
        except Refused as outcome:
            lines.append(f"{patient}: {outcome.code}: {outcome.text}")
            continue
        errors = level_errors(patient, both[1])
        if not errors:
            patients[patient] = both
        if errors or both[1].warnings:
            lines.append(f"{patient}: misnamed {errors}, warnings {both[1].warnings}")
    lines += [f"{len(patients)} patients with all levels right, of {split}", ""]
    sys.stdout.write("\n".join([*lines, *table(patients)]) + "\n")
    sys.stdout.write("\nNot measured from predicted outlines:\n")
    for patient, readings in patients.items():
        for row in readings[1].rows.discs:
            if isinstance(row.values["disc_height_mm"], Missing):
                sys.stdout.write(
                    f"- {patient} {row.level}: {row.values['disc_height_mm'].code}\n"
                )
    far = [
        pair for pair in pairs(patients, "disc_height_mm") if abs(pair[2] - pair[3]) > 1
    ]
    sys.stdout.write("\nHeights that differ by more than 1 mm:\n")
    for patient, level, one, other in far:
        sys.stdout.write(
            f"- {patient} {level}: {one:.1f} drawn, {other:.1f} predicted\n"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("split")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--patients", nargs="+")
    options = parser.parse_args()
    main(options.split, options.patients, options.models)
