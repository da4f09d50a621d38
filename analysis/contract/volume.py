"""`Volume`: voxels with a frame and an identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame

_DIMENSIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """One series on one uniform grid.

    Parameters
    ----------
    voxels : ndarray, shape (K, R, C), float32
        Rescaled stored values, without window. Made read-only.
    frame
        Where the voxels lie in the patient.
    series_uid
        The series that they came from.

    Raises
    ------
    ValueError
        If the voxels are not three-dimensional, empty or not finite.
    """

    voxels: NDArray[np.float32]
    frame: Frame
    series_uid: str

    def __post_init__(self) -> None:
        voxels = np.ascontiguousarray(self.voxels, dtype=np.float32)
        if voxels.ndim != _DIMENSIONS or voxels.size == 0:
            message = f"voxels: expected shape (K, R, C), got {voxels.shape}"
            raise ValueError(message)
        if not np.isfinite(voxels).all():
            message = "voxels: not finite"
            raise ValueError(message)
        voxels = voxels.view()
        voxels.flags.writeable = False
        object.__setattr__(self, "voxels", voxels)
