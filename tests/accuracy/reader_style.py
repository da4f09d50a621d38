"""Measures how readers of other sources draw discs, as an offset of the outline.

Run as `python -m tests.accuracy.reader_style [--models FOLDER]`, with other networks
than those that ship; the readers are those of MRSpineSeg.
What is fitted (the offset of the source, the line of heights) is fitted on `train`. It
is shown on `train`, each patient left out, and all on `public_test`. A patient's own
offset or shift is that of his other discs. A disc is taken for the drawn one that lies
nearest, whatever its name.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from tqdm import tqdm

from analysis.contract.errors import UnsuitableInput
from analysis.imaging.resample import resample
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, Structure, level_of
from analysis.lumbar.anatomy.tissue_map import FULL
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.measure.measurements import measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.training.levels.labelled import LabelledSeries, single_slices
from analysis.training.levels.looks import Looks
from tests.accuracy.uncertainty_by_source import as_drawn, source_of
from tests.support import spider

_NEAR_MM = 12.0
OFFSETS_MM = np.arange(-0.6, 1.61, 0.05)
_NONE = int(np.abs(OFFSETS_MM).argmin())
_PAD_PX = 12
_SHRINK = 1.5
"""Discs by which the shift of a patient is held back."""
_SOURCE = "mrspineseg2d"
_MIDDLE_SHARE = 0.6
"""Of half the length or the height, over which edges are compared."""
_EDGES = ("above", "below", "in front", "behind")
_LEVELS = ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnDisc:
    """One drawn disc beside the one that was found.

    Parameters
    ----------
    patient, level
        Which, by the readers' name.
    drawn_mm, disc_mm, interbody_mm
        Height as drawn, as found, and between the bodies that were found.
    dice : ndarray, shape of `OFFSETS_MM`
        Of the found outline moved outwards by each offset.
    edges_mm : ndarray, shape (4,)
        By how much the drawn outline lies outside of the found one: above, below, in
        front, behind; means over the middle of each edge.
    """

    patient: str
    level: str
    drawn_mm: float
    disc_mm: float
    interbody_mm: float
    dice: NDArray[np.float64]
    edges_mm: NDArray[np.float64]


def discs_of(series: LabelledSeries, anatomy: Anatomy) -> Iterator[DrawnDisc]:
    """Yield each disc of a single slice that was drawn and found."""
    drawn = series.drawn
    if drawn is None:
        return
    labels = label_source(anatomy.tissues, anatomy.levels.names)
    renamed = np.zeros_like(drawn)
    names: dict[int, str] = {}
    for disc in DISCS:
        plane, places = anatomy.levels.planes.get(disc.number), series.places
        drawn_discs = {level_of(one): one for one in DISCS if level_of(one) in places}
        if plane is None or not drawn_discs:
            continue
        away = {
            level: float(
                np.linalg.norm(plane.centre_mm[1:] - series.in_mm(places[level]))
            )
            for level in drawn_discs
        }
        nearest = min(away, key=lambda level: away[level])
        if away[nearest] < _NEAR_MM:
            renamed[drawn == drawn_discs[nearest].number] = disc.number
            names[disc.number] = nearest
    own = measure_spine(anatomy, series.volume, labels)
    true = measure_spine(as_drawn(anatomy, renamed), series.volume, labels)
    for found, truth in zip(own.discs, true.discs, strict=True):
        values = (
            truth.number("disc_height_mm"),
            found.number("disc_height_mm"),
            found.number("interbody_height_mm"),
        )
        if found.disc.number not in names or None in values:
            continue
        pair = _pair(series, anatomy, found.disc, renamed)
        if pair is None:
            continue
        yield DrawnDisc(
            patient=series.name,
            level=names[found.disc.number],
            drawn_mm=values[0] or 0.0,
            disc_mm=values[1] or 0.0,
            interbody_mm=values[2] or 0.0,
            dice=_dice(*pair, series.volume.frame.spacing_mm[1:]),
            edges_mm=_edges_mm(*pair, float(series.volume.frame.spacing_mm[1])),
        )


Mask = NDArray[np.bool_]


def _pair(
    series: LabelledSeries, anatomy: Anatomy, disc: Structure, drawn: NDArray[np.uint8]
) -> tuple[Mask, Mask] | None:
    """Return what was found and what was drawn of a disc, on the series' own pixels."""
    index = len(drawn) // 2
    field = anatomy.field(disc, index)
    truth = drawn[index] == disc.number
    if field is None or not truth.any():
        return None
    whole = np.full(anatomy.levels.names.shape[1:], -float(FULL), np.float32)
    row, column = field.corner_px.astype(int)
    rows, columns = field.values.shape
    whole[row : row + rows, column : column + columns] = field.values
    matrix, offset = anatomy.tissues.grid.plane_map(to_source=False)
    found = resample(whole, matrix, offset, truth.shape, order=1, outside=-float(FULL))
    inside = found > 0
    box = ndimage.find_objects((inside | truth).astype(np.uint8))[0]
    window = tuple(
        slice(max(0, side.start - _PAD_PX), side.stop + _PAD_PX) for side in box
    )
    return inside[window], truth[window]


