"""Tests the standard uncertainty against outlines that other sources drew.

Run as `python -m tests.accuracy.uncertainty_by_source train`. It prints, by source and
quantity, the error of what the networks found and the share of drawn values within one
and two standard uncertainties. `fcs_vb1` and `fcs_vb2` drew bodies, `fcs_ivd` and
MRSpineSeg discs: what they drew takes the place of what the networks found, and the
rest stays. The networks have learnt from all of train. SPIDER, whose outlines the
uncertainty was fitted to, is tested by `tests.accuracy.uncertainty`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.dilation import grown
from analysis.imaging.sagittal_grid import sample_picture
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, Tissue
from analysis.lumbar.anatomy.tissue_map import FULL
from analysis.lumbar.check.series import examine
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.judge.artefacts import unfit_discs
from analysis.lumbar.judge.resolve import withheld
from analysis.lumbar.judge.uncertainty import height_doubts, with_uncertainty
from analysis.lumbar.measure.measurements import Measured, measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.training.levels.labelled import (
    LabelledSeries,
    single_slices,
    whole_series,
)
from tests.support import spider

_BODIES = (
    "body_height_mm",
    "body_length_mm",
    "body_anterior_height_mm",
    "body_middle_height_mm",
    "body_posterior_height_mm",
)
_BETWEEN = (
    "interbody_height_mm",
    "interbody_anterior_height_mm",
    "interbody_middle_height_mm",
    "interbody_posterior_height_mm",
    "segment_lordosis_deg",
    "wedge_angle_deg",
)
_DISCS = (
    "disc_height_mm",
    "anterior_height_mm",
    "middle_height_mm",
    "posterior_height_mm",
    "disc_length_mm",
    "disc_area_mm2",
)
_TESTED = {
    "vb1": (*_BODIES, *_BETWEEN),
    "vb2": (*_BODIES, *_BETWEEN),
    "ivd": _DISCS,
    "mrspineseg2d": _DISCS,
}
_DISC_NUMBERS = frozenset(disc.number for disc in DISCS)
_AROUND_PX = 4
"""What the network knew so close to what was drawn or found is left out."""
Point = tuple[float, float]
"""Error, and the uncertainty that is told; 0 where none is."""


def source_of(series: LabelledSeries) -> str:
    """Return the source that a series is of."""
    return series.name.replace(" ", "_").split("_")[0]


def as_drawn(found: Anatomy, drawn: NDArray[np.uint8]) -> Anatomy:
    """Put drawn structures in the place of those of the same name that were found.

    Parameters
    ----------
    drawn : ndarray, shape of the series, uint8
        Numbers of structures; 0 where nothing was drawn.
    """
    grid, names = found.tissues.grid, found.levels.names.copy()
    probability = found.tissues.probability.copy()
    for number in np.unique(drawn[drawn > 0]).tolist():
        channel = Tissue.DISC if number in _DISC_NUMBERS else Tissue.BODY
        mine = (drawn == number).astype(np.float32)
        share = np.stack([sample_picture(grid, mine, i) for i in range(len(names))])
        mask = share > 1 / 2
        around = grown(mask | (names == number), _AROUND_PX)
        names[names == number] = 0
        names[mask] = number
        planes = probability.transpose(1, 0, 2, 3)
        planes[channel][around] = np.rint(share * FULL)[around]
        if channel is Tissue.BODY:
            planes[Tissue.S1][around] = 0
    return Anatomy(
        tissues=replace(found.tissues, probability=probability),
        levels=replace(found.levels, names=names),
    )


def points(
    series: LabelledSeries, found: Anatomy, drawn: NDArray[np.uint8]
) -> Iterator[tuple[str, Point]]:
    """Yield error and uncertainty of every value that rests on drawn outlines."""
    volume = series.volume
    labels = label_source(found.tissues, found.levels.names)
    true = measure_spine(as_drawn(found, drawn), volume, labels)
    own = with_uncertainty(measure_spine(found, volume, labels))
    own = withheld(own, (*height_doubts(own), *unfit_discs(own)))
    known = set(np.unique(drawn).tolist())
    wanted = _TESTED[source_of(series)]
    truths: dict[str, Measured[Any]] = {row.level: row for row in true.discs}
    truths |= {body.vertebra.label: body for body in true.bodies}
    for row in own.discs:
        bodies = {row.site.above.structure.number, row.site.below.structure.number}
        if (bodies if wanted is not _DISCS else {row.disc.number}) <= known:
            yield from _pairs(truths[row.level], row, wanted)
    for body in own.bodies:
        label = body.vertebra.label
        if body.vertebra.number in known and label in truths:
            yield from _pairs(truths[label], body, wanted)


def _pairs(
    true: Measured[Any], own: Measured[Any], wanted: tuple[str, ...]
) -> Iterator[tuple[str, Point]]:
    for key in wanted:
        if key not in own.values:
            continue
        truth, value = true.number(key), own.number(key)
        if truth is not None and value is not None:
            yield key, (value - truth, own.uncertainty.get(key, 0.0))


def main(split: str) -> None:
    """Print a table for each source."""
    networks = load_networks(threads=1)
    found: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for series in chain(
        whole_series(spider.SHARED, split), single_slices(spider.SHARED, split)
    ):
        if source_of(series) not in _TESTED or series.drawn is None:
            continue
        try:
            tissues = segment(examine(series.volume), networks, threads=1)
            anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
        except Refused as outcome:
            sys.stderr.write(f"{series.name}: {outcome.code}\n")
            continue
        for key, point in points(series, anatomy, series.drawn):
            found[source_of(series), key].append(point)
    for (source, key), rows in sorted(found.items()):
        error, told = np.array(rows).T
        spread = f"{error.mean():+.2f} | {error.std():.2f}"
        line = f"| {source} | {key} | {len(rows)} | {spread} "
        if told.all():
            within = [np.mean(np.abs(error) <= limit * told) for limit in (1, 2)]
            line += f"| {told.mean():.2f} | {within[0]:.2f} | {within[1]:.2f} "
        sys.stdout.write(f"{line}|\n")


if __name__ == "__main__":
    main(sys.argv[1])
