"""Labelled discs of SPIDER, each as the chain sees it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from tqdm import tqdm

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.imaging.sagittal_grid import sagittal_grid, sample_picture
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, Structure, Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM, TissueMap
from analysis.lumbar.check.series import examine
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.judge.grade.features import DiscFeatures, disc_features
from analysis.lumbar.measure.measurements import measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from analysis.training.labels import split_vertebrae

_FOLDER = "spider_t2space"
_PREFIX = "spider_"
# Slices run to the right, rows to the feet, columns to the back (MANIFEST.md).
_STRAIGHT = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
GRADE_COLUMN = "Pfirrman grade"
_CLIPPED_EXPORT = "RGBA export"
"""How the manifest marks exports whose grey scale was changed and clipped."""
_HEALTHY, _COLLAPSED = 1, 5
OUTLINES = ("drawn", "predicted")
CROP_PX = (66, 92)
"""Half a level up and down, and a disc with margin: 53 mm x 74 mm."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledDisc:
    """One graded disc.

    Parameters
    ----------
    patient, disc
        Which.
    labels
        Of the reader, by column; whole numbers.
    features
        By outline, `drawn` and `predicted`; None where it was not found.
    crop : ndarray, uint8
        Its middle slice by the drawn outline, for people to look at.
    clipped
        Whether the grey scale of the export was clipped.
    rule_grade
        By delta-SI and the reference's cuts, on predicted outlines; None where there
        is no delta-SI.
    """

    patient: str
    disc: Structure
    labels: Mapping[str, int]
    features: Mapping[str, DiscFeatures | None]
    crop: NDArray[np.uint8]
    clipped: bool = False
    rule_grade: int | None = None

    @property
    def grade(self) -> int:
        """The reader's Pfirrmann grade, 1 to 5."""
        return self.labels[GRADE_COLUMN]

    @property
    def is_measured(self) -> bool:
        """Whether a report has a row for it: L1/L2 to L5/S1."""
        return self.disc in DISCS[:5]

    @property
    def doubt(self) -> str:
        """Why the reader's other labels contradict the grade; empty where not.

        A disc of grade I is homogeneous, bright and of normal height; the space of a
        disc of grade V is collapsed (Pfirrmann 2001, table 1).
        """
        contrary = ("Disc narrowing", "Disc herniation", "UP endplate", "LOW endplate")
        found = [column for column in contrary if self.labels[column]]
        if self.grade == _HEALTHY and found:
            return f"grade I with {', '.join(found).lower()}"
        if self.grade == _COLLAPSED and not self.labels["Disc narrowing"]:
            return "grade V without narrowing"
        return ""


def read_discs(data: Path, split: str, networks: Networks) -> list[LabelledDisc]:
    """Read all labelled discs of the SPIDER patients of a split.

    Parameters
    ----------
    data
        The data folder, with `manifest.csv`.
    split
        `train` or `public_test`.
    networks
        Draws the predicted outlines.
    """
    labels = _labels(data / _FOLDER / "radiological_gradings.csv")
    found: list[LabelledDisc] = []
    for patient, clipped in tqdm(_patients(data, split), desc=split, unit="case"):
        read = _patient_discs(data / _FOLDER / patient, labels, networks)
        found += [replace(disc, clipped=clipped) for disc in read]
    return found


def _patients(data: Path, split: str) -> list[tuple[str, bool]]:
    """Return the patients of a split, and whether their export was clipped."""
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    return [
        (row["case_id"].removeprefix(_PREFIX), _CLIPPED_EXPORT in row["quality"])
        for row in rows
        if row["folder"].startswith(f"{_FOLDER}/")
    ]


def _labels(path: Path) -> dict[tuple[int, int], dict[str, int]]:
    """Return the reader's labels by patient and disc; 1 is L5/S1, counted upwards."""
    with path.open(encoding="utf-8", newline="") as stream:
        return {
            (int(row["Patient"]), int(row["IVD label"])): {
                column: int(value)
                for column, value in row.items()
                if column not in {"Patient", "IVD label"}
            }
            for row in csv.DictReader(stream)
        }


