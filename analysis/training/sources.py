"""One labelled case, with what each of its pixels may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.training.labels import Label

_SLICE_MM = 4.0
"""Stands for the distance of slices, which not every source tells; so far apart they
are not smoothed across."""
_SAGITTAL = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Slices to the right, rows to the feet, columns to the back. On which side a source
begins is not known of it, and makes no difference to what is learnt."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledCase:
    """One series: slices on their own grid, and the classes each pixel may have.

    Parameters
    ----------
    source
        Folder of the source.
    name
        Name of the series within the source.
    patient
        Name of the patient within the source; several series may share one.
    grey : ndarray, shape (K, R, C), uint8 or uint16
        Slices, rows from head to foot, columns from front to back.
    allowed : ndarray, shape (K, R, C), uint8
        Bit c is set where a pixel may be class c.
    spacing_mm
        Distance of rows and of columns (mm).
    s1_slices
        Slices in which S1 is drawn.
    complete
        Whether all classes are labelled, so that grey values may be changed tissue by
        tissue.
    """

    source: str
    name: str
    patient: str
    grey: NDArray[Any]
    allowed: NDArray[np.uint8]
    spacing_mm: tuple[float, float]
    s1_slices: frozenset[int]
    complete: bool

    @property
    def frame(self) -> Frame:
        """A place for the series; right within its slices."""
        return Frame(
            origin_mm=np.zeros(3),
            directions=_SAGITTAL,
            spacing_mm=np.array([_SLICE_MM, *self.spacing_mm]),
        )

    def exact_labels(self, index: int) -> NDArray[np.uint8]:
        """Return the label map of one slice; ambiguous pixels count as background."""
        labels = np.zeros(self.allowed.shape[1:], np.uint8)
        for label in Label:
            labels[self.allowed[index] == 1 << label] = label
        return labels
