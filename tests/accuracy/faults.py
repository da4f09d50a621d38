"""Series that were looked at, and the faults that are put into them on purpose."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE
from analysis.lumbar.check.series import examine
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source

JUMP_MM = 4.0
SCREWED = VERTEBRAE[2]
_GHOST_MM, _GHOST_SHARE = 4.0, 0.4
_SCREW_MM = (6.0, 17.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Read:
    """A series that was segmented and named."""

    name: str
    volume: Volume
    anatomy: Anatomy
    labels: NDArray[np.uint8]


def looked_at(name: str, volume: Volume, networks: Networks) -> Read:
    """Segment and name a series.

    Raises
    ------
    Refused
        If it shows no spine.
    """
    tissues = segment(examine(volume), networks, threads=2)
    levels = name_levels(tissues)
    return Read(
        name=name,
        volume=volume,
        anatomy=Anatomy(tissues=tissues, levels=levels),
        labels=label_source(tissues, levels.names),
    )


def seamed(read: Read) -> Iterator[tuple[str, Read]]:
    """Yield a series without L3 and a disc, and one that shows them twice."""
    middles = []
    for disc in (DISCS[3], DISCS[2]):
        found = np.argwhere(read.labels == disc.number)
        if not len(found):
            return
        middles.append(np.rint(found[:, 1:].mean(axis=0)).astype(int).tolist())
    (upper, there), (lower, here) = middles

    def joined(end: int, begin: int, aside: int) -> Read:
        def of(values: NDArray[Any]) -> NDArray[Any]:
            above = np.roll(values[:, :end], aside, axis=2)
            return np.concatenate([above, values[:, begin:]], axis=1)

        volume = dataclasses.replace(read.volume, voxels=of(read.volume.voxels))
        return dataclasses.replace(read, volume=volume, labels=of(read.labels))

    yield "L3 cut out", joined(upper, lower, here - there)
    yield "L3 twice", joined(lower, upper, there - here)


def striped(read: Read, high_mm: float) -> Volume:
    """Take the signal from a stripe across the middle of L4/L5."""
    grid, plane = read.anatomy.tissues.grid, read.anatomy.levels.planes[DISCS[1].number]
    centre = plane.centre_mm[1:] / read.anatomy.pixel_mm
    row = float(grid.to_source_indices(centre[None])[0, 0])
    rows = np.arange(read.volume.voxels.shape[1])
    voxels = read.volume.voxels.copy()
    voxels[:, np.abs(rows - row) * read.volume.frame.spacing_mm[1] < high_mm / 2] = 0
    return dataclasses.replace(read.volume, voxels=voxels)


def jumping(anatomy: Anatomy) -> Anatomy:
    """Move every second slice to the feet, as a patient who moves in between."""
    names = anatomy.levels.names.copy()
    steps = round(JUMP_MM / anatomy.pixel_mm)
    names[1::2] = np.roll(names[1::2], steps, axis=1)
    return dataclasses.replace(
        anatomy, levels=dataclasses.replace(anatomy.levels, names=names)
    )


def screwed(read: Read) -> Volume:
    """Put a void as large as a screw into L4, in every slice that shows it."""
    mine = read.labels == SCREWED.number
    _, row, column = np.argwhere(mine).mean(axis=0)
    _, row_mm, column_mm = read.volume.frame.spacing_mm
    rows, columns = np.indices(mine.shape[1:])
    away = np.hypot(
        (rows - row) * row_mm / _SCREW_MM[0],
        (columns - column) * column_mm / _SCREW_MM[1],
    )
    voxels = read.volume.voxels.copy()
    voxels[:, away < 1] = 0
    return dataclasses.replace(read.volume, voxels=voxels)


def ghosted(volume: Volume) -> Volume:
    """Take four tenths of the lines of k-space with the patient 4 mm lower."""
    lines = np.fft.fft(volume.voxels, axis=1)
    count = lines.shape[1]
    chosen = np.random.default_rng(0).random(count) < _GHOST_SHARE
    shift_px = _GHOST_MM / float(volume.frame.spacing_mm[1])
    turn = np.exp(-2j * np.pi * np.fft.fftfreq(count) * shift_px)
    lines[:, chosen] *= turn[chosen, None]
    voxels = np.abs(np.fft.ifft(lines, axis=1)).astype(np.float32)
    return dataclasses.replace(volume, voxels=voxels)
