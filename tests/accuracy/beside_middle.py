"""Measures by how much a disc's height changes when its middle lies beside the slices.

Run as `python -m tests.accuracy.beside_middle train`: discs of SPIDER, `fcs_ivd`,
`fcs_vb1` and `fcs_vb2` whose middle is seen, measured in the slices from some distance
beside it on, at either side, as they would be if the others were missing.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np

from analysis.lumbar.anatomy.spine import HALF_WIDTH_MM, Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE
from analysis.lumbar.check.series import examine
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.measure.canal import BESIDE_SLICES
from analysis.lumbar.measure.discs_and_bodies import middle_half
from analysis.lumbar.measure.measurements import measure_spine
from analysis.lumbar.measure.slab import measure_slab
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from tests.accuracy.fitted_limits import series

FROM_MM = (0.0, 2.0, 4.0, 6.0, 8.0)
WIDTH_MM = 8.0
"""Of what is measured at a side: as much as is seen of a canal there."""
_MIN_SLICES = 4


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


def main(split: str) -> None:
    """Write the change of height by distance from the middle."""
    networks = load_networks(threads=2)
    changes: dict[float, list[float]] = defaultdict(list)
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
            if beside or not anatomy.shows_canal(row.disc):
                continue
            known = heights_of(anatomy, DISCS.index(row.disc))
            near = [mm for at, mm in known.items() if abs(at) <= HALF_WIDTH_MM]
            if len(near) < _MIN_SLICES:
                continue
            for first in FROM_MM:
                for side in (1, -1):
                    part = [
                        mm
                        for at, mm in known.items()
                        if first <= side * at <= first + WIDTH_MM
                    ]
                    if len(part) >= _MIN_SLICES:
                        changes[first].append(middle_half(part) - middle_half(near))
    for first, values in changes.items():
        gaps = np.array(values)
        sys.stdout.write(
            f"from {first:.0f} mm: n {len(gaps)}, mean {gaps.mean():+.2f}, SD "
            f"{gaps.std():.2f}, mean abs. {np.abs(gaps).mean():.2f}, 95 % within "
            f"{np.quantile(np.abs(gaps), 0.95):.2f} mm\n"
        )


if __name__ == "__main__":
    main(sys.argv[1])
