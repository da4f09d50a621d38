"""Counts what is told of bodies that a line cuts in two and of discs under a stripe.

Run as `python -m tests.accuracy.blind_spots train`, on the SPIDER patients of a split.
A stripe of disc is drawn into the network's answer in L5, L4, L3 and L2; the picture
loses its signal, or four fifths of it, in stripes over L4/L5.

With `--machines SERIES ...` the series of that name are altered as machines alter them
(`machine_faults`), and go through the product as a whole: by how much values move
against those of the series as it is, and what is told. With `--signs`, all T2 series
of the split: the signs of `judge.uneven_signal`, as they are and altered, on the
outlines of the series as it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections import Counter

import numpy as np

from analysis.lumbar.anatomy.named_levels import Levels
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE, Structure, Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, TissueMap
from analysis.lumbar.check.series import examine
from analysis.lumbar.doubt import of_disc
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.judge.dark_stripes import dark_stripes
from analysis.lumbar.name.name_levels import name_levels
from tests.accuracy.machines_told import signs_of_machines, told_of_machines
from tests.support import spider

LINE_MM = (3.0, 6.0)
STRIPE_MM = (1.5, 3.0, 6.0, 10.0, 20.0)
LEFT = (0.0, 0.2, 0.5)
LEAN_DEG = (0.0, 7.5, 20.0)
L4_L5 = DISCS[1]


def cut(anatomy: Anatomy, body: Structure, high_mm: float) -> TissueMap:
    """Return the network's answer with a stripe of disc in the middle of a body."""
    place = VERTEBRAE.index(body)
    planes = [anatomy.levels.planes[DISCS[i].number] for i in (place - 1, place)]
    mine = np.argwhere(anatomy.levels.names == body.number)
    points = mine * anatomy.tissues.grid.frame.spacing_mm
    down = planes[0].down + planes[1].down
    side = (planes[0].side_slope + planes[1].side_slope) / 2
    offset = points - points.mean(axis=0)
    away = offset[:, 1:] @ (down / np.linalg.norm(down)) - side * offset[:, 0]
    slices, rows, columns = mine[np.abs(away) < high_mm / 2].T
    tissue = anatomy.tissues.tissue.copy()
    probability = anatomy.tissues.probability.copy()
    tissue[slices, rows, columns] = Tissue.DISC
    probability[slices, :, rows, columns] = 0
    probability[slices, Tissue.DISC, rows, columns] = FULL
    return dataclasses.replace(anatomy.tissues, tissue=tissue, probability=probability)


def outcome(before: Levels, after: Levels) -> str:
    """Say whether the five discs kept their names, and whether a doubt is told."""
    told = any(notice.code == "level_uncertain" for notice in after.doubts)
    kept = all(
        np.bincount(after.names[before.names == disc.number])[1:].argmax() + 1
        == disc.number
        for disc in DISCS[:5]
        if disc.number in before.planes
    )
    return f"{'right' if kept else 'WRONG'}, {'told' if told else 'not told'}"


def main(split: str) -> None:
    """Count over all patients of a split."""
    networks = load_networks(threads=2)
    lines: Counter[str] = Counter()
    stripes: Counter[str] = Counter()
    for patient in spider.patients(split):
        volume = spider.read_volume(patient)
        tissues = segment(examine(volume), networks)
        anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
        stripes[f"none: {len(dark_stripes(anatomy, volume))} doubts"] += 1
        for body in VERTEBRAE[1:5]:
            if not (anatomy.levels.names == body.number).any():
                continue
            for high_mm in LINE_MM:
                found = name_levels(cut(anatomy, body, high_mm))
                lines[outcome(anatomy.levels, found)] += 1
        row_mm, column_mm = anatomy.levels.planes[L4_L5.number].centre_mm[1:]
        rows, columns = np.indices(volume.voxels.shape[1:])
        matrix, start = tissues.grid.plane_map(to_source=False)
        pixels = np.stack([rows, columns], axis=-1) @ matrix.T + start
        there = pixels * anatomy.pixel_mm - [row_mm, column_mm]
        for high_mm, left, lean in np.stack(
            np.meshgrid(STRIPE_MM, LEFT, LEAN_DEG), axis=-1
        ).reshape(-1, 3):
            away = there[..., 0] - np.tan(np.radians(lean)) * there[..., 1]
            voxels = volume.voxels.copy()
            voxels[:, np.abs(away) < high_mm / 2] *= left
            altered = dataclasses.replace(volume, voxels=voxels)
            scopes = [doubt.scope for doubt in dark_stripes(anatomy, altered)]
            seen = of_disc(L4_L5.number) in scopes
            stripes[f"{left:.1f} of the signal: {'found' if seen else 'missed'}"] += 1
    for title, counts in (("lines", lines), ("stripes", stripes)):
        for name, count in sorted(counts.items()):
            sys.stdout.write(f"{title}: {name}: {count}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("split")
    parser.add_argument("--machines", nargs="+", metavar="SERIES")
    parser.add_argument("--signs", action="store_true")
    chosen = parser.parse_args()
    if chosen.machines:
        told_of_machines(chosen.split, chosen.machines)
    elif chosen.signs:
        signs_of_machines(chosen.split)
    else:
        main(chosen.split)
