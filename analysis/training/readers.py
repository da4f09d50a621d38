"""Readers of the sources: each says what its labels mean, and what they leave open."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from tqdm import tqdm

from analysis.training.labels import (
    Label,
    allowed_for_part,
    allowed_for_spider,
    split_vertebrae,
)
from analysis.training.middle_slices import read_drawn_discs, read_marked_slices
from analysis.training.settings import SourceSettings
from analysis.training.sources import LabelledCase

Reader = Callable[[Path, SourceSettings, str], Iterator[LabelledCase]]
_ABOVE_BODY_MM = -8.0
"""The next body up begins one disc above the highest labelled one; where the spine
leans, one of its edges lies up to so far below the other."""
_ABOVE_DISC_MM = 10.0
"""The next disc up lies a whole body above the highest labelled one."""
_FIRST_DISC_CODE, _FIRST_BODY_CODE, _S1_CODE = 21, 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What a partly labelled source annotates.

    Parameters
    ----------
    annotated
        Classes that it labels wherever they occur below the highest label.
    above_mm
        Distance above the highest label from where on nothing is known (mm).
    """

    annotated: frozenset[Label]
    above_mm: float


_PARTS: Mapping[str, _Part] = {
    "fcs_vb1": _Part(
        annotated=frozenset({Label.BODY, Label.S1}), above_mm=_ABOVE_BODY_MM
    ),
    "fcs_vb2": _Part(annotated=frozenset({Label.BODY}), above_mm=_ABOVE_BODY_MM),
    "fcs_ivd": _Part(annotated=frozenset({Label.DISC}), above_mm=_ABOVE_DISC_MM),
    "sulaiman2d": _Part(
        annotated=frozenset({Label.BODY, Label.DISC, Label.S1}),
        above_mm=_ABOVE_BODY_MM,
    ),
}
_SULAIMAN_LABELS = {1: Label.BODY, 2: Label.DISC, 4: Label.S1}
_UNUSABLE = "lateral/empty"


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


def read_nifti(path: Path) -> tuple[NDArray[Any], tuple[float, float]]:
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
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["folder"].startswith(source.folder + "/") and row["split"] == split
        ]
    return list(tqdm(rows, desc=f"read {source.folder}", unit="case"))


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
    for row in _rows_of(data, source, split):
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
            source=source.folder,
            name=folder.name,
            patient=folder.name,
            grey=grey,
            allowed=allowed_for_spider(labels, discs, s1, s1_slices, spacing_mm),
            spacing_mm=spacing_mm,
            s1_slices=s1_slices,
            complete=True,
        )


def _read_levels(
    data: Path, source: SourceSettings, split: str
) -> Iterator[LabelledCase]:
    """Read series whose bodies or discs are labelled by level, up to some level."""
    part = _PARTS[source.folder]
    for row in _rows_of(data, source, split):
        folder = data / row["folder"]
        codes = read_nifti(folder / "mask_level.nii.gz")[0]
        labels = np.zeros(codes.shape, np.uint8)
        labels[codes == _S1_CODE] = Label.S1
        labels[(codes >= _FIRST_BODY_CODE) & (codes < _FIRST_DISC_CODE)] = Label.BODY
        labels[codes >= _FIRST_DISC_CODE] = Label.DISC
        yield _partly(source, row, folder, labels, part)


def _read_sulaiman(
    data: Path, source: SourceSettings, split: str
) -> Iterator[LabelledCase]:
    for row in _rows_of(data, source, split):
        if row["quality"].startswith(_UNUSABLE):
            continue
        folder = data / row["folder"]
        codes = read_nifti(folder / "mask.nii.gz")[0]
        labels = np.zeros(codes.shape, np.uint8)
        for code, label in _SULAIMAN_LABELS.items():
            labels[codes == code] = label
        yield _partly(source, row, folder, labels, _PARTS[source.folder])


def _read_spider_mini(
    data: Path, source: SourceSettings, split: str
) -> Iterator[LabelledCase]:
    """Read slices in which a vertebra is body and posterior elements in one."""
    both = frozenset({Label.BODY, Label.POSTERIOR})
    bits = np.uint8(sum(1 << label for label in both))
    for row in _rows_of(data, source, split):
        folder = data / row["folder"]
        bone = read_nifti(folder / "mask_level.nii.gz")[0] > 0
        part = _Part(annotated=both, above_mm=_ABOVE_BODY_MM)
        case = _partly(source, row, folder, bone * np.uint8(Label.BODY), part)
        case.allowed[bone] = bits
        yield case


def _partly(
    source: SourceSettings,
    row: Mapping[str, str],
    folder: Path,
    labels: NDArray[np.uint8],
    part: _Part,
) -> LabelledCase:
    grey, spacing_mm = read_nifti(folder / "image.nii.gz")
    rows = np.flatnonzero((labels > 0).any(axis=(0, 2)))
    top = int(rows.min()) - round(part.above_mm / spacing_mm[0])
    return LabelledCase(
        source=source.folder,
        name=folder.name,
        patient=row["group"],
        grey=grey,
        allowed=allowed_for_part(labels, part.annotated, top),
        spacing_mm=spacing_mm,
        s1_slices=frozenset(np.flatnonzero((labels == Label.S1).any(axis=(1, 2)))),
        complete=False,
    )


READERS: dict[str, Reader] = {
    "spider": _read_spider,
    "levels": _read_levels,
    "sulaiman": _read_sulaiman,
    "spider_mini": _read_spider_mini,
    "middle_slices": read_drawn_discs,
    "marked_slices": read_marked_slices,
}
"""Readers by name; a partially labelled source only has to say what pixels may be."""
