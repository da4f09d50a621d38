"""Measures by how much a disc's height changes when its middle lies beside the slices.

Run as `python -m tests.accuracy.beside_middle train`: discs of SPIDER, `fcs_ivd`,
`fcs_vb1` and `fcs_vb2` whose middle is seen, measured in the slices from some distance
beside it on, at either side, as they would be if the others were missing. Then slices
are taken from one side, one after the other: around the middle of what is seen of the
canal, where discs are measured, and around the middle that its shape tells, how far are
heights off? Last, both middles on drawn outlines and on those of the networks.
"""

from __future__ import annotations

import itertools
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.spine import HALF_WIDTH_MM, Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Structure
from analysis.lumbar.check.series import examine
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.measure.canal import BESIDE_SLICES, middle_of
from analysis.lumbar.measure.discs_and_bodies import middle_half
from analysis.lumbar.measure.measurements import measure_spine
from analysis.lumbar.measure.slab import measure_slab
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from tests.accuracy.fitted_limits import series
from tests.support import spider

FROM_MM = (0.0, 2.0, 4.0, 6.0, 8.0)
WIDTH_MM = 8.0
"""Of what is measured at a side: as much as is seen of a canal there."""
_MIN_SLICES = 4
_LEVELS = 5
_MISNAMED = frozenset({"107"})
"""Whose levels were drawn one lower than they are told."""
_AGREE_MM = 1.0
"""Where the middle of what is seen and that of the shape lie closer, it is known."""
_AT_MOST_BESIDE_MM, _WITHIN_MM = 4.0, 9.0
"""Middles that lie so far beside the slices that are left, or so far inside."""
_CUT_SHARE = 0.6
"""Of its largest section: an outermost slice with less shows the side of a canal."""
_ENDS_MM = (-_AT_MOST_BESIDE_MM, -1.0, 1.0, _WITHIN_MM)


def heights_of(anatomy: Anatomy, place: int) -> dict[float, float]:
    """Return the height of a disc (mm) by how far its slices lie beside its middle."""
    disc = DISCS[place]
    middle, window = anatomy.middle_slice(disc), anatomy.levels.windows.get(disc.number)
    found: dict[float, float] = {}
    if middle is None or window is None:
        return found
    for index in range(window[0].start, window[0].stop):
        fields = [
            anatomy.field(one, index)
            for one in (disc, VERTEBRAE[place + 1], VERTEBRAE[place])
        ]
        own, above, below = fields
        if own is None:
            continue
        facing = None if above is None or below is None else (above, below)
        slab = measure_slab(own, anatomy.down(disc), facing)
        if slab is not None:
            found[(index - middle) * anatomy.slice_mm] = slab.height_mm
    return found


def centre(areas: NDArray[np.int64]) -> float:
    """Return between which slices the middle of what is seen lies."""
    return float(np.average(np.arange(len(areas)), weights=areas))


def by_shape(areas: NDArray[np.int64]) -> float:
    """Return between which slices the canal's sections say that it is deepest.

    Where it leaves the slices at a side: over a level its sections are as its depths.
    Where it is deepest beside the slices, the outermost is the nearest.
    """
    if max(areas[0], areas[-1]) < _CUT_SHARE * areas.max():
        return centre(areas)
    shown = np.flatnonzero(areas)
    deepest = middle_of({int(index): float(areas[index]) for index in shown})
    if deepest is None:
        return centre(areas)
    return min(max(deepest, float(shown[0])), float(shown[-1]))


def height_around(
    by_slice: Mapping[int, float], middle: float, slice_mm: float
) -> float:
    """Return the height (mm) of the slices near a middle, at least of the nearest."""
    away_mm = {index: abs(index - middle) * slice_mm for index in by_slice}
    nearest = min(away_mm.values())
    limit_mm = max(HALF_WIDTH_MM, nearest)
    return middle_half([by_slice[i] for i, mm in away_mm.items() if mm <= limit_mm])


def without_a_side(
    by_slice: Mapping[int, float], areas: NDArray[np.int64], slice_mm: float
) -> Iterator[tuple[float, float, float]]:
    """Take slices from one side of a disc.

    Yields
    ------
    How far its middle lies inside what is left, and by how much the height is off
    around the middle of the canal that is seen, and around that which its shape tells
    (mm).
    """
    true = by_shape(areas)
    if abs(centre(areas) - true) * slice_mm >= _AGREE_MM:
        return
    whole = height_around(by_slice, true, slice_mm)
    count = len(areas)
    for first, last in (
        *((first, count - 1) for first in range(1, count - _MIN_SLICES)),
        *((0, last) for last in range(_MIN_SLICES, count - 1)),
    ):
        inside_mm = (true - first if first else last - true) * slice_mm
        rest = {i: mm for i, mm in by_slice.items() if first <= i <= last}
        left = areas[first : last + 1]
        is_near = -_AT_MOST_BESIDE_MM <= inside_mm < _WITHIN_MM
        if not is_near or not rest or not left.any():
            continue
        seen, own = (
            height_around(rest, first + middle, slice_mm) - whole
            for middle in (centre(left), by_shape(left))
        )
        yield inside_mm, seen, own


