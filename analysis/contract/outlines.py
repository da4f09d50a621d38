"""`Outlines`: structures as a reader drew them, to be measured instead of found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DIMENSIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlines:
    """Outlines that a reader has corrected, on the grid of the series' volume.

    Parameters
    ----------
    labels : ndarray, shape (K, R, C), uint8
        0 is background, 1 the first of `names`, and so on. Made read-only.
    names
        Names of the structures (SegmentLabel), each once.
    editor
        Who drew them, for people; empty where nobody says.
    kept
        `AnalysisResult.kept` of the result whose outlines were corrected; empty where
        it is not known. What was not edited can then be measured as it was before.
    elsewhere
        Names of structures of which these outlines cannot speak, for the former ones
        came in several parts and only one was corrected: they stay as they were.

    Raises
    ------
    ValueError
        If the labels are not three-dimensional, name nothing, or a name comes twice.
    """

    labels: NDArray[np.uint8]
    names: tuple[str, ...]
    editor: str = ""
    kept: bytes = b""
    elsewhere: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        labels = np.ascontiguousarray(self.labels, dtype=np.uint8).view()
        labels.flags.writeable = False
        object.__setattr__(self, "labels", labels)
        if labels.ndim != _DIMENSIONS:
            message = f"labels: expected shape (K, R, C), got {labels.shape}"
            raise ValueError(message)
        if labels.max(initial=0) > len(self.names):
            message = f"labels: {labels.max()} of {len(self.names)} names"
            raise ValueError(message)
        if len(set(self.names)) != len(self.names):
            message = f"names: one occurs twice in {self.names}"
            raise ValueError(message)
