"""Labels that two looks of a network agree on, for tissues that no reader drew.

A network that has learnt from one source says what it sees in the slices of another.
It is believed where two looks say the same, surely, and what readers marked does not
speak against it; all other pixels may be anything.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from tqdm import tqdm

from analysis.contract.errors import UnsuitableInput
from analysis.contract.volume import Volume
from analysis.imaging.resample import resample
from analysis.lumbar.anatomy.tissue_map import FULL
from analysis.lumbar.check.series import examine
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.find.tissues import segment
from analysis.training.labels import Label
from analysis.training.levels.labelled import LabelledSeries, Place, single_slices

UNSURE = 255
"""Where the looks differ, or one is not sure."""
SURE = 0.9
"""Least probability in both looks. Where a network errs it is often sure in one look;
the pixels along each edge, where readers differ, fall below it in any."""
SECOND_LOOK_SCALE = 0.9
"""The second look sees the slice a tenth smaller, on other pixels of its grid."""
_NEAR_MM = 8.0
"""Of a piece of disc or body to what a reader marked as the middle of one. Half a disc
is 5 mm high; the next one is 34 mm away."""
_S1_NEAR_MM = 15.0
"""Of the nearest pixel of S1 to the middle of L5/S1."""
_LEAST_PIECE_MM2 = 20.0
"""Smaller pieces are specks at the edge of what is sure."""
_DISC_MARK_MM, _BODY_MARK_MM = 1.0, 4.0
"""About a point so far the tissue is what the reader marked: half a collapsed disc, and
half of half a body less the inaccuracy of a click."""
_WHOLE = np.uint8((1 << len(Label)) - 1)
_LOWEST_DISC, _NEXT_DISC, _LOWEST_BODY = "L5/S1", "L4/L5", "L5"


def sure_labels(volume: Volume, networks: Networks) -> NDArray[np.uint8]:
    """Return the tissue of each pixel of the middle slice, `UNSURE` where in doubt.

    Returns
    -------
    ndarray, shape (R, C), uint8
        Members of `Label`.
    """
    frame = volume.frame
    shrunk = frame.spacing_mm * [1.0, SECOND_LOOK_SCALE, SECOND_LOOK_SCALE]
    smaller = dataclasses.replace(
        volume, frame=dataclasses.replace(frame, spacing_mm=shrunk)
    )
    first, second = (_probabilities(one, networks) for one in (volume, smaller))
    return agreed(first, second)


def agreed(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return what both of two looks (N, R, C) are sure of, else `UNSURE` (R, C)."""
    labels = first.argmax(axis=0).astype(np.uint8)
    sure = labels == second.argmax(axis=0)
    sure &= np.minimum(first.max(axis=0), second.max(axis=0)) >= SURE
    return np.where(sure, labels, np.uint8(UNSURE))


def _probabilities(volume: Volume, networks: Networks) -> NDArray[np.float32]:
    tissues = segment(examine(volume), networks)
    matrix, offset = tissues.grid.plane_map(to_source=False)
    index = len(tissues.probability) // 2
    rows, columns = volume.voxels.shape[1:]
    planes = tissues.probability[index].astype(np.float32) / FULL
    return np.stack(
        [resample(plane, matrix, offset, (rows, columns), order=1) for plane in planes]
    )


def allowed_by_looks(
    sure: NDArray[np.uint8], places: Mapping[str, Place], pixel_mm: float
) -> NDArray[np.uint8]:
    """Return the classes each pixel may have by both looks and by what readers marked.

    Below the line that parts L5 from S1 there is no vertebral body, and above it no S1:
    that is what the marks say whatever the network does, and what teaches numbering.

    Parameters
    ----------
    sure : ndarray, shape (R, C), uint8
        From `sure_labels`.
    places
        Middles of the discs and bodies that readers marked, by `L4/L5` or `L4`.
    pixel_mm
        Of rows and of columns.

    Returns
    -------
    ndarray, shape (R, C), uint8
        Bit c is set where the pixel may be class c.
    """
    open_to = _by_numbering(sure.shape, places)
    discs = [place for level, place in places.items() if "/" in level]
    bodies = [place for level, place in places.items() if "/" not in level]
    believed = sure.copy()
    _doubt_unmarked(believed, Label.DISC, discs, pixel_mm)
    if bodies:
        _doubt_unmarked(believed, Label.BODY, bodies, pixel_mm)
    if _LOWEST_DISC in places:
        _doubt_far_s1(believed, places[_LOWEST_DISC], pixel_mm)
    bits = np.left_shift(np.uint8(1), np.where(believed == UNSURE, 0, believed))
    certain = (believed != UNSURE) & ((open_to & bits) != 0)
    allowed = np.where(certain, bits.astype(np.uint8), open_to)
    for marks, label, reach_mm in (
        (bodies, Label.BODY, _BODY_MARK_MM),
        (discs, Label.DISC, _DISC_MARK_MM),
    ):
        reach = math.ceil(reach_mm / pixel_mm)
        for row, column in marks:
            rows, columns = (
                slice(max(0, round(at) - reach), round(at) + reach + 1)
                for at in (row, column)
            )
            near = allowed[rows, columns]
            corner = (row - rows.start, column - columns.start)
            near[_away_mm(near.shape, corner, pixel_mm) <= reach_mm] = 1 << label
    return allowed