def known_discs(split: str) -> Iterator[tuple[Anatomy, Structure]]:
    """Yield the discs of a split whose middle lies in the slices."""
    networks = load_networks(threads=2)
    for _, volume in series(split):
        try:
            tissues = segment(examine(volume), networks, threads=2)
            levels = name_levels(tissues)
        except Refused:
            continue
        anatomy = Anatomy(tissues=tissues, levels=levels)
        rows = measure_spine(anatomy, volume, label_source(tissues, levels.names))
        for row in rows.discs:
            canal = row.values["canal_ap_diameter_mm"]
            beside = isinstance(canal, Missing) and canal.code == BESIDE_SLICES
            if not beside and anatomy.shows_canal(row.disc):
                yield anatomy, row.disc


def at_sides(known: Mapping[float, float]) -> Iterator[tuple[float, float]]:
    """Yield how far beside its middle a disc is measured, and what that changes."""
    near = [mm for at, mm in known.items() if abs(at) <= HALF_WIDTH_MM]
    if len(near) < _MIN_SLICES:
        return
    for first, side in itertools.product(FROM_MM, (1, -1)):
        last = first + WIDTH_MM
        part = [mm for at, mm in known.items() if first <= side * at <= last]
        if len(part) >= _MIN_SLICES:
            yield first, middle_half(part) - middle_half(near)


def main(split: str) -> None:
    """Write the change of height by distance from the middle."""
    taken: list[tuple[float, float, float]] = []
    discs = 0
    changes: dict[float, list[float]] = defaultdict(list)
    for anatomy, disc in known_discs(split):
        known = heights_of(anatomy, DISCS.index(disc))
        for first, change in at_sides(known):
            changes[first].append(change)
        middle, slice_mm = anatomy.middle_slice(disc), anatomy.slice_mm
        if middle is not None:
            by_slice = {round(at / slice_mm + middle): mm for at, mm in known.items()}
            new = list(without_a_side(by_slice, anatomy.canal_beside(disc), slice_mm))
            taken += new
            discs += bool(new)
    for first, values in changes.items():
        gaps = np.array(values)
        sys.stdout.write(
            f"from {first:.0f} mm: n {len(gaps)}, mean {gaps.mean():+.2f}, SD "
            f"{gaps.std():.2f}, mean abs. {np.abs(gaps).mean():.2f}, 95 % within "
            f"{np.quantile(np.abs(gaps), 0.95):.2f} mm\n"
        )
    _write_sides(np.array(taken), discs)
    _write_drawn(split)


def _write_sides(taken: NDArray[np.float64], discs: int) -> None:
    sys.stdout.write(f"slices taken from one side of {discs} discs:\n")
    for low, high in itertools.pairwise(_ENDS_MM):
        here = taken[(taken[:, 0] >= low) & (taken[:, 0] < high), 1:]
        sys.stdout.write(f"middle {low:+.0f} to {high:+.0f} mm inside, n {len(here)}")
        for name, values in zip(("seen", "by shape"), here.T, strict=True):
            sys.stdout.write(
                f"; around the middle {name}: bias {values.mean():+.3f}, mean abs. "
                f"{np.abs(values).mean():.3f}, 95 % within "
                f"{np.quantile(np.abs(values), 0.95):.2f} mm"
            )
        sys.stdout.write("\n")


def _write_drawn(split: str) -> None:
    """Write how well discs agree with drawn ones, each around its own middle."""
    networks = load_networks(threads=2)
    gaps: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for patient in spider.patients(split):
        if patient in _MISNAMED:
            continue
        volume = spider.read_volume(patient)
        outlines = spider.tissue_map(volume, spider.read_tissue(patient))
        try:
            tissues = segment(examine(volume), networks, threads=2)
            pair = [
                Anatomy(tissues=one, levels=name_levels(one, s1_is_given=given))
                for one, given in ((outlines, True), (tissues, False))
            ]
        except Refused:
            continue
        for disc in DISCS[:_LEVELS]:
            if all(one.shows_canal(disc) for one in pair):
                for name, middle_by in (("seen", centre), ("by shape", by_shape)):
                    drawn, own = (_around(one, disc, middle_by) for one in pair)
                    gaps[name].append((own[0] - drawn[0], own[1] - drawn[1]))
    for name, values in gaps.items():
        middles, heights = np.array(values).T
        sys.stdout.write(
            f"around the middle {name}, n {len(heights)}: middles of drawn and own "
            f"outlines {np.abs(middles).mean():.2f} mm apart; heights, bias "
            f"{heights.mean():+.3f}, mean abs. {np.abs(heights).mean():.3f}, SD "
            f"{heights.std():.3f} mm\n"
        )


def _around(
    anatomy: Anatomy, disc: Structure, middle_by: Callable[[NDArray[np.int64]], float]
) -> tuple[float, float]:
    """Return where the middle of a disc lies, and its height there (mm)."""
    seen, slice_mm = anatomy.middle_slice(disc), anatomy.slice_mm
    assert seen is not None
    known = heights_of(anatomy, DISCS.index(disc))
    by_slice = {round(at / slice_mm + seen): mm for at, mm in known.items()}
    middle = middle_by(anatomy.canal_beside(disc))
    return middle * slice_mm, height_around(by_slice, middle, slice_mm)


if __name__ == "__main__":
    main(sys.argv[1])
