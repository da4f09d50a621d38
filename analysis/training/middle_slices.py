"""The reader of the source that holds one middle slice a patient, discs drawn."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from analysis.training.labels import Label, allowed_for_part
from analysis.training.settings import SourceSettings
from analysis.training.sources import LabelledCase

_ABOVE_DISC_MM = 10.0
"""The next disc up lies a whole body above the highest labelled one."""


def read_drawn_discs(
    data: Path, source: SourceSettings, split: str
) -> Iterator[LabelledCase]:
    """Read single slices of known pixel size whose discs are labelled, up to some."""
    folder = data / source.folder
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    for row in tqdm(rows, desc=f"read {source.folder}", unit="case"):
        grey = np.asarray(Image.open(folder / row["image"]).convert("L"))[None]
        drawn = np.asarray(Image.open(folder / "mask_disc" / f"{row['case']}.png"))
        labels = (drawn[None] > 0) * np.uint8(Label.DISC)
        pixel_mm = float(row["pixel_mm"])
        top = int(np.nonzero(labels)[1].min()) - round(_ABOVE_DISC_MM / pixel_mm)
        yield LabelledCase(
            source=source.folder,
            name=row["case"],
            patient=row["case"],
            grey=grey,
            allowed=allowed_for_part(labels, frozenset({Label.DISC}), top),
            spacing_mm=(pixel_mm, pixel_mm),
            s1_slices=frozenset(),
            complete=False,
        )