def _by_numbering(
    shape: tuple[int, ...], places: Mapping[str, Place]
) -> NDArray[np.uint8]:
    """Return what pixels may be, given where L5/S1 is and what lies above it."""
    allowed = np.full(shape, _WHOLE, np.uint8)
    above = places.get(_LOWEST_BODY, places.get(_NEXT_DISC))
    if _LOWEST_DISC not in places or above is None:
        return allowed
    disc = np.array(places[_LOWEST_DISC])
    down = disc - np.array(above)
    rows, columns = np.indices(shape)
    depth = (rows - disc[0]) * down[0] + (columns - disc[1]) * down[1]
    allowed[depth > 0] &= ~np.uint8(1 << Label.BODY)
    allowed[depth < 0] &= ~np.uint8(1 << Label.S1)
    return allowed


def _away_mm(
    shape: tuple[int, ...], place: Place, pixel_mm: float
) -> NDArray[np.float64]:
    rows, columns = np.indices(shape)
    away: NDArray[np.float64] = np.hypot(rows - place[0], columns - place[1]) * pixel_mm
    return away


def _doubt_unmarked(
    labels: NDArray[np.uint8], label: Label, marks: list[Place], pixel_mm: float
) -> None:
    """Doubt pieces between the marks that hold none of them; above them none is due."""
    if not marks:
        return
    rows = [row for row, _ in marks]
    pieces, _ = ndimage.label(labels == label)
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        mine = np.argwhere(pieces[box] == number) + [side.start for side in box]
        if mine[:, 0].mean() < min(rows):
            continue
        near = min(
            float(np.hypot(*(mine - np.array(mark)).T).min()) * pixel_mm
            for mark in marks
        )
        if near > _NEAR_MM and len(mine) * pixel_mm**2 >= _LEAST_PIECE_MM2:
            labels[tuple(mine.T)] = UNSURE


def _doubt_far_s1(labels: NDArray[np.uint8], lowest: Place, pixel_mm: float) -> None:
    """Doubt S1 where it does not begin at the disc that readers called L5/S1."""
    s1 = labels == Label.S1
    if s1.any():
        near = _away_mm(labels.shape, lowest, pixel_mm)[s1].min()
        if near > _S1_NEAR_MM:
            labels[s1] = UNSURE


def write_pseudo_labels(data: Path, networks: Networks, folder: Path) -> str:
    """Look twice at every middle slice of `train`; write what is sure, and its digest.

    Parameters
    ----------
    data
        The data folder.
    networks
        That look.
    folder
        Gets `SOURCE/CASE.png`, members of `Label` or `UNSURE`. What is there is kept.

    Returns
    -------
    str
        `digest_of` the folder.
    """
    for series in tqdm(single_slices(data, "train"), desc="look twice", unit="slice"):
        kept = folder / _file_of(series)
        if kept.exists():
            continue
        try:
            sure = sure_labels(series.volume, networks)
        except UnsuitableInput as outcome:
            tqdm.write(f"{series.name}: {outcome.code}")
            sure = np.full(series.volume.voxels.shape[1:], UNSURE, np.uint8)
        kept.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sure).save(kept)
    return digest_of(folder)


def _file_of(series: LabelledSeries) -> Path:
    source, case = series.name.split()
    return Path(source) / f"{case}.png"


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of all pseudo-labels in a folder, whatever their packing."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*/*.png")):
        total.update(path.relative_to(folder).as_posix().encode())
        total.update(np.asarray(Image.open(path)).tobytes())
    return total.hexdigest()
