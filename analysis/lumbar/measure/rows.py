"""All measurements of a spine: one row a disc, one a vertebra."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Absence, Outline
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy import (
    CANAL,
    DISCS,
    MEASURED_LEVELS,
    VERTEBRAE,
    Structure,
    level_of,
)
from analysis.lumbar.measure.disc_signal import (
    EROSION_MM,
    CsfReference,
    csf_reference,
    signal_difference,
)
from analysis.lumbar.measure.geometry import (
    SlabMeasurement,
    measure_body,
    measure_disc,
)
from analysis.lumbar.measure.plane import Anatomy
from analysis.lumbar.measure.quantity import Missing, Quantity, ratio

_GRADE_MISSING = Missing(
    absence=Absence.NOT_ATTEMPTED,
    code="not_offered",
    text="grading is not offered by this version",
)
_S1 = VERTEBRAE[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscRow:
    """What is known of one disc level."""

    disc: Structure
    disc_height_mm: Quantity
    disc_length_mm: Quantity
    disc_height_index: Quantity
    height_diameter_ratio: Quantity
    delta_si: Quantity
    pfirrmann_grade: Missing = _GRADE_MISSING
    outline: Outline | None = None

    @property
    def level(self) -> str:
        """Such as `L4/L5`."""
        return level_of(self.disc)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """All discs that are reported, from L1/L2 down, and all vertebral bodies."""

    discs: tuple[DiscRow, ...]
    bodies: tuple[SlabMeasurement, ...]


def measure_rows(
    anatomy: Anatomy,
    volume: Volume,
    labels: NDArray[np.uint8],
    signal_unfit: Missing | None,
    *,
    threads: int = 1,
) -> Rows:
    """Measure every level that a report has a row for.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    volume, labels
        The series, and its named structures on its own grid.
    signal_unfit
        Why no signal of this series can be used; None where it can.
    threads
        That share the structures.
    """
    measured = [disc for disc in DISCS if level_of(disc) in MEASURED_LEVELS]
    with ThreadPoolExecutor(threads) as pool:
        slabs = tuple(pool.map(partial(measure_disc, anatomy), reversed(measured)))
        spine = tuple(pool.map(partial(measure_body, anatomy), VERTEBRAE))
    bodies = {body.structure.label: body for body in spine}
    csf = (
        CsfReference(signal=signal_unfit)
        if signal_unfit
        else _csf(anatomy, volume, labels)
    )
    rows = []
    for slab in slabs:
        disc = slab.structure
        upper, lower = (bodies[name].height_mm for name in level_of(disc).split("/"))
        # The sacrum's first body is a wedge; its height is no height of a vertebra.
        body = upper if level_of(disc).endswith(_S1.label) else _mean(upper, lower)
        rows.append(
            DiscRow(
                disc=disc,
                disc_height_mm=slab.height_mm,
                disc_length_mm=slab.length_mm,
                disc_height_index=ratio(slab.height_mm, body),
                height_diameter_ratio=ratio(slab.height_mm, slab.length_mm),
                delta_si=_delta_si(anatomy, volume, labels, slab, csf),
                outline=slab.outline,
            )
        )
    present = [body for body in bodies.values() if body.outline is not None]
    return Rows(discs=tuple(rows), bodies=tuple(present))


def _mean(first: Quantity, second: Quantity) -> Quantity:
    if isinstance(first, Missing):
        return first
    if isinstance(second, Missing):
        return second
    return (first + second) / 2


def _delta_si(
    anatomy: Anatomy,
    volume: Volume,
    labels: NDArray[np.uint8],
    slab: SlabMeasurement,
    csf: CsfReference,
) -> Quantity:
    if isinstance(slab.height_mm, Missing):
        return slab.height_mm
    grid = anatomy.tissues.grid
    values = []
    for index in anatomy.middle_slices(slab.structure):
        source = grid.source_slice(index)
        mine = labels[source] == slab.structure.number
        values.append(volume.voxels[source][mine])
    return signal_difference(np.concatenate(values), csf)


def _csf(anatomy: Anatomy, volume: Volume, labels: NDArray[np.uint8]) -> CsfReference:
    """Read CSF along the whole canal: at a stenosis there is none beside the disc."""
    from scipy import ndimage

    values, highest = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    grid = anatomy.tissues.grid
    for index in anatomy.middle_slices(CANAL):
        source = grid.source_slice(index)
        canal = labels[source] == CANAL.number
        depth = ndimage.distance_transform_edt(canal, volume.frame.spacing_mm[1:])
        inner = volume.voxels[source][depth > EROSION_MM]
        values.append(inner)
        highest.append(np.full(len(inner), volume.voxels[source].max()))
    return csf_reference(np.concatenate(values), np.concatenate(highest))
