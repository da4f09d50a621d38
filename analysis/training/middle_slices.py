"""Readers of the sources that hold one middle slice a patient.

What no reader drew there is told by pseudo-labels where they are sure
(`pseudo_labels.py`), if the settings name a folder of them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from analysis.training.labels import Label, allowed_for_part
from analysis.training.levels.labelled import Place, single_slices
from analysis.training.pseudo_labels import allowed_by_looks, digest_of
from analysis.training.settings import SourceSettings
from analysis.training.sources import LabelledCase

_ABOVE_DISC_MM = 10.0
"""The next disc up lies a whole body above the highest labelled one."""
_FIRST_VERTEBRA_CODE, _FIRST_DISC_CODE, _SACRUM_CODE = 2, 21, 1
_BONE = np.uint8((1 << Label.BODY) | (1 << Label.POSTERIOR))


def read_drawn_discs(
    data: Path, source: SourceSettings, split: str
) -> Iterator[LabelledCase]:
    """Read slices of known pixel size whose discs are drawn, up to some.

    Discs are what was drawn, in the style of those who drew them. Pseudo-labels say
    what else a pixel is; where machines of others outlined vertebrae, too, both must
    say the same. Patients who score the run have none: they would score the network
    that looked.
    """
    folder = data / source.folder
    looks = _pseudo_labels(data, source, split)
    for row in _rows(folder / "cases.csv", split):
        name, pixel_mm = row["case"], float(row["pixel_mm"])
        grey = np.asarray(Image.open(folder / row["image"]).convert("L"))[None]
        drawn = np.asarray(Image.open(folder / "mask_disc" / f"{name}.png")) > 0
        labels = drawn[None] * np.uint8(Label.DISC)
        top = int(np.nonzero(labels)[1].min()) - round(_ABOVE_DISC_MM / pixel_mm)
        allowed = allowed_for_part(labels, frozenset({Label.DISC}), top)
        if name in looks and name not in source.validation:
            seen = _without_contradicted(looks[name], folder / "pseudo_level", name)
            allowed[0] = with_other_tissues(allowed[0], seen)
        yield _case(source, name, grey, allowed, pixel_mm)


def read_marked_slices(
    data: Path, source: SourceSettings, split: str
) -> Iterator[LabelledCase]:
    """Read slices by pseudo-labels alone, which the marks of readers may contradict.

    Their outlines are those of the network that looked, and so is their style.
    """
    folder = data / source.folder
    looks = _pseudo_labels(data, source, split)
    for row in _rows(folder / "cases.csv", split):
        name = row["case"]
        if name not in looks:
            continue
        grey = np.asarray(Image.open(folder / row["image"]).convert("L"))[None]
        pixel_mm = float(row.get("pixel_mm") or row["pixel_mm_estimate"])
        yield _case(source, name, grey, looks[name][None], pixel_mm)


def with_other_tissues(
    allowed: NDArray[np.uint8], seen: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Narrow what pixels may be beside drawn discs to what was seen, where that fits.

    Parameters
    ----------
    allowed, seen : ndarray, shape (R, C), uint8
        Bit c is set where a pixel may be class c. Where both have nothing in common the
        first holds: what was drawn is no pseudo-label's to change. No disc is added,
        since its outline would be that of another reader.
    """
    common = allowed & seen
    return np.where((common != 0) & (seen != 1 << Label.DISC), common, allowed)


def _without_contradicted(
    seen: NDArray[np.uint8], folder: Path, name: str
) -> NDArray[np.uint8]:
    """Leave open where another machine's outlines speak against what was seen."""
    path = folder / f"{name}.png"
    if not path.exists():
        return seen
    codes = np.asarray(Image.open(path))
    vertebra = (codes >= _FIRST_VERTEBRA_CODE) & (codes < _FIRST_DISC_CODE)
    is_bone = (seen & ~_BONE) == 0
    is_s1 = seen == 1 << Label.S1
    doubted = (is_bone & (codes == _SACRUM_CODE)) | (is_s1 & vertebra)
    whole = np.uint8((1 << len(Label)) - 1)
    return np.where(doubted, whole, seen)


def _pseudo_labels(
    data: Path, source: SourceSettings, split: str
) -> Mapping[str, NDArray[np.uint8]]:
    """Return by case what pixels may be, where the settings name pseudo-labels.

    Raises
    ------
    ValueError
        If the folder holds others than the settings say.
    """
    if not source.pseudo_labels or split != "train":
        return {}
    folder = Path(source.pseudo_labels)
    digest = digest_of(folder)
    if digest != source.pseudo_sha256:
        message = f"{folder}: SHA-256 {digest} is not the one expected"
        raise ValueError(message)
    found: dict[str, NDArray[np.uint8]] = {}
    places: dict[str, tuple[Mapping[str, Place], float]] = {
        one.name: (one.places, float(one.volume.frame.spacing_mm[1]))
        for one in single_slices(data, split)
    }
    for path in sorted((folder / source.folder).glob("*.png")):
        marked, pixel_mm = places[f"{source.folder} {path.stem}"]
        sure = np.asarray(Image.open(path))
        found[path.stem] = allowed_by_looks(sure, marked, pixel_mm)
    return found


def _rows(path: Path, split: str) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    return list(tqdm(rows, desc=f"read {path.parent.name}", unit="case"))


def _case(
    source: SourceSettings,
    name: str,
    grey: NDArray[np.uint8],
    allowed: NDArray[np.uint8],
    pixel_mm: float,
) -> LabelledCase:
    s1 = bool((allowed == 1 << Label.S1).any())
    return LabelledCase(
        source=source.folder,
        name=name,
        patient=name,
        grey=grey,
        allowed=allowed,
        spacing_mm=(pixel_mm, pixel_mm),
        s1_slices=frozenset({0}) if s1 else frozenset(),
        complete=False,
    )
