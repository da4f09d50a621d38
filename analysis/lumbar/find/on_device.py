"""Finding tissues on a device: what lies where is told, and tissues come back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.resample import is_straight
from analysis.imaging.sagittal_grid import SMOOTH_REACH, SagittalGrid, sagittal_grid
from analysis.inference.places import Crop, Mixing, Sampling
from analysis.inference.runner import DeviceFailed
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM, TissueMap
from analysis.lumbar.check.series import SagittalVolume
from analysis.lumbar.find.networks import Chain
from analysis.lumbar.find.second_look import (
    RIM_PX,
    WEIGHT,
    Place,
    covered_by,
    discs_found,
    first_slice,
)
from analysis.lumbar.find.thin_slices import shown_slices, slice_weights

_MIXING = Mixing(
    outlined=Tissue.DISC, rest=Tissue.BACKGROUND, weight=WEIGHT, rim_px=RIM_PX
)


def segment_on_device(sagittal: SagittalVolume, chain: Chain) -> TissueMap | None:
    """Find the tissue of every pixel on a device, as `segment` does on the CPU.

    Between the looks the labels of the first come down, for discs are counted on the
    CPU.

    Returns
    -------
    TissueMap or None
        None where the device is not used any more; `chain.missed` says why.
    """
    if chain.missed:
        return None
    try:
        return _segmented(sagittal, chain)
    except DeviceFailed as failure:
        chain.leave(failure.text)
        return None


def crops_of(discs: Iterator[Place], grid: SagittalGrid) -> list[Crop]:
    """Say where the second look at each disc reads, and where it writes."""
    crops = []
    for there, part in discs:
        covered = covered_by(there, grid)
        if covered is None:
            continue
        window, matrix, offset = covered
        rows, columns = (side.stop - side.start for side in window)
        crop = Crop(
            seen=sampling_of(there),
            part=part,
            first=first_slice(there, grid) + part.start,
            window=window,
            matrix=_straightened(matrix, (rows, columns)),
            offset=offset,
        )
        crops.append(crop)
    return crops


def sampling_of(grid: SagittalGrid) -> Sampling:
    """Say how the slices of a grid are read: as `sample_picture` reads them."""
    matrix, offset = grid.plane_map(to_source=True)
    down, along = (_taps(sd_px) for sd_px in grid.smooth_sd_px.tolist())
    return Sampling(
        sources=tuple(grid.source_slice(index) for index in range(grid.shape[0])),
        matrix=_straightened(matrix, grid.shape[1:]),
        offset=offset,
        shape=grid.shape[1:],
        taps=(down, along),
    )


def _segmented(sagittal: SagittalVolume, chain: Chain) -> TissueMap:
    volume: Volume = sagittal.volume
    count, rows, columns = volume.voxels.shape
    grid = sagittal_grid(volume.frame, (count, rows, columns), PIXEL_MM)
    series = chain.series(volume.voxels, FULL)
    series.look_first(sampling_of(grid))
    series.look_again(crops_of(discs_found(grid, series.tissue()), grid), _MIXING)
    weights = slice_weights(
        float(grid.frame.spacing_mm[0]), shown_slices(grid, sagittal.blank)
    )
    if weights is not None:
        series.mix_slices(weights)
    return TissueMap(
        grid=grid, probability=series.probability(), tissue=series.tissue()
    )


def _straightened(
    matrix: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Drop what rounding alone has turned, as `resample` does."""
    return np.diag(np.diag(matrix)) if is_straight(matrix, shape) else matrix


def _taps(sd_px: float) -> NDArray[np.float64]:
    """Return the weights of a Gaussian filter, as scipy cuts it off."""
    from scipy import ndimage

    reach = int(SMOOTH_REACH * sd_px + 0.5)
    one = np.zeros(2 * reach + 1)
    one[reach] = 1.0
    taps: NDArray[np.float64] = ndimage.gaussian_filter1d(
        one, sd_px, mode="constant", truncate=SMOOTH_REACH
    )
    return taps
