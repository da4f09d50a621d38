"""What a result leaves behind, so that a correction of it needs no network.

A voxel of a segmentation is half a millimetre wide, and the network's outline lies
between voxels. So its probabilities are kept: what a reader leaves as it was is then
measured on the very outline on which it was measured first.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.sagittal_grid import sagittal_grid
from analysis.imaging.window import window_of
from analysis.lumbar.anatomy.picture_edge import unseen_of
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM, TissueMap

_FORM = "lumbar-1"
_MARGIN_PX = 4
"""Beside all that is tissue: outlines and their fields lie within it."""
_LEVEL = 1
"""Of compression: most planes are empty, and a reader waits for the result."""
_UNREADABLE = (zlib.error, ValueError, KeyError, OSError, EOFError)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Former:
    """What was found in a series, and what was measured last.

    Parameters
    ----------
    tissues
        The network's answer.
    found : ndarray, shape of the series, uint8
        Numbers of the structures by the network alone.
    measured : ndarray, shape of the series, uint8
        The same as they were measured last; those of a reader after a correction.
    """

    tissues: TissueMap
    found: NDArray[np.uint8]
    measured: NDArray[np.uint8]


def keep(former: Former, volume: Volume) -> bytes:
    """Write down what a correction of a result will need.

    Parameters
    ----------
    volume
        The series that it was found in.
    """
    shown = (former.tissues.tissue != Tissue.BACKGROUND).any(axis=0)
    rows, columns = window_of(shown, _MARGIN_PX) or (slice(0, 0), slice(0, 0))
    parts = {
        "form": np.array(_FORM),
        "volume": np.array(_digest(volume)),
        "corner": np.array([rows.start, columns.start]),
        "probability": former.tissues.probability[:, :, rows, columns],
        "tissue": former.tissues.tissue[:, rows, columns],
        "found": former.found,
    }
    if former.measured is not former.found:
        # Before the first correction they are one array, which is written once.
        parts["measured"] = former.measured
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **parts)
    return zlib.compress(content.getvalue(), _LEVEL)


def recall(kept: bytes, volume: Volume) -> Former | None:
    """Return what `keep` wrote down about this very series; None if it did not."""
    if not kept:
        return None
    try:
        with np.load(io.BytesIO(zlib.decompress(kept)), allow_pickle=False) as held:
            if (str(held["form"]), str(held["volume"])) != (_FORM, _digest(volume)):
                return None
            return Former(
                tissues=_widened(
                    held["probability"], held["tissue"], held["corner"], volume
                ),
                found=held["found"],
                measured=held["measured" if "measured" in held else "found"],
            )
    except _UNREADABLE:
        return None


def _widened(
    planes: NDArray[np.uint8],
    kinds: NDArray[np.uint8],
    corner: NDArray[np.int64],
    volume: Volume,
) -> TissueMap:
    """Put the kept window back into its place on the grid.

    The most probable tissue is kept beside the probabilities, which may have been
    smoothed since.
    """
    count, rows, columns = volume.voxels.shape
    grid = sagittal_grid(volume.frame, (count, rows, columns), PIXEL_MM)
    probability = np.zeros((grid.shape[0], len(Tissue), *grid.shape[1:]), np.uint8)
    probability[:, Tissue.BACKGROUND] = FULL
    top, left = corner.tolist()
    high, wide = planes.shape[2:]
    probability[:, :, top : top + high, left : left + wide] = planes
    tissue = np.full(grid.shape, Tissue.BACKGROUND, np.uint8)
    tissue[:, top : top + high, left : left + wide] = kinds
    return TissueMap(
        grid=grid,
        probability=probability,
        tissue=tissue,
        unseen=unseen_of(grid, volume),
    )


def _digest(volume: Volume) -> str:
    state = hashlib.sha256(np.ascontiguousarray(volume.voxels).data)
    state.update(volume.frame.matrix.tobytes())
    return state.hexdigest()
