"""What came back to an archive, read as a receiver would read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from highdicom.seg import Segmentation
from numpy.typing import NDArray
from pydicom import Dataset

_GROUP, _LABEL, _HEIGHT, _MEAN = "125007", "112039", "121207", "373098007"
Site = tuple[str, ...]
"""Finding site, concept, and the codes that say more of it."""


def numbers_of(report: Dataset) -> dict[Site, float]:
    """Return the numbers of an SR in English by what they tell."""
    found: dict[Site, float] = {}
    for group in _groups(report):
        content = group.ContentSequence
        sites = [_code(item) for item in content if _name(item) == "Finding Site"]
        for item in content:
            if item.ValueType != "NUM" or not item.MeasuredValueSequence:
                continue
            told = [
                _code(child)
                for child in item.get("ContentSequence", ())
                if child.ValueType == "CODE"
            ]
            site = (sites[0] if sites else "", _name(item), *sorted(told))
            found[site] = float(item.MeasuredValueSequence[0].NumericValue)
    return found


def heights_mm(report: Dataset) -> dict[str, float]:
    """Return the mean height of each structure by its label, in any language."""
    found: dict[str, float] = {}
    for group in _groups(report):
        (label,) = (
            str(item.TextValue)
            for item in group.ContentSequence
            if _value(item.ConceptNameCodeSequence[0]) == _LABEL
        )
        for item in group.ContentSequence:
            below = [
                _value(child.ConceptCodeSequence[0])
                for child in item.get("ContentSequence", ())
                if child.ValueType == "CODE"
            ]
            if item.ValueType == "NUM" and below == [_MEAN]:
                name = _value(item.ConceptNameCodeSequence[0])
                if name == _HEIGHT:
                    found[label] = float(item.MeasuredValueSequence[0].NumericValue)
    return found


def _groups(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        names = child.get("ConceptNameCodeSequence", ())
        if names and _value(names[0]) == _GROUP:
            yield child
        else:
            yield from _groups(child)


def _value(code: Dataset) -> str:
    return str(code.CodeValue)


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence", ())
    return str(names[0].CodeMeaning) if names else ""


def _code(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeMeaning)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A SEG as labels on its own grid.

    Parameters
    ----------
    labels : ndarray, shape (K, R, C)
        Segment numbers.
    to_mm : ndarray, shape (4, 4)
        From index to mm in the patient (LPS).
    names
        Segment labels by number.
    """

    labels: NDArray[np.integer]
    to_mm: NDArray[np.float64]
    names: dict[int, str]

    def agreement(
        self, other: Drawn, turn: NDArray[np.float64], names: Sequence[str]
    ) -> dict[str, float]:
        """Return the Dice overlap of each segment with that of another SEG.

        Both are compared at the places of this grid; places that the other grid does
        not hold count as background.

        Parameters
        ----------
        turn : ndarray, shape (3, 3)
            Takes a place here to where the patient has it there.
        """
        indices = np.indices(self.labels.shape).reshape(3, -1)
        places = turn @ (self.to_mm[:3, :3] @ indices + self.to_mm[:3, 3:])
        back = np.linalg.inv(other.to_mm)
        there = np.rint(back[:3, :3] @ places + back[:3, 3:]).astype(int)
        limits = np.array(other.labels.shape)[:, None]
        inside = ((there >= 0) & (there < limits)).all(axis=0)
        seen = np.zeros(indices.shape[1], other.labels.dtype)
        seen[inside] = other.labels[tuple(there[:, inside])]
        drawn = self.labels.reshape(-1)
        numbers = {name: number for number, name in self.names.items()}
        others = {name: number for number, name in other.names.items()}
        return {
            name: _dice(drawn == numbers[name], seen == others[name]) for name in names
        }


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def drawn_in(dataset: Dataset) -> Drawn:
    """Read a SEG with its segments in the patient."""
    segmentation = Segmentation.from_dataset(dataset)
    volume = segmentation.get_volume(combine_segments=True)
    return Drawn(
        labels=np.asarray(volume.array),
        to_mm=np.asarray(volume.affine, np.float64),
        names={
            int(segment.SegmentNumber): str(segment.SegmentLabel)
            for segment in segmentation.SegmentSequence
        },
    )
