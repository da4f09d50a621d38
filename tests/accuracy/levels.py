"""Compares level names with those that other hospitals' T2 series were labelled with.

Run as `python -m tests.accuracy.levels train` or `... public_test`. The series are
those of `fcs_ivd`, `fcs_vb1` and `fcs_vb2`; the network has learnt tissues from the
split `train`, but no numbering.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from analysis.contract.errors import UnsuitableInput
from analysis.contract.geometry import Frame
from analysis.contract.plugin import Context, Subject
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE
from analysis.lumbar.plugin import LumbarMri
from tests.support import spider

SOURCES = ("fcs_ivd/", "fcs_vb1/", "fcs_vb2/")
# `mask_level` of the data folder's MANIFEST.md: S1 is 1, L5/S1 is 21, then upwards.
NAMED = dict(enumerate(VERTEBRAE, start=1)) | dict(enumerate(DISCS[:5], start=21))
_MIN_VOXELS = 20


def series(split: str) -> Iterator[tuple[str, Path]]:
    """Yield name and folder of each T2 series of a split."""
    with (spider.SHARED / "manifest.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            ours = row["folder"].startswith(SOURCES) and row["split"] == split
            if ours and row["weighting"].startswith("T2"):
                yield row["case_id"], spider.SHARED / row["folder"]


def read(folder: Path) -> tuple[Volume, NDArray[np.uint8]]:
    """Read a series and its level labels."""
    picture: Any = SimpleITK.ReadImage(str(folder / "image.nii.gz"))
    labels: Any = SimpleITK.ReadImage(str(folder / "mask_level.nii.gz"))
    slice_mm, column_mm, row_mm = picture.GetSpacing()
    frame = Frame(
        origin_mm=np.zeros(3),
        directions=spider.STRAIGHT,
        spacing_mm=np.array([slice_mm, row_mm, column_mm]),
    )
    voxels = SimpleITK.GetArrayFromImage(picture).transpose(2, 0, 1)
    drawn = SimpleITK.GetArrayFromImage(labels).transpose(2, 0, 1)
    volume = Volume(
        voxels=voxels.astype(np.float32), frame=frame, series_uid=folder.name
    )
    return volume, drawn.astype(np.uint8)


def misnamed(result: AnalysisResult, drawn: NDArray[np.uint8]) -> tuple[int, list[str]]:
    """Return how many labelled structures were found, and which got another name."""
    found, wrong = 0, []
    for code, structure in NAMED.items():
        numbers = np.bincount(result.segmentation.labels[drawn == code], minlength=22)
        numbers[0] = 0
        if numbers.sum() < _MIN_VOXELS:
            continue
        found += 1
        if numbers.argmax() != structure.number:
            wrong.append(structure.label)
    return found, wrong


def lines(split: str) -> Iterator[str]:
    """Yield what was found in each series."""
    plugin = LumbarMri()
    context = Context(subject=Subject(), summaries={}, threads=2)
    for name, folder in series(split):
        volume, drawn = read(folder)
        try:
            result = plugin.analyse({"t2_sagittal": volume}, context)
        except UnsuitableInput as outcome:
            yield f"{name}: {outcome.code}: {outcome.text}"
            continue
        found, wrong = misnamed(result, drawn)
        codes = [warning.code for warning in result.warnings]
        yield f"{name}: {found} named, wrong {wrong}, warnings {codes}"


if __name__ == "__main__":
    for line in lines(sys.argv[1]):
        sys.stdout.write(f"{line}\n")