def _patient_discs(
    folder: Path,
    labels: Mapping[tuple[int, int], Mapping[str, int]],
    networks: Networks,
) -> Iterator[LabelledDisc]:
    volume = _volume(folder)
    tissues = {
        "drawn": _drawn(folder, volume),
        "predicted": segment(examine(volume), networks),
    }
    # The labels are counted from the body that their readers took for S1.
    anatomies = {
        outline: Anatomy(tissues=map_, levels=name_levels(map_, s1_is_given=True))
        for outline, map_ in tissues.items()
    }
    features = {
        outline: disc_features(anatomy, volume)
        for outline, anatomy in anatomies.items()
    }
    rules = _rule_grades(anatomies["predicted"], volume)
    for count, disc in enumerate(DISCS, start=1):
        crop = _crop(anatomies["drawn"], volume, disc)
        if (int(folder.name), count) not in labels or crop is None:
            continue
        read = {outline: features[outline][disc.number] for outline in OUTLINES}
        yield LabelledDisc(
            patient=folder.name,
            disc=disc,
            labels=labels[int(folder.name), count],
            features={
                outline: each if isinstance(each, DiscFeatures) else None
                for outline, each in read.items()
            },
            crop=crop,
            rule_grade=rules.get(disc.number),
        )


def _rule_grades(anatomy: Anatomy, volume: Volume) -> dict[int, int]:
    """Return what the reference's rule makes of delta-SI, by the number of the disc."""
    labels = label_source(anatomy.tissues, anatomy.levels.names)
    measured = measure_spine(anatomy, volume, labels)
    grades = {
        row.disc.number: row.values["reference.delta_si_grade"]
        for row in measured.discs
    }
    return {
        number: int(grade)
        for number, grade in grades.items()
        if not isinstance(grade, Missing)
    }


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Read a stored volume as (slice, row, column), and its spacing (mm)."""
    stored: Any = SimpleITK.ReadImage(str(path))
    slice_mm, column_mm, row_mm = stored.GetSpacing()
    array = np.moveaxis(SimpleITK.GetArrayFromImage(stored), 2, 0)
    return array.astype(np.uint8), np.array([slice_mm, row_mm, column_mm])


def _volume(folder: Path) -> Volume:
    voxels, spacing_mm = _read(folder / "image.nii.gz")
    frame = Frame(origin_mm=np.zeros(3), directions=_STRAIGHT, spacing_mm=spacing_mm)
    return Volume(voxels=voxels.astype(np.float32), frame=frame, series_uid=folder.name)


def _drawn(folder: Path, volume: Volume) -> TissueMap:
    """Return what a network that drew as the reader did would answer."""
    tissue = split_vertebrae(_read(folder / "mask_sem.nii.gz")[0])
    s1_file = folder / "mask_s1.nii.gz"
    if s1_file.exists():
        s1 = _read(s1_file)[0] > 0
        tissue[s1 & (tissue == Tissue.BACKGROUND)] = Tissue.S1
    slices, rows, columns = tissue.shape
    grid = sagittal_grid(volume.frame, (slices, rows, columns), PIXEL_MM)
    planes = np.zeros((slices, len(Tissue), *grid.shape[1:]), np.uint8)
    for channel in Tissue:
        drawn = (tissue == channel).astype(np.float32)
        for index in range(slices):
            planes[index, channel] = np.rint(sample_picture(grid, drawn, index) * FULL)
    return TissueMap(
        grid=grid, probability=planes, tissue=planes.argmax(axis=1).astype(np.uint8)
    )


def _crop(
    anatomy: Anatomy, volume: Volume, disc: Structure
) -> NDArray[np.uint8] | None:
    slices = anatomy.middle_slices(disc)
    if not slices:
        return None
    picture = sample_picture(anatomy.tissues.grid, volume.voxels, slices[0])
    pixels = np.argwhere(anatomy.levels.names[slices[0]] == disc.number)
    half = np.array(CROP_PX) // 2
    middle = np.rint(pixels.mean(axis=0)).astype(int)
    padded = np.pad(picture, [(side, side) for side in half])
    row, column = middle
    shown = padded[row : row + CROP_PX[0], column : column + CROP_PX[1]]
    bright = float(np.percentile(picture, 99))
    crop: NDArray[np.uint8] = (np.clip(shown / bright, 0, 1) * FULL).astype(np.uint8)
    return crop
