"""Fits and tests the standard uncertainty against hand-drawn outlines.

Run as `python -m tests.accuracy.uncertainty train` to fit: it prints the terms of the
table of quantities. Run with `public_test` to test the terms that are there: it prints
the share of drawn values within one and two standard uncertainties, of discs that are
not refused for theirs.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.tissue_map import TissueMap
from analysis.lumbar.check.series import examine
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.judge.artefacts import unfit_discs
from analysis.lumbar.judge.resolve import withheld
from analysis.lumbar.judge.uncertainty import (
    height_doubts,
    sensitivity,
    with_uncertainty,
)
from analysis.lumbar.measure.measured_sites import Site
from analysis.lumbar.measure.measurements import Measured, measure_spine
from analysis.lumbar.measure.quantities import OF_BODIES, OF_LEVELS, OF_SPINE
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from tests.support import spider

S = TypeVar("S", bound=Site)

_COVERED = 0.683
"""Share of a normal distribution within one standard deviation."""
_OUTLIER = 3.0
_FITTED = "train"
Point = tuple[float, float, float, float, float]
"""Error, value, blur, spread, and the uncertainty that is given today (or 0)."""


def points(split: str) -> dict[str, list[Point]]:
    """Return what is known of every value of a split, by quantity."""
    networks = load_networks(threads=1)
    found: dict[str, list[Point]] = defaultdict(list)
    for patient in spider.patients(split):
        volume = spider.read_volume(patient)
        try:
            outlines = spider.tissue_map(volume, spider.read_tissue(patient))
            drawn = _anatomy(outlines, s1_is_given=True)
            seen = _anatomy(segment(examine(volume), networks))
        except Refused as outcome:
            sys.stderr.write(f"{patient}: {outcome.code}\n")
            continue
        # A fit has to know those that are to be refused.
        for key, point in _pairs(patient, drawn, seen, delivered=split != _FITTED):
            found[key].append(point)
    return found


def _anatomy(tissues: TissueMap, *, s1_is_given: bool = False) -> Anatomy:
    levels = name_levels(tissues, s1_is_given=s1_is_given)
    return Anatomy(tissues=tissues, levels=levels)


def _pairs(
    patient: str, drawn: Anatomy, seen: Anatomy, *, delivered: bool
) -> Iterator[tuple[str, Point]]:
    volume = spider.read_volume(patient)
    true, own = (
        measure_spine(one, volume, label_source(one.tissues, one.levels.names))
        for one in (drawn, seen)
    )
    own = with_uncertainty(own)
    if delivered:
        own = withheld(own, (*height_doubts(own), *unfit_discs(own)))
    for first, second in zip(true.discs, own.discs, strict=True):
        yield from _known(OF_LEVELS, first, second)
    bodies = {body.vertebra.number: body for body in own.bodies}
    for drawn_body in true.bodies:
        if drawn_body.vertebra.number in bodies:
            yield from _known(
                OF_BODIES, drawn_body, bodies[drawn_body.vertebra.number], "body: "
            )
    yield from _known(OF_SPINE, true.spine, own.spine, "spine: ")


def _known(
    quantities: Sequence[Quantity[S]],
    drawn: Measured[S],
    own: Measured[S],
    prefix: str = "",
) -> Iterator[tuple[str, Point]]:
    """Yield what both outlines of a site have."""
    for quantity in quantities:
        key = quantity.key
        truth, value = drawn.number(key), own.number(key)
        if truth is not None and value is not None:
            blur, spread = sensitivity(quantity, own.site, value)
            given = own.uncertainty.get(key, 0.0)
            yield f"{prefix}{key}", (value - truth, value, blur, spread, given)


def fit(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return floor, share, blur and spread that cover 68 % of the errors.

    The squares of the errors are fitted by squares of the parts; then all are scaled.
    """
    error, value, blur, spread, _ = table.T
    limit = _OUTLIER * np.percentile(np.abs(error), 100 * _COVERED)
    squared = np.minimum(np.abs(error), limit) ** 2
    parts = np.stack([np.ones(len(error)), value**2, blur**2, spread**2], axis=1)
    size = np.maximum(parts.mean(axis=0), 1e-12)
    shares, _ = nnls(parts / size, squared)
    terms = np.sqrt(shares / size)
    given = np.sqrt(parts @ terms**2)
    scale = np.percentile(np.abs(error) / given, 100 * _COVERED)
    return np.asarray(terms * scale)


def main(split: str) -> None:
    """Fit on `train`, test on anything else."""
    for key, found in points(split).items():
        table = np.array(found)
        ratio = np.abs(table[:, 0]) / np.maximum(table[:, 4], 1e-9)
        within = [f"{np.mean(ratio <= limit):.2f}" for limit in (1, 2)]
        line = (
            f"| {key} | {len(table)} | {table[:, 4].mean():.3f} "
            f"| {table[:, 0].std():.3f} | {' | '.join(within)} |"
        )
        if split == _FITTED:
            floor, share, blur, spread = fit(table)
            line += (
                f' "{key}": Terms(floor={floor:.3g}, share={share:.3g}, '
                f"blur={blur:.3g}, spread={spread:.3g}),"
            )
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1])