def _dice(inside: Mask, truth: Mask, step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the overlap with a drawn disc at each offset of the found outline."""
    away = ndimage.distance_transform_edt(~inside, sampling=step)
    depth = ndimage.distance_transform_edt(inside, sampling=step)
    signed = np.where(inside, step[0] / 2 - depth, away - step[0] / 2)
    moved = [signed < offset for offset in OFFSETS_MM]
    return np.array(
        [2 * (mask & truth).sum() / (mask.sum() + truth.sum()) for mask in moved]
    )


def _edges_mm(inside: Mask, truth: Mask, pixel_mm: float) -> NDArray[np.float64]:
    """Return by how much the drawn disc reaches further than the found one."""
    pixels = np.argwhere(truth).astype(np.float64)
    middle = pixels.mean(axis=0)
    back = np.linalg.eigh(np.cov((pixels - middle).T))[1][:, -1]
    back = back if back[1] > 0 else -back
    down = np.array([back[1], -back[0]])
    places = [
        (np.argwhere(mask) - middle) @ np.stack([down, back], axis=1)
        for mask in (inside, truth)
    ]
    ends = []
    for across, reach in ((0, _MIDDLE_SHARE), (1, _MIDDLE_SHARE)):
        half = reach * np.abs(places[1][:, 1 - across]).max()
        for sign in (-1.0, 1.0):
            found, drawn = (_reach(each, across, sign, half) for each in places)
            ends.append((drawn - found) * pixel_mm)
    return np.array(ends)


def _reach(places: NDArray[np.float64], across: int, sign: float, half: float) -> float:
    """Return the mean over lines of the furthest place in a direction (pixels)."""
    near = places[np.abs(places[:, 1 - across]) < half]
    lines = np.rint(near[:, 1 - across]).astype(int)
    furthest = [(sign * near[lines == line, across]).max() for line in np.unique(lines)]
    return float(np.mean(furthest)) if furthest else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnDiscs:
    """All discs of a split.

    Parameters
    ----------
    patient, level : ndarray, shape (N,), str
    drawn_mm, disc_mm, interbody_mm : ndarray, shape (N,)
    dice : ndarray, shape (N, offsets)
    edges_mm : ndarray, shape (N, 4)
    """

    patient: NDArray[np.str_]
    level: NDArray[np.str_]
    drawn_mm: NDArray[np.float64]
    disc_mm: NDArray[np.float64]
    interbody_mm: NDArray[np.float64]
    dice: NDArray[np.float64]
    edges_mm: NDArray[np.float64]

    def signs(self) -> NDArray[np.float64]:
        """Return what a height in the readers' style is told from, shape (N, 7)."""
        levels = [self.level == level for level in _LEVELS[1:]]
        return np.column_stack(
            [np.ones(len(self.level)), self.disc_mm, self.interbody_mm, *levels]
        )

    def others(self) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield each disc with the other discs of its patient."""
        for place, patient in enumerate(self.patient):
            same = self.patient == patient
            same[place] = False
            yield place, same


def read_split(split: str, looks: Looks) -> DrawnDiscs:
    """Read the discs of MRSpineSeg; what was read once is kept."""
    kept = looks.folder / "reader_style" / f"{looks.key}-{split}.npz"
    if not kept.exists():
        found: list[DrawnDisc] = []
        every = [
            one
            for one in single_slices(spider.SHARED, split)
            if source_of(one) == _SOURCE
        ]
        for series in tqdm(every, desc=split, unit="series"):
            try:
                tissues = looks.at(series)
                anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
            except (Refused, UnsuitableInput) as outcome:
                tqdm.write(f"{series.name}: {outcome.code}")
                continue
            found += discs_of(series, anatomy)
        kept.parent.mkdir(parents=True, exist_ok=True)
        names = [field.name for field in fields(DrawnDisc)]
        columns: dict[str, Any] = {
            name: np.array([getattr(one, name) for one in found]) for name in names
        }
        np.savez(kept, **columns)
    with np.load(kept) as stored:
        return DrawnDiscs(**dict(stored))


def in_their_style(discs: DrawnDiscs, taught: DrawnDiscs | None) -> NDArray[np.float64]:
    """Return heights as the readers would draw them, by a line fitted to others.

    Parameters
    ----------
    taught
        What the line is fitted to; None for all other patients of the same split.
    """
    if taught is not None:
        line = np.linalg.lstsq(taught.signs(), taught.drawn_mm, rcond=None)[0]
        return np.asarray(discs.signs() @ line)
    heights = np.zeros(len(discs.level))
    for patient in np.unique(discs.patient):
        own = discs.patient == patient
        signs, drawn = discs.signs()[~own], discs.drawn_mm[~own]
        line = np.linalg.lstsq(signs, drawn, rcond=None)[0]
        heights[own] = discs.signs()[own] @ line
    return heights


def with_patient(
    discs: DrawnDiscs, heights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shift heights by how the reader drew the other discs of the patient."""
    error = heights - discs.drawn_mm
    shift = [error[same].sum() / (same.sum() + _SHRINK) for _, same in discs.others()]
    return np.asarray(heights - np.array(shift), np.float64)


def agreement(found: NDArray[np.float64], true: NDArray[np.float64]) -> str:
    """Return bias, SD, r and ICC(A,1) as a row of a table."""
    error = found - true
    r = float(np.corrcoef(found, true)[0, 1])
    pairs = np.stack([found, true], axis=1)
    n, k = pairs.shape
    grand = pairs.mean()
    rows = k * ((pairs.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    columns = n * ((pairs.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    rest = ((pairs - grand) ** 2).sum() - rows * (n - 1) - columns * (k - 1)
    rest /= (n - 1) * (k - 1)
    icc = (rows - rest) / (rows + (k - 1) * rest + k * (columns - rest) / n)
    return f"{error.mean():+.2f} | {error.std():.2f} | {r:.3f} | {icc:.3f}"


def _overlaps(discs: DrawnDiscs, source: int) -> str:
    """Return mean Dice: delivered, by offsets of source and patient, and the best."""
    own = [
        discs.dice[place, discs.dice[same].mean(axis=0).argmax()]
        for place, same in discs.others()
        if same.any()
    ]
    return (
        f"{discs.dice[:, _NONE].mean():.3f} | {discs.dice[:, source].mean():.3f} "
        f"| {np.mean(own):.3f} | {discs.dice.max(axis=1).mean():.3f}"
    )


def main(models: Path | None) -> None:
    """Print the tables."""
    networks = load_networks(threads=1, folder=models)
    looks = Looks(networks=networks, folder=Path("runs/levels"))
    splits = {name: read_split(name, looks) for name in ("train", "public_test")}
    train = splits["train"]
    source = int(train.dice.mean(axis=0).argmax())
    write = sys.stdout.write
    write(f"Offset of the source: {OFFSETS_MM[source]:+.2f} mm.\n\n")
    write("| Dice | discs | delivered | source's offset | patient's | each disc's |\n")
    write("|---|---|---|---|---|---|\n")
    for name, discs in splits.items():
        write(f"| {name} | {len(discs.level)} | {_overlaps(discs, source)} |\n")
    patients = [
        OFFSETS_MM[train.dice[train.patient == one].mean(axis=0).argmax()]
        for one in np.unique(train.patient)
    ]
    low, middle, high = np.percentile(patients, [10, 50, 90])
    write(f"\nOffsets of patients, 10th, 50th, 90th percentile: {low:+.2f}, ")
    write(f"{middle:+.2f}, {high:+.2f} mm.\n\n")
    write("| heights | discs | bias | SD | r | ICC |\n|---|---|---|---|---|---|\n")
    for name, discs in splits.items():
        line = in_their_style(discs, None if discs is train else train)
        for what, heights in (
            ("delivered", discs.disc_mm),
            ("between the bodies", discs.interbody_mm),
            ("in their style, by the source", line),
            ("in their style, by the patient", with_patient(discs, line)),
        ):
            told = agreement(heights, discs.drawn_mm)
            write(f"| {what}, {name} | {len(discs.level)} | {told} |\n")
    heads = " | ".join(_EDGES)
    write("\n| level | discs | Dice delivered | source's offset | height bias | SD ")
    write(
        f"| drawn further {heads} (SD) |\n|---|---|---|---|---|---|---|---|---|---|\n"
    )
    for name, discs in splits.items():
        for level in _LEVELS:
            mine = discs.level == level
            error = (discs.disc_mm - discs.drawn_mm)[mine]
            dice = discs.dice[mine].mean(axis=0)
            write(
                f"| {level}, {name} | {mine.sum()} | {dice[_NONE]:.3f} "
                f"| {dice[source]:.3f} | {error.mean():+.2f} | {error.std():.2f} "
            )
            edges = discs.edges_mm[mine]
            for mean, spread in zip(
                np.nanmean(edges, axis=0), np.nanstd(edges, axis=0), strict=True
            ):
                write(f"| {mean:+.2f} ({spread:.2f}) ")
            write("|\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path)
    main(parser.parse_args().models)
