"""Tells whether a correction of coil shading (N4) helps before or after the networks.

Run as `python -m tests.accuracy.shading SPLIT`: the SPIDER patients of a split, as they
are and divided by the bias field of N4 (SimpleITK, shrunk by 4 within the slices, 30,
30 and 20 iterations). It prints how far heights lie from drawn ones and how often a
grade is the reader's, of the corrected picture throughout and of its signal alone, on
the outlines of the picture as it is; and what a correction takes.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
import time
from collections import defaultdict
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS
from analysis.lumbar.check.series import examine
from analysis.lumbar.find.networks import Networks, load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.judge.grade.grading import DiscGrade, grade_discs
from analysis.lumbar.measure.measurements import SpineMeasurements, measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.training.grading.scores import quadratic_kappa
from tests.support import spider

ITK: Any = SimpleITK
"""Its stubs type no call."""
SHRINK = 4
ITERATIONS = (30, 30, 20)
AS_IT_IS, CORRECTED = "as it is", "corrected"
SIGNAL_ALONE = "corrected for the signal alone"
SIGNALS = ("delta_si", "signal_ratio_csf")
_LEVELS = DISCS[:5]
_GRADES = 5


def without_shading(volume: Volume) -> Volume:
    """Return a series divided by the bias field that N4 finds in it."""
    picture = ITK.GetImageFromArray(volume.voxels)
    picture.SetSpacing(volume.frame.spacing_mm[::-1].tolist())
    small = ITK.Shrink(picture, [SHRINK, SHRINK, 1])
    mask = ITK.OtsuThreshold(small, 0, 1, 200)
    filters = ITK.N4BiasFieldCorrectionImageFilter()
    filters.SetMaximumNumberOfIterations(list(ITERATIONS))
    filters.Execute(small, mask)
    field = ITK.GetArrayFromImage(filters.GetLogBiasFieldAsImage(picture))
    return dataclasses.replace(
        volume, voxels=(volume.voxels / np.exp(field)).astype(np.float32)
    )


def readers_grades(patient: str) -> dict[int, int]:
    """Return the reader's grades of a patient by the number of the disc."""
    path = spider.SHARED / "spider_t2space" / "radiological_gradings.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [
            row for row in csv.DictReader(stream) if int(row["Patient"]) == int(patient)
        ]
    return {
        DISCS[int(row["IVD label"]) - 1].number: int(row["Pfirrman grade"])
        for row in rows
        if 1 <= int(row["IVD label"]) <= len(_LEVELS)
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What is read of one patient from one picture, on one set of outlines."""

    anatomy: Anatomy
    rows: SpineMeasurements
    grades: dict[int, int]


def read(volume: Volume, anatomy: Anatomy) -> Reading:
    """Measure and grade a picture on outlines."""
    labels = label_source(anatomy.tissues, anatomy.levels.names)
    graded = grade_discs(anatomy, volume, _LEVELS, None)
    return Reading(
        anatomy=anatomy,
        rows=measure_spine(anatomy, volume, labels),
        grades={
            number: one.grade
            for number, one in graded.items()
            if isinstance(one, DiscGrade)
        },
    )


def _anatomy(volume: Volume, networks: Networks) -> Anatomy:
    tissues = segment(examine(volume), networks)
    return Anatomy(tissues=tissues, levels=name_levels(tissues, s1_is_given=True))


def _drawn(patient: str, volume: Volume) -> SpineMeasurements:
    tissues = spider.tissue_map(volume, spider.read_tissue(patient))
    levels = name_levels(tissues, s1_is_given=True)
    anatomy = Anatomy(tissues=tissues, levels=levels)
    return measure_spine(anatomy, volume, label_source(tissues, levels.names))


def main(split: str) -> None:
    """Compare over a split."""
    networks = load_networks(threads=2)
    gaps: dict[str, list[float]] = defaultdict(list)
    pairs: dict[str, list[tuple[int, int]]] = defaultdict(list)
    signals: dict[str, list[tuple[float, float]]] = defaultdict(list)
    took_s = []
    for patient in spider.patients(split):
        volume = spider.read_volume(patient)
        started_s = time.process_time()
        even = without_shading(volume)
        took_s.append(time.process_time() - started_s)
        anatomy = _anatomy(volume, networks)
        readings = {
            AS_IT_IS: read(volume, anatomy),
            CORRECTED: read(even, _anatomy(even, networks)),
            SIGNAL_ALONE: read(even, anatomy),
        }
        truth, labels = _drawn(patient, volume), readers_grades(patient)
        for name, one in readings.items():
            for row, drawn in zip(one.rows.discs, truth.discs, strict=True):
                values = [x.number("disc_height_mm") for x in (row, drawn)]
                if values[0] is not None and values[1] is not None:
                    gaps[name].append(values[0] - values[1])
            pairs[name] += [
                (labels[number], grade)
                for number, grade in one.grades.items()
                if number in labels
            ]
        for key in SIGNALS:
            for row, other in zip(
                readings[AS_IT_IS].rows.discs,
                readings[SIGNAL_ALONE].rows.discs,
                strict=True,
            ):
                before, after = row.number(key), other.number(key)
                if before is not None and after is not None:
                    signals[key].append((before, after))
        sys.stderr.write(f"{patient}\n")
    _print(gaps, pairs, signals)
    sys.stdout.write(f"N4: processor s a series, median {np.median(took_s):.1f}\n")


def _print(
    gaps: dict[str, list[float]],
    pairs: dict[str, list[tuple[int, int]]],
    signals: dict[str, list[tuple[float, float]]],
) -> None:
    lines = [
        "| picture | heights | bias, mm | mean abs. diff., mm | grades | quadratic "
        "kappa | exact |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in gaps.items():
        table: NDArray[np.int64] = np.zeros((_GRADES, _GRADES), np.int64)
        for label, grade in pairs[name]:
            table[label - 1, grade - 1] += 1
        lines.append(
            f"| {name} | {len(found)} | {np.mean(found):+.3f} "
            f"| {np.abs(found).mean():.3f} | {table.sum()} "
            f"| {quadratic_kappa(table):.2f} "
            f"| {np.trace(table) / table.sum():.2f} |"
        )
    for key, values in signals.items():
        before, after = np.array(values).T
        lines.append(
            f"\n{key}, {len(before)} discs: corrected less as it is "
            f"{np.mean(after - before):+.3f}, SD {np.std(after - before, ddof=1):.3f}, "
            f"r {np.corrcoef(before, after)[0, 1]:.3f}"
        )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
