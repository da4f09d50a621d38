"""Compares what is measured of bodies, interbody spaces and canal with drawn outlines.

Run as `python -m tests.accuracy.spine_shape train` or `... public_test`, on the SPIDER
patients of a split: the drawn outlines and those of the networks go through the same
code. S1 was drawn on three slices of most patients, the canal on all. Prints, too, how
well slip and bulge tell the levels that a radiologist called slipped or bulging.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.structures import DISCS, level_of
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.measure.measurements import SpineMeasurements
from tests.accuracy import lumbar
from tests.support import spider

KEYS = (
    "wedge_angle_deg",
    "interbody_height_mm",
    "interbody_anterior_height_mm",
    "interbody_middle_height_mm",
    "interbody_posterior_height_mm",
    "segment_lordosis_deg",
    "slip_mm",
    "slip_percent",
    "rear_bulge_mm",
    "canal_ap_diameter_mm",
    "coronal_tilt_deg",
)
BODY_KEYS = (
    "body_anterior_height_mm",
    "body_middle_height_mm",
    "body_posterior_height_mm",
    "body_height_ratio",
    "canal_ap_diameter_mm",
)
SPINE_KEYS = (
    "lordosis_l1_s1_deg",
    "sacral_slope_deg",
    "coronal_angle_deg",
    "least_canal_ap_diameter_mm",
)
SACRAL = "L5/S1"
Pairs = dict[str, list[tuple[float, float]]]
"""Drawn and found values, by what they are of."""


def values(measured: SpineMeasurements) -> Iterator[tuple[str, str, float]]:
    """Yield the name of a table's row, the site, and the value that is known."""
    for row in measured.discs:
        group = "L5/S1" if row.level == SACRAL else "discs L1/L2 to L4/L5"
        for key in KEYS:
            if (value := row.number(key)) is not None:
                yield f"`{key}`, {group}", row.level, value
    for body in measured.bodies:
        for key in BODY_KEYS:
            if (value := body.number(key)) is not None:
                yield f"`{key}`, bodies T11 to L5", body.vertebra.label, value
    for key in SPINE_KEYS:
        if (value := measured.spine.number(key)) is not None:
            yield f"`{key}`, spine", "", value


def pairs(readings: dict[str, tuple[SpineMeasurements, SpineMeasurements]]) -> Pairs:
    """Return what is known by both outlines."""
    found: Pairs = defaultdict(list)
    for drawn, own in readings.values():
        known = {(name, site): value for name, site, value in values(own)}
        for name, site, value in values(drawn):
            if (name, site) in known:
                found[name].append((value, known[name, site]))
    return found


def line(name: str, both: NDArray[np.float64]) -> str:
    """Return one row of the table."""
    gap = both[:, 1] - both[:, 0]
    together = float(np.asarray(np.corrcoef(both.T))[0, 1])
    return (
        f"| {name} | {len(both)} | {np.median(both[:, 0]):.2f} | {gap.mean():+.2f} "
        f"| {np.abs(gap).mean():.2f} | {gap.std():.2f} | {together:.2f} "
        f"| {lumbar.agreement(both[:, 0], both[:, 1]):.2f} |"
    )


def graded(column: str) -> dict[tuple[str, str], bool]:
    """Return by patient and level whether a radiologist saw something."""
    path = spider.SHARED / "spider_t2space" / "radiological_gradings.csv"
    with path.open(newline="") as stream:
        return {
            (row["Patient"].zfill(3), level_of(DISCS[int(row["IVD label"]) - 1])): int(
                row[column]
            )
            > 0
            for row in csv.DictReader(stream)
            if int(row["IVD label"]) <= len(DISCS)
        }


def separation(with_it: list[float], without: list[float]) -> float:
    """Return the area under the ROC curve."""
    one, other = np.array(with_it)[:, None], np.array(without)[None]
    return float(((one > other) + 0.5 * (one == other)).mean())


def told_apart(
    readings: dict[str, tuple[SpineMeasurements, SpineMeasurements]],
    key: str,
    column: str,
) -> str:
    """Say how well a value tells the levels in which a radiologist saw something."""
    seen = graded(column)
    found: dict[bool, list[float]] = {True: [], False: []}
    for patient, (_, own) in readings.items():
        for row in own.discs:
            value = row.number(key)
            if value is not None and (patient, row.level) in seen:
                size = abs(value) if key.startswith("slip") else value
                found[seen[patient, row.level]].append(size)
    if not found[True] or not found[False]:
        return f"{column}: none graded"
    area = separation(found[True], found[False])
    return (
        f"{column} by {key}: {len(found[True])} of {sum(map(len, found.values()))} "
        f"levels, area under the curve {area:.2f}; seen "
        f"{np.median(found[True]):.1f}, not seen {np.median(found[False]):.1f} "
        f"(95 % of them below {np.percentile(found[False], 95):.1f})"
    )


def main(split: str) -> None:
    """Write the tables of a split."""
    networks = load_networks(threads=2)
    readings = {}
    for patient in spider.patients(split):
        try:
            drawn, own = lumbar.drawn(patient), lumbar.predicted(patient, networks)
        except Refused as refused:
            sys.stdout.write(f"{patient}: {refused.code}\n")
            continue
        readings[patient] = (drawn.rows, own.rows)
    sys.stdout.write(
        "| what | n | drawn median | bias | mean abs. diff. | SD | r | ICC |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    for name, both in sorted(pairs(readings).items()):
        sys.stdout.write(f"{line(name, np.array(both))}\n")
    for key, column in (
        ("slip_mm", "Spondylolisthesis"),
        ("rear_bulge_mm", "Disc bulging"),
        ("rear_bulge_mm", "Disc herniation"),
    ):
        sys.stdout.write(f"\n{told_apart(readings, key, column)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
