"""Discs whose displacement their readers named, as the chain sees them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from analysis.contract.errors import UnsuitableInput
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, level_of
from analysis.lumbar.doubt import Refused
from analysis.lumbar.judge.displacement.signs import SIGNS, signs_of
from analysis.lumbar.judge.grade.features import disc_features
from analysis.lumbar.measure.measurements import measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from analysis.training.displacement.settings import DisplacementSettings
from analysis.training.levels.labelled import (
    LabelledSeries,
    single_slices,
    whole_series,
)
from analysis.training.levels.looks import Looks

_NEAR_MM = 12.0
"""A labelled disc and one that was found are the same within half a vertebra."""
_TIANCHI, _SPIDER = "tianchi2d ", "spider_"
_SPIDER_COLUMNS = ("Disc bulging", "Disc herniation")
_NOWHERE = (0, len(SIGNS))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedDisc:
    """One disc.

    Parameters
    ----------
    patient, level
        Which, as its readers name it.
    classes
        Of the readers; those of SPIDER are put into the contest's words.
    signs : ndarray, shape (10,)
    """

    patient: str
    level: str
    classes: frozenset[str]
    signs: NDArray[np.float64]

    def is_displaced(self, settings: DisplacementSettings) -> bool | None:
        """Say whether it is displaced; None where its classes are neither."""
        if self.classes & settings.displaced:
            return True
        return False if self.classes & settings.sound else None


def tianchi_discs(data: Path, split: str, looks: Looks) -> list[NamedDisc]:
    """Read the discs of Tianchi's middle slices."""
    names: dict[tuple[str, str], frozenset[str]] = {}
    with (data / "tianchi2d" / "points.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            key = (_TIANCHI + row["case"], row["level"].replace("-", "/"))
            names[key] = frozenset(filter(None, row["class"].split(",")))
    every = [one for one in single_slices(data, split) if one.name.startswith(_TIANCHI)]
    return list(_discs(every, names, looks, split))


def spider_discs(data: Path, split: str, looks: Looks) -> list[NamedDisc]:
    """Read the discs of SPIDER, whose reader marked bulging and herniation."""
    names: dict[tuple[str, str], frozenset[str]] = {}
    table = data / "spider_t2space" / "radiological_gradings.csv"
    with table.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            place, patient = int(row["IVD label"]) - 1, int(row["Patient"])
            if place < len(DISCS):
                found = any(int(row[column]) for column in _SPIDER_COLUMNS)
                key = (f"{_SPIDER}{patient:03d}", level_of(DISCS[place]))
                names[key] = frozenset({"v2" if found else "v1"})
    every = [one for one in whole_series(data, split) if one.name.startswith(_SPIDER)]
    return list(_discs(every, names, looks, split))


def _discs(
    series: list[LabelledSeries],
    names: Mapping[tuple[str, str], frozenset[str]],
    looks: Looks,
    split: str,
) -> Iterator[NamedDisc]:
    for one in tqdm(series, desc=split, unit="series"):
        for level, signs in _signs(one, looks).items():
            if classes := names.get((one.name, level)):
                yield NamedDisc(
                    patient=one.name, level=level, classes=classes, signs=signs
                )


def _signs(series: LabelledSeries, looks: Looks) -> dict[str, NDArray[np.float64]]:
    """Return the signs of each disc that was found, by its readers' name of it."""
    kept = looks.folder / "signs" / f"{looks.key}-{series.name.replace(' ', '_')}.npz"
    if kept.exists():
        with np.load(kept) as stored:
            return dict(zip(stored["levels"].tolist(), stored["signs"], strict=True))
    try:
        found = _read_signs(series, looks)
    except (UnsuitableInput, Refused):
        found = {}
    kept.parent.mkdir(parents=True, exist_ok=True)
    signs = np.array(list(found.values())) if found else np.empty(_NOWHERE)
    np.savez(kept, levels=np.array(list(found), "U8"), signs=signs)
    return found


def _read_signs(series: LabelledSeries, looks: Looks) -> dict[str, NDArray[np.float64]]:
    tissues = looks.at(series)
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    labels = label_source(tissues, anatomy.levels.names)
    features = disc_features(anatomy, series.volume)
    measured = measure_spine(anatomy, series.volume, labels)
    places = {
        level: series.in_mm(place) for level, place in series.disc_places().items()
    }
    found: dict[str, NDArray[np.float64]] = {}
    for row in (*measured.upper, *measured.discs):
        plane = anatomy.levels.planes.get(row.disc.number)
        if plane is None or not places:
            continue
        away = {
            level: float(np.linalg.norm(plane.centre_mm[1:] - place_mm))
            for level, place_mm in places.items()
        }
        nearest = min(away, key=lambda level: away[level])
        signs = signs_of(row.site, features[row.disc.number])
        if away[nearest] < _NEAR_MM and not isinstance(signs, Missing):
            found[nearest] = signs
    return found
