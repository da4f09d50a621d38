"""Labelled slices of the training sources, each with what its pixels may be."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from tqdm import tqdm

from analysis.training.labels import Label, allowed_for_spider, split_vertebrae
from analysis.training.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledCase:
    """One patient: slices on their own grid, and the classes each pixel may have.

    Parameters
    ----------
    patient
        Name of the patient within the source.
    grey : ndarray, shape (K, R, C), uint8
        Slices, rows from head to foot, columns from front to back.
    allowed : ndarray, shape (K, R, C), uint8
        Bit c is set where a pixel may be class c.
    spacing_mm
        Distance of rows and of columns (mm).
    s1_slices
        Slices in which S1 is drawn.
    """

    patient: str
    grey: NDArray[np.uint8]
    allowed: NDArray[np.uint8]
    spacing_mm: tuple[float, float]
    s1_slices: frozenset[int]

    def exact_labels(self, index: int) -> NDArray[np.uint8]:
        """Return the label map of one slice; ambiguous pixels count as background."""
        labels = np.zeros(self.allowed.shape[1:], np.uint8)
        for label in Label:
            labels[self.allowed[index] == 1 << label] = label
        return labels


Reader = Callable[[Path, SourceSettings, str], Iterator[LabelledCase]]


def read_cases(data: Path, source: SourceSettings, split: str) -> list[LabelledCase]:
    """Read all cases of one source that belong to a split of `manifest.csv`.

    Parameters
    ----------
    data
        The data folder, with `manifest.csv`.
    source
        Which source, and how.
    split
        `train` or `public_test`.

    Raises
    ------
    ValueError
        If the reader is unknown or the split has no case.
    """
    if source.reader not in READERS:
        message = f"unknown reader {source.reader!r}; known: {sorted(READERS)}"
        raise ValueError(message)
    cases = list(READERS[source.reader](data, source, split))
    if not cases:
        message = f"{data / source.folder}: no case in split {split!r}"
        raise ValueError(message)
    return cases


def read_nifti(path: Path) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Read a stored volume as (slice, row from head, column from front).

    The files hold (slice, front to back, head to foot); SimpleITK returns axes in
    reverse order, so only the slice axis has to move.

    Returns
    -------
    volume : ndarray, shape (K, R, C)
    spacing_mm : tuple of float
        Distance of rows and of columns (mm).
    """
    stored: Any = SimpleITK.ReadImage(str(path))
    _, column_mm, row_mm = stored.GetSpacing()
    volume = np.moveaxis(SimpleITK.GetArrayFromImage(stored), 2, 0)
    return np.ascontiguousarray(volume), (float(row_mm), float(column_mm))


def _rows_of(data: Path, source: SourceSettings, split: str) -> list[dict[str, str]]:
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        return [
            row
            for row in csv.DictReader(stream)
            if row["folder"].startswith(source.folder + "/") and row["split"] == split
        ]


def _s1_slices(folder: Path, source: SourceSettings) -> dict[str, frozenset[int]]:
    drawn: dict[str, frozenset[int]] = {}
    with (folder / "s1_annotations.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["quality"] not in source.s1_quality:
                continue
            if row["patient"] in source.s1_doubtful:
                continue
            drawn[row["patient"]] = frozenset(int(n) for n in row["slices"].split())
    return drawn


def _read_spider(
    data: Path, source: SourceSettings, split: str
) -> Iterator[LabelledCase]:
    drawn = _s1_slices(data / source.folder, source)
    for row in tqdm(_rows_of(data, source, split), desc="read SPIDER", unit="case"):
        folder = data / row["folder"]
        grey, spacing_mm = read_nifti(folder / "image.nii.gz")
        labels = split_vertebrae(read_nifti(folder / "mask_sem.nii.gz")[0])
        discs = read_nifti(folder / "mask_disc_inst.nii.gz")[0]
        outline = folder / "mask_s1.nii.gz"
        s1_slices = drawn.get(folder.name, frozenset())
        s1 = np.zeros(grey.shape, np.bool_)
        if s1_slices and outline.exists():
            s1 = read_nifti(outline)[0] > 0
        yield LabelledCase(
            patient=folder.name,
            grey=grey.astype(np.uint8),
            allowed=allowed_for_spider(labels, discs, s1, s1_slices, spacing_mm),
            spacing_mm=spacing_mm,
            s1_slices=s1_slices,
        )


READERS: dict[str, Reader] = {"spider": _read_spider}
"""Readers by name; a partially labelled source only has to say what pixels may be."""
