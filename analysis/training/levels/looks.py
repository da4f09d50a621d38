"""What the networks make of a labelled series, kept on disk.

Looking takes most of a second a slice; what is tried afterwards takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.imaging.sagittal_grid import sagittal_grid
from analysis.lumbar.anatomy.tissue_map import PIXEL_MM, TissueMap
from analysis.lumbar.check.series import examine
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.find.tissues import segment
from analysis.training.levels.labelled import LabelledSeries

_WEIGHTS_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Looks at series, each once.

    Parameters
    ----------
    networks
        That look.
    folder
        Where their answers are kept, by weights and runtime.
    """

    networks: Networks
    folder: Path

    def at(self, series: LabelledSeries) -> TissueMap:
        """Return the tissue map of a series.

        Raises
        ------
        UnsuitableInput, Refused
            If it cannot be looked at.
        """
        kept = self._file(series.name)
        if not kept.exists():
            tissues = segment(examine(series.volume), self.networks)
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(".part.npz")
            np.savez_compressed(
                part, probability=tissues.probability, tissue=tissues.tissue
            )
            part.rename(kept)
            return tissues
        count, rows, columns = series.volume.voxels.shape
        grid = sagittal_grid(series.volume.frame, (count, rows, columns), PIXEL_MM)
        with np.load(kept) as stored:
            return TissueMap(
                grid=grid, probability=stored["probability"], tissue=stored["tissue"]
            )

    @property
    def key(self) -> str:
        """Weights and runtime, on which all that is seen depends."""
        weights = self.networks.weights_sha256[:_WEIGHTS_DIGITS]
        return f"{weights}-{self.networks.runtime}"

    def _file(self, name: str) -> Path:
        return self.folder / self.key / f"{name.replace(' ', '_')}.npz"
