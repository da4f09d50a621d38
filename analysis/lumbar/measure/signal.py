"""The signal of a disc in its series: which voxels, and against which CSF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.dilation import deeper_than
from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.named_levels import windows_of
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import CANAL
from analysis.lumbar.measure.discs_and_bodies import SlabMeasurement
from analysis.lumbar.measure.signal_difference import (
    EROSION_MM,
    CsfReference,
    csf_reference,
    mean_ratio,
    reference_difference,
    signal_difference,
)
from analysis.lumbar.number_or_reason import Missing, Value

_NUCLEUS_SHARE = 0.5
"""Of both axes of a disc: the nucleus fills 30 to 50 % of its section, and this
quarter lies inside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscSignal:
    """Signal of one disc; `reference` is its delta-SI by the reference."""

    delta_si: Value
    ratio_csf: Value
    nucleus_ratio_csf: Value
    reference: Value


_NO_WINDOW = (slice(0), slice(0))


@dataclass(frozen=True, slots=True)
class SignalReader:
    """Reads grey values of the series where the structures lie.

    Parameters
    ----------
    csf
        What signal is read against.
    canals
        Grey values of the inner canal, by slice of the series.
    windows
        Rows and columns that hold a structure in all slices, by its number.
    """

    anatomy: Anatomy
    volume: Volume
    labels: NDArray[np.uint8]
    csf: CsfReference
    canals: Mapping[int, NDArray[np.float32]]
    windows: Mapping[int, tuple[slice, slice]]

    @classmethod
    def of(
        cls,
        anatomy: Anatomy,
        volume: Volume,
        labels: NDArray[np.uint8],
    ) -> SignalReader:
        """Read CSF along the whole canal."""
        slices = anatomy.middle_slices(CANAL)
        sources = [anatomy.tissues.grid.source_slice(index) for index in slices]
        canals = {source: _inner_canal(volume, labels, source) for source in sources}
        windows = {number: held[1:] for number, held in windows_of(labels).items()}
        return cls(anatomy, volume, labels, _csf(volume, canals), canals, windows)

    def read(self, slab: SlabMeasurement) -> DiscSignal:
        """Return the signal of one disc."""
        missing = slab.height_mm
        if isinstance(missing, Missing):
            return DiscSignal(
                delta_si=missing,
                ratio_csf=missing,
                nucleus_ratio_csf=missing,
                reference=missing,
            )
        grid = self.anatomy.tissues.grid
        slices = self.anatomy.middle_slices(slab.structure)
        sources = [grid.source_slice(index) for index in slices]
        discs, nuclei = [], []
        number = slab.structure.number
        window = self.windows.get(number, _NO_WINDOW)
        for source in sources:
            mine = self.labels[source][window] == number
            discs.append(self.volume.voxels[source][window][mine])
            central = _central(mine, self.volume.frame.spacing_mm[1:])
            nuclei.append(discs[-1][central])
        canal = self.canals.get(sources[0])
        if canal is None:
            canal = _inner_canal(self.volume, self.labels, sources[0])
        values = np.concatenate(discs)
        return DiscSignal(
            delta_si=signal_difference(values, self.csf),
            ratio_csf=mean_ratio(values, self.csf),
            nucleus_ratio_csf=mean_ratio(np.concatenate(nuclei), self.csf),
            reference=reference_difference(discs[0], canal),
        )


def _central(
    mask: NDArray[np.bool_], spacing_mm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Say for each voxel of a disc whether it lies in the middle half of both axes.

    The axes are those of the outline's second moments; of a rectangle the half side is
    the square root of three standard deviations.
    """
    points = np.argwhere(mask) * spacing_mm
    if len(points) < 2:  # noqa: PLR2004 - no axes
        return np.zeros(len(points), np.bool_)
    offset = points - points.mean(axis=0)
    spread, axes = np.linalg.eigh(offset.T @ offset / len(points))
    half_mm = np.sqrt(3 * np.maximum(spread, 1e-6))
    return np.asarray((np.abs(offset @ axes) <= _NUCLEUS_SHARE * half_mm).all(axis=1))


def _csf(volume: Volume, canals: Mapping[int, NDArray[np.float32]]) -> CsfReference:
    """Read CSF along the whole canal: at a stenosis there is none beside the disc."""
    values, highest = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    for source, inner in canals.items():
        values.append(inner)
        highest.append(np.full(len(inner), volume.voxels[source].max()))
    return csf_reference(np.concatenate(values), np.concatenate(highest))


def _inner_canal(
    volume: Volume, labels: NDArray[np.uint8], source: int
) -> NDArray[np.float32]:
    """Return the grey values of the canal in one slice, without its edge."""
    canal = labels[source] == CANAL.number
    window = window_of(canal)
    if window is None:
        return np.empty(0, np.float32)
    # What lies beside the window is no canal.
    inner = deeper_than(canal[window], EROSION_MM, volume.frame.spacing_mm[1:])
    values: NDArray[np.float32] = volume.voxels[source][window][inner]
    return values
