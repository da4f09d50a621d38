"""All measurements of a spine: one row a disc, one a vertebra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from analysis.contract.measurement import Outline
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import (
    DISCS,
    MEASURED_LEVELS,
    VERTEBRAE,
    Structure,
    level_of,
)
from analysis.lumbar.measure.discs_and_bodies import (
    SlabMeasurement,
    measure_body,
    measure_disc,
)
from analysis.lumbar.measure.signal import SignalReader
from analysis.lumbar.measure.uncertainty import TERMS, uncertainties
from analysis.lumbar.measure.zheng2022.parameters import (
    ReferenceValues,
    reference_geometry,
    reference_values,
)
from analysis.lumbar.value import Missing, Value, ratio

_S1 = VERTEBRAE[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscRow:
    """What is known of one disc level.

    Parameters
    ----------
    disc_height_mm, anterior_height_mm, middle_height_mm, posterior_height_mm
        Mean over the central 80 %, and at its front end, middle and rear end.
    signal_ratio_csf, nucleus_ratio_csf
        Mean signal of the disc and of its central quarter over that of CSF.
    reference
        The parameters as the reference defines them.
    blur_mm
        How unsharp the outline is, as `SlabMeasurement` defines it.
    uncertainty
        Standard uncertainty of what was measured, by the name of the field.
    """

    disc: Structure
    disc_height_mm: Value
    anterior_height_mm: Value
    middle_height_mm: Value
    posterior_height_mm: Value
    disc_length_mm: Value
    disc_area_mm2: Value
    wedge_angle_deg: Value
    disc_height_index: Value
    height_diameter_ratio: Value
    delta_si: Value
    signal_ratio_csf: Value
    nucleus_ratio_csf: Value
    reference: ReferenceValues
    outline: Outline | None = None
    blur_mm: float | None = None
    uncertainty: Mapping[str, float] = field(default_factory=dict)

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
    """
    measured = [disc for disc in DISCS if level_of(disc) in MEASURED_LEVELS]
    slabs = [measure_disc(anatomy, disc) for disc in reversed(measured)]
    spine = [measure_body(anatomy, vertebra) for vertebra in VERTEBRAE]
    bodies = {body.structure.label: body for body in spine}
    geometry = reference_geometry(anatomy)
    reader = SignalReader.of(anatomy, volume, labels, signal_unfit)
    rows = []
    for slab in slabs:
        disc = slab.structure
        upper, lower = (bodies[name].height_mm for name in level_of(disc).split("/"))
        # The sacrum's first body is a wedge; its height is no height of a vertebra.
        body = upper if level_of(disc).endswith(_S1.label) else _mean(upper, lower)
        signal = reader.read(slab)
        row = DiscRow(
            disc=disc,
            disc_height_mm=slab.height_mm,
            anterior_height_mm=slab.anterior_height_mm,
            middle_height_mm=slab.middle_height_mm,
            posterior_height_mm=slab.posterior_height_mm,
            disc_length_mm=slab.length_mm,
            disc_area_mm2=slab.area_mm2,
            wedge_angle_deg=slab.wedge_deg,
            disc_height_index=ratio(slab.height_mm, body),
            height_diameter_ratio=ratio(slab.height_mm, slab.length_mm),
            delta_si=signal.delta_si,
            signal_ratio_csf=signal.ratio_csf,
            nucleus_ratio_csf=signal.nucleus_ratio_csf,
            reference=reference_values(geometry[disc.number], signal.reference),
            outline=slab.outline,
            blur_mm=slab.blur_mm,
        )
        values = {key: getattr(row, key) for key in TERMS}
        rows.append(replace(row, uncertainty=uncertainties(slab, values)))
    present = [body for body in bodies.values() if body.outline is not None]
    return Rows(discs=tuple(rows), bodies=tuple(present))


def _mean(first: Value, second: Value) -> Value:
    if isinstance(first, Missing):
        return first
    if isinstance(second, Missing):
        return second
    return (first + second) / 2
