"""SPIDER cases as volumes, and their hand-drawn masks as tissue maps."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.imaging.sagittal_grid import sagittal_grid, sample_picture
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM, TissueMap
from analysis.training.labels import split_vertebrae

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
_FOLDER = SHARED / "spider_t2space"

# Columns: slice, row, column axis. Slices run to the right, rows to the feet, columns
# to the back, as the data folder's MANIFEST.md says (laterality is not known there).
STRAIGHT = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def patients(split: str) -> list[str]:
    """Return the SPIDER patients of a split of `manifest.csv`."""
    with (SHARED / "manifest.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    return [
        row["case_id"].removeprefix("spider_")
        for row in rows
        if row["case_id"].startswith("spider_")
    ]


def _read(patient: str, name: str) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    picture: Any = SimpleITK.ReadImage(str(_FOLDER / patient / f"{name}.nii.gz"))
    array = SimpleITK.GetArrayFromImage(picture).transpose(2, 0, 1).astype(np.uint8)
    slice_mm, column_mm, row_mm = picture.GetSpacing()
    return array, np.array([slice_mm, row_mm, column_mm])


def read_volume(patient: str) -> Volume:
    """Read the picture of one patient."""
    voxels, spacing = _read(patient, "image")
    frame = Frame(origin_mm=np.zeros(3), directions=STRAIGHT, spacing_mm=spacing)
    return Volume(
        voxels=voxels.astype(np.float32), frame=frame, series_uid=f"spider.{patient}"
    )


def read_tissue(patient: str) -> NDArray[np.uint8]:
    """Read the hand-drawn masks as a map of `Tissue`; S1 only where it was drawn."""
    tissue = split_vertebrae(_read(patient, "mask_sem")[0])
    if (_FOLDER / patient / "mask_s1.nii.gz").exists():
        s1 = _read(patient, "mask_s1")[0] > 0
        tissue[s1 & (tissue == Tissue.BACKGROUND)] = Tissue.S1
    return tissue


def read_disc_instances(patient: str) -> NDArray[np.uint8]:
    """Read the hand-drawn discs: 1 the lowest, counted upwards."""
    return _read(patient, "mask_disc_inst")[0]


def tissue_map(volume: Volume, tissue: NDArray[np.uint8]) -> TissueMap:
    """Turn a drawn map into what a network that drew the same would answer."""
    shape = tissue.shape
    grid = sagittal_grid(volume.frame, (shape[0], shape[1], shape[2]), PIXEL_MM)
    planes = np.zeros((shape[0], len(Tissue), *grid.shape[1:]), np.uint8)
    for channel in Tissue:
        drawn = (tissue == channel).astype(np.float32)
        for index in range(shape[0]):
            planes[index, channel] = np.rint(sample_picture(grid, drawn, index) * FULL)
    return TissueMap(
        grid=grid, probability=planes, tissue=planes.argmax(axis=1).astype(np.uint8)
    )
