"""`Segmentation`: a label map on the grid of a volume, each label described."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contract.concepts import Concept

_MAX_CHANNEL = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One structure in a label map.

    Parameters
    ----------
    number
        Its label in the map, 1 to 255.
    label
        Its name for people (SegmentLabel), such as `L4/L5 disc`.
    structure
        Its coded type, such as SCT 84020006 `L4/L5 disc`.
    colour
        Red, green, blue, each 0 to 255.
    region
        The coded region of the body in which it lies, such as SCT 122496007 `Lumbar
        spine`; None where the structure says it all.
    """

    number: int
    label: str
    structure: Concept
    colour: tuple[int, int, int]
    region: Concept | None = None

    def __post_init__(self) -> None:
        if not 0 < self.number <= _MAX_CHANNEL:
            message = f"number: expected 1 to {_MAX_CHANNEL}, got {self.number}"
            raise ValueError(message)
        if not all(0 <= channel <= _MAX_CHANNEL for channel in self.colour):
            message = f"colour: expected 0 to {_MAX_CHANNEL}, got {self.colour}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """A label map and what its labels mean.

    Parameters
    ----------
    labels : ndarray, shape (K, R, C), uint8
        0 is background. On the grid of the volume that was analysed. Made read-only.
    segments
        One per label that occurs, and no other; numbers and labels are unique.

    Raises
    ------
    ValueError
        If a label has no segment or a segment has no voxel.
    """

    labels: NDArray[np.uint8]
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        labels = np.ascontiguousarray(self.labels, dtype=np.uint8).view()
        labels.flags.writeable = False
        object.__setattr__(self, "labels", labels)
        described = [segment.number for segment in self.segments]
        if len(set(described)) != len(described):
            message = f"segments: a number occurs twice in {described}"
            raise ValueError(message)
        names = [segment.label for segment in self.segments]
        if len(set(names)) != len(names):
            message = f"segments: a label occurs twice in {names}"
            raise ValueError(message)
        present = numbers_in(labels)
        if present != set(described):
            message = (
                f"labels {sorted(present)} do not match segments {sorted(described)}"
            )
            raise ValueError(message)


def numbers_in(labels: NDArray[np.uint8]) -> set[int]:
    """Return the labels that occur in a map (K, R, C), without the background."""
    shown = labels.max(axis=0, initial=0) > 0
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not rows.size:
        return set()
    part = labels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return set(np.flatnonzero(np.bincount(part[part > 0])).tolist())
