"""What is known of each pixel: the probability of each tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.sagittal_grid import SagittalGrid
from analysis.lumbar.anatomy.structures import Tissue

PIXEL_MM = 0.8
"""The grid that the network was trained on."""
FULL = 255
"""Probability 1 as it is kept, in eight bits: a step of 0.004 is far below what the
network knows."""

# Tissues that share their named structures: where the network wavers between the
# body of L5 and S1, the numbering of the levels has decided.
GROUPS: tuple[tuple[Tissue, ...], ...] = (
    (Tissue.BODY, Tissue.S1),
    (Tissue.DISC,),
    (Tissue.CANAL,),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TissueMap:
    """Probability of each tissue on the sagittal grid.

    Parameters
    ----------
    grid
        Square pixels, head up, front to the left.
    probability : ndarray, shape (K, 6, R, C), uint8
        In 255ths; channels in the order of `Tissue`.
    tissue : ndarray, shape (K, R, C), uint8
        The most probable one, before probabilities are smoothed across slices: a thin
        disc that one slice shows is found.
    unseen : ndarray, shape (R, C), bool
        Where nothing of the series is seen: see `picture_edge.unseen_of`. None: only
        beyond the grid.
    """

    grid: SagittalGrid
    probability: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    unseen: NDArray[np.bool_] | None = None

    def margin(
        self, index: int, group: tuple[Tissue, ...], window: tuple[slice, slice]
    ) -> NDArray[np.float32]:
        """Return by how much a group of tissues is more probable than all others.

        Parameters
        ----------
        index
            Slice of the grid.
        group
            Tissues that count as one.
        window
            Rows and columns.

        Returns
        -------
        ndarray, shape of the window, float32
            In 255ths: positive where the group has more than half of the probability,
            zero on its outline. A lead over the next tissue alone would put the outline
            too far out where three of them meet: between end plate, disc and body.
        """
        members = [int(tissue) for tissue in group]
        planes = self.probability[index, :, window[0], window[1]][members]
        return np.asarray(2 * planes.sum(axis=0, dtype=np.float32) - FULL, np.float32)
