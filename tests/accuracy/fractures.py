"""Counts bodies that are told to have lost height: real ones, and pressed ones.

Run as `python -m tests.accuracy.fractures train` or `... public_test`. First, all
series of SPIDER, `fcs_ivd`, `fcs_vb1`, `fcs_vb2`, `mrspineseg2d` and `tianchi2d` of the
split: which bodies are told, to be looked at one by one; from `train`, too, the usual
heights of `measure.height_loss`. Then the rows of L1 and L3 of the SPIDER patients are
pressed to shares of their height, in the picture, and the networks look again.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import VERTEBRAE, Structure
from analysis.lumbar.check.series import examine
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import Networks, load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.measure.discs_and_bodies import body_shapes, measure_body
from analysis.lumbar.measure.height_loss import (
    USUAL,
    ExpectedShare,
    HeightLoss,
    Heights,
    expected_shares,
    heights_of,
)
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.number_or_reason import Missing
from tests.accuracy import levels as other_hospitals
from tests.support import spider

PRESSED = (VERTEBRAE[5], VERTEBRAE[3])
TO_SHARES = (0.5, 0.7)
_SLICE_MM = 4.4
_MIDDLE = ("L2", "L3", "L4")
_FLAT = (("mrspineseg2d", "pixel_mm"), ("tianchi2d", "pixel_mm_estimate"))


def series(split: str) -> Iterator[tuple[str, Volume]]:
    """Yield every series of a split; a single slice as three equal ones."""
    for patient in spider.patients(split):
        yield f"spider_{patient}", spider.read_volume(patient)
    for name, folder in other_hospitals.series(split):
        yield name, other_hospitals.read(folder)[0]
    for source, spacing in _FLAT:
        with (spider.SHARED / source / "cases.csv").open(newline="") as stream:
            for row in csv.DictReader(stream):
                if row["split"] == split:
                    path = spider.SHARED / source / row["image"]
                    grey = np.asarray(Image.open(path).convert("L"), np.float32)
                    pixel_mm = float(row[spacing])
                    yield f"{source}_{row['case']}", _thrice(grey, pixel_mm)


def _thrice(grey: NDArray[np.float32], pixel_mm: float) -> Volume:
    frame = Frame(
        origin_mm=np.zeros(3),
        directions=spider.STRAIGHT,
        spacing_mm=np.array([_SLICE_MM, pixel_mm, pixel_mm]),
    )
    return Volume(voxels=np.stack([grey] * 3), frame=frame, series_uid="1.2.3")


def found(volume: Volume, networks: Networks) -> Anatomy:
    """Find the structures of a series."""
    tissues = segment(examine(volume), networks)
    return Anatomy(tissues=tissues, levels=name_levels(tissues))


def judged(
    anatomy: Anatomy,
) -> tuple[dict[str, ExpectedShare | Missing], dict[str, Heights | Missing]]:
    """Return the shares and the heights of all bodies, by their label."""
    slabs = [measure_body(anatomy, vertebra) for vertebra in VERTEBRAE]
    shapes = body_shapes(anatomy, slabs)
    heights = {slab.structure.label: heights_of(shapes, slab) for slab in slabs}
    return expected_shares(shapes, slabs), heights


def pressed(volume: Volume, anatomy: Anatomy, body: Structure, share: float) -> Volume:
    """Press the rows of a body together; all below moves up, and the last row stays."""
    window = anatomy.levels.windows[body.number]
    corners = np.array([[side.start, side.stop - 1] for side in window[1:]], float).T
    rows = anatomy.tissues.grid.to_source_indices(corners)[:, 0]
    first, last = float(rows.min()), float(rows.max())
    here = np.arange(volume.voxels.shape[1], dtype=np.float64)
    end = first + (last - first) * share
    there = np.interp(here, [first, end], [first, last])
    there = np.where(here < first, here, np.where(here > end, here + last - end, there))
    there = np.clip(there, 0, len(here) - 1)
    low = np.floor(there).astype(int)
    high = np.minimum(low + 1, len(here) - 1)
    part = (there - low).astype(np.float32)[None, :, None]
    voxels = volume.voxels[:, low] * (1 - part) + volume.voxels[:, high] * part
    return dataclasses.replace(volume, voxels=voxels.astype(np.float32))


def main(split: str) -> None:
    """Write what is told, what is usual, and what becomes of pressed bodies."""
    networks = load_networks(threads=2)
    told: Counter[str] = Counter()
    shapes: list[dict[str, Heights]] = []
    count = bodies = 0
    for name, volume in series(split):
        try:
            shares, heights = judged(found(volume, networks))
        except Refused:
            continue
        count += 1
        shapes.append({k: v for k, v in heights.items() if not isinstance(v, Missing)})
        for label, share in shares.items():
            if isinstance(share, ExpectedShare):
                bodies += 1
                if share.grade > HeightLoss.NONE:
                    told[name] += 1
                    sys.stdout.write(
                        f"{name} {label}: {share.share:.2f} {share.place}\n"
                    )
    sys.stdout.write(
        f"{count} series of {split}, {bodies} bodies: {sum(told.values())} told, "
        f"in {len(told)} series\n"
    )
    for label in USUAL:
        usual = [
            np.divide(one[label], np.median([one[other] for other in _MIDDLE], axis=0))
            for one in shapes
            if label in one and all(other in one for other in _MIDDLE)
        ]
        sys.stdout.write(f"usual {label}: {np.median(usual, axis=0).round(3)}\n")
    _press(split, networks)


def _press(split: str, networks: Networks) -> None:
    outcomes: Counter[str] = Counter()
    for patient in spider.patients(split):
        volume = spider.read_volume(patient)
        anatomy = found(volume, networks)
        before, _ = judged(anatomy)
        for body in PRESSED:
            own = before[body.label]
            if not isinstance(own, ExpectedShare) or own.grade > HeightLoss.NONE:
                continue
            for share in TO_SHARES:
                try:
                    after = found(pressed(volume, anatomy, body, share), networks)
                except Refused as refused:
                    outcomes[f"{body.label} to {share}: {refused.code}"] += 1
                    continue
                now = judged(after)[0][body.label]
                word = "not judged"
                if isinstance(now, ExpectedShare):
                    word = "told" if now.grade > HeightLoss.NONE else "NOT TOLD"
                outcomes[f"{body.label} to {share}: {word}"] += 1
                sys.stdout.write(f"{patient} {body.label} to {share}: {now}\n")
    for outcome, count in sorted(outcomes.items()):
        sys.stdout.write(f"{outcome}: {count}\n")


if __name__ == "__main__":
    main(sys.argv[1])
