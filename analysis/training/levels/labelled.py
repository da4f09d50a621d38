"""Lumbar series of all sources whose levels are known, as volumes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from PIL import Image

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, level_of

Place = tuple[float, float]
"""Row and column."""
_SPIDER = "spider_t2space/"
_WHOLE_SERIES = ("fcs_ivd/", "fcs_vb1/", "fcs_vb2/")
_SLICES = ("mrspineseg2d", "tianchi2d")
_SLICE_MM = 4.4
"""Between the three equal slices that stand for a single one, as MANIFEST.md says."""
_DISCS = [level_of(disc) for disc in DISCS]
_BODIES = [body.label for body in VERTEBRAE]
# `mask_level` of MANIFEST.md: S1 is 1, L5/S1 is 21, then upwards.
_LEVEL_CODES = dict(enumerate(_BODIES, 1)) | dict(enumerate(_DISCS[:5], 21))
_DISC_CODES = dict(enumerate(_DISCS, 1))
_NUMBERS = {body.label: body.number for body in VERTEBRAE} | {
    level_of(disc): disc.number for disc in DISCS
}
_MIN_VOXELS = 15
# Slices run to the right, rows to the feet, columns to the back (MANIFEST.md).
_STRAIGHT = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledSeries:
    """A series and where its readers saw which structure.

    Parameters
    ----------
    places
        Middle of each labelled body and disc, in pixels, by `L4` or `L4/L5`.
    drawn : ndarray, shape of the volume, uint8
        Numbers of the structures that were drawn; None where points alone are known.
    """

    name: str
    volume: Volume
    places: Mapping[str, Place]
    drawn: NDArray[np.uint8] | None = None

    def disc_places(self) -> dict[str, Place]:
        """Return the places of the discs; halfway between bodies where none is known.

        By level, from L5/S1 upwards.
        """
        places = {}
        for level, (lower, upper) in zip(_DISCS, pairwise(_BODIES), strict=True):
            if level in self.places:
                places[level] = self.places[level]
            elif lower in self.places and upper in self.places:
                row, column = np.mean([self.places[lower], self.places[upper]], axis=0)
                places[level] = (float(row), float(column))
        return places

    def in_mm(self, place: Place) -> NDArray[np.float64]:
        """Return row and column in mm from the first pixel."""
        return np.asarray(place * self.volume.frame.spacing_mm[1:])


def whole_series(data: Path, split: str) -> Iterator[LabelledSeries]:
    """Yield the T2 series of a split: of SPIDER, fcs_ivd, fcs_vb1 and fcs_vb2.

    Parameters
    ----------
    data
        The data folder, with `manifest.csv`.
    split
        `train` or `public_test`.
    """
    for row in _rows(data / "manifest.csv", split):
        folder = row["folder"]
        if folder.startswith(_SPIDER):
            mask, codes = "mask_disc_inst.nii.gz", _DISC_CODES
        elif folder.startswith(_WHOLE_SERIES) and row["weighting"].startswith("T2"):
            mask, codes = "mask_level.nii.gz", _LEVEL_CODES
        else:
            continue
        voxels, spacing_mm = _read(data / folder / "image.nii.gz")
        drawn = _read(data / folder / mask)[0].astype(np.uint8)
        yield LabelledSeries(
            name=row["case_id"],
            volume=_volume(voxels, spacing_mm),
            places=_places(drawn, codes),
            drawn=_numbered(drawn, codes),
        )


def single_slices(data: Path, split: str) -> Iterator[LabelledSeries]:
    """Yield each middle slice of MRSpineSeg and Tianchi as three equal slices.

    Parameters
    ----------
    data, split
        As `whole_series` takes them.
    """
    points = _tianchi_points(data)
    for source in _SLICES:
        folder = data / source
        for row in _rows(folder / "cases.csv", split):
            pixel_mm = float(row.get("pixel_mm") or row["pixel_mm_estimate"])
            picture = np.asarray(Image.open(folder / row["image"]).convert("L"))
            volume = _volume(
                np.stack([picture] * 3), np.array([_SLICE_MM, pixel_mm, pixel_mm])
            )
            case = row["case"]
            mask, name = folder / "mask_disc_inst" / f"{case}.png", f"{source} {case}"
            if mask.exists():
                drawn = np.asarray(Image.open(mask))
                yield LabelledSeries(
                    name=name,
                    volume=volume,
                    places=_places(drawn, _DISC_CODES),
                    drawn=np.stack([_numbered(drawn, _DISC_CODES)] * 3),
                )
            else:
                yield LabelledSeries(name=name, volume=volume, places=points[case])


def _rows(path: Path, split: str) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["split"] == split]


def _tianchi_points(data: Path) -> dict[str, dict[str, Place]]:
    points: dict[str, dict[str, Place]] = {}
    with (data / "tianchi2d" / "points.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            place = (float(row["y_px"]), float(row["x_px"]))
            points.setdefault(row["case"], {})[row["level"].replace("-", "/")] = place
    return points


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read a stored volume as (slice, row, column), and its spacing (mm)."""
    stored: Any = SimpleITK.ReadImage(str(path))
    slice_mm, column_mm, row_mm = stored.GetSpacing()
    voxels = SimpleITK.GetArrayFromImage(stored).transpose(2, 0, 1)
    return voxels, np.array([slice_mm, row_mm, column_mm])


def _volume(voxels: NDArray[Any], spacing_mm: NDArray[np.float64]) -> Volume:
    frame = Frame(origin_mm=np.zeros(3), directions=_STRAIGHT, spacing_mm=spacing_mm)
    return Volume(voxels=voxels.astype(np.float32), frame=frame, series_uid="labelled")


def _places(drawn: NDArray[np.uint8], codes: Mapping[int, str]) -> dict[str, Place]:
    places = {}
    for code, label in codes.items():
        mine = np.argwhere(drawn == code)[:, -2:]
        if len(mine) >= _MIN_VOXELS:
            row, column = mine.mean(axis=0).tolist()
            places[label] = (row, column)
    return places


def _numbered(drawn: NDArray[np.uint8], codes: Mapping[int, str]) -> NDArray[np.uint8]:
    """Turn the codes of a mask into numbers of structures; 0 for all others."""
    numbers = np.zeros(256, np.uint8)
    for code, label in codes.items():
        numbers[code] = _NUMBERS[label]
    return numbers[drawn]
