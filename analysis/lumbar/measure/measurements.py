"""All that is measured of a spine, by the table of quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

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
    body_shapes,
    measure_body,
    measure_disc,
)
from analysis.lumbar.measure.height_loss import expected_shares
from analysis.lumbar.measure.measured_sites import DiscLevel, Site, Vertebra, WholeSpine
from analysis.lumbar.measure.quantities import (
    OF_BODIES,
    OF_LEVELS,
    OF_SPINE,
    OF_UPPER_LEVELS,
)
from analysis.lumbar.measure.quantity import Quantity
from analysis.lumbar.measure.signal import SignalReader
from analysis.lumbar.measure.zheng2022.parameters import zheng_geometry
from analysis.lumbar.number_or_reason import Missing, Value

S = TypeVar("S", bound=Site)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured(Generic[S]):
    """What was measured at one site.

    Parameters
    ----------
    site
        Where.
    values
        By the key of the quantity: a number, or why there is none.
    uncertainty
        Standard uncertainty of the numbers for which one is known, by the same key.
    """

    site: S
    values: Mapping[str, Value]
    uncertainty: Mapping[str, float] = field(default_factory=dict)

    def number(self, key: str) -> float | None:
        """Return a value that is known; None where it is not."""
        value = self.values[key]
        return None if isinstance(value, Missing) else value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredDisc(Measured[DiscLevel]):
    """What was measured at one disc level."""

    @property
    def disc(self) -> Structure:
        """The disc itself."""
        return self.site.disc

    @property
    def level(self) -> str:
        """Such as `L4/L5`."""
        return self.site.level

    @property
    def outline(self) -> Outline | None:
        """The disc in the slice nearest to its middle; None where it was not found."""
        return self.site.slab.outline


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredBody(Measured[Vertebra]):
    """What was measured at one vertebral body."""

    @property
    def vertebra(self) -> Structure:
        """The body itself."""
        return self.site.vertebra

    @property
    def outline(self) -> Outline | None:
        """The body in the slice nearest to its middle; None where it was not found."""
        return self.site.slab.outline


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpineMeasurements:
    """All that was measured.

    Parameters
    ----------
    discs
        Those that are always reported, from L1/L2 down.
    bodies
        Those that were found, from S1 up.
    spine
        The whole of it.
    upper
        T11/T12 and T12/L1, as far as they are in view, from the head down: they have
        neither grades nor norms.
    """

    discs: tuple[MeasuredDisc, ...]
    bodies: tuple[MeasuredBody, ...]
    spine: Measured[WholeSpine]
    upper: tuple[MeasuredDisc, ...] = ()


def measure_spine(
    anatomy: Anatomy,
    volume: Volume,
    labels: NDArray[np.uint8],
) -> SpineMeasurements:
    """Measure every quantity of every level that a report has a row for.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    volume, labels
        The series, and its named structures on its own grid.
    """
    slabs = [measure_body(anatomy, vertebra) for vertebra in VERTEBRAE]
    bodies = {slab.structure.label: slab for slab in slabs}
    shapes = body_shapes(anatomy, slabs)
    shares = expected_shares(shapes, slabs)
    geometry = zheng_geometry(anatomy)
    reader = SignalReader.of(anatomy, volume, labels)
    upper: list[DiscLevel] = []
    levels: list[DiscLevel] = []
    for disc in reversed(DISCS):
        slab = measure_disc(anatomy, disc)
        is_upper = level_of(disc) not in MEASURED_LEVELS
        if is_upper and (slab.outline is None or anatomy.cut_off(disc)):
            continue
        above, below = (bodies[name] for name in level_of(disc).split("/"))
        level = DiscLevel(
            anatomy=anatomy,
            shapes=shapes,
            shares=shares,
            slab=slab,
            above=above,
            below=below,
            signal=reader.read(slab),
            zheng=geometry[disc.number],
        )
        (upper if is_upper else levels).append(level)
    whole = WholeSpine(
        anatomy=anatomy,
        shapes=shapes,
        shares=shares,
        levels=tuple(levels),
        bodies=bodies,
    )
    found = [
        Vertebra(
            anatomy=anatomy, shapes=shapes, shares=shares, slab=slab, others=bodies
        )
        for slab in slabs
        if slab.outline is not None
    ]
    return SpineMeasurements(
        discs=tuple(
            MeasuredDisc(site=level, values=_read(OF_LEVELS, level)) for level in levels
        ),
        bodies=tuple(
            MeasuredBody(site=body, values=_read(OF_BODIES, body)) for body in found
        ),
        spine=Measured(site=whole, values=_read(OF_SPINE, whole)),
        upper=tuple(
            MeasuredDisc(site=level, values=_read(OF_UPPER_LEVELS, level))
            for level in upper
        ),
    )


def _read(quantities: Sequence[Quantity[S]], site: S) -> dict[str, Value]:
    return {quantity.key: quantity.read(site) for quantity in quantities}
