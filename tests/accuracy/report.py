"""Writes docs/accuracy.md: how well the shipped network does on `public_test`.

Run by `make accuracy`, after `lumbar-node-train evaluate` has written the figures by
tissue. Here the product's own path is measured, level by level: what got another
level's name counts as not found.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.anatomy.named_levels import Levels
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE
from analysis.lumbar.check.series import examine
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import Networks, load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.training.scores import dice_of, outline_distance
from tests.accuracy import levels as other
from tests.support import spider

SPLIT = "public_test"
_BODIES, _DISCS = VERTEBRAE[1:6], DISCS[:5]
_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Figures of one SPIDER patient, level by level, at native resolution.

    Parameters
    ----------
    name
        Of the patient.
    discs
        Dice of L5/S1 up to L1/L2, as far as they were drawn.
    bodies
        Mean Dice of L5 to L1 in the middle third of the slices.
    canal
        Dice of the canal.
    distance_mm
        Mean in-plane distance of disc outlines, median over slices.
    codes
        Warnings about the levels.
    """

    name: str
    discs: tuple[float, ...]
    bodies: float
    canal: float
    distance_mm: float
    codes: tuple[str, ...]


def named(patient: str, networks: Networks) -> tuple[NDArray[np.uint8], Levels]:
    """Run the product's path from the volume to named structures."""
    tissues = segment(examine(spider.read_volume(patient)), networks)
    levels = name_levels(tissues)
    return label_source(tissues, levels.names, threads=_THREADS), levels


def drawn(patient: str) -> NDArray[np.uint8]:
    """Return the hand-drawn structures; bodies are named by the discs beneath them."""
    volume, tissue = spider.read_volume(patient), spider.read_tissue(patient)
    tissues = spider.tissue_map(volume, tissue)
    levels = name_levels(tissues, s1_is_given=True)
    labels = label_source(tissues, levels.names)
    labels[np.isin(labels, [structure.number for structure in DISCS])] = 0
    instances = spider.read_disc_instances(patient)
    for position, disc in enumerate(DISCS):
        labels[instances == position + 1] = disc.number
    return labels


def score(patient: str, networks: Networks) -> Patient:
    """Compare what the product finds in one patient with what was drawn."""
    truth = drawn(patient)
    labels, levels = named(patient, networks)
    third = len(truth) // 3
    middle = slice(third, len(truth) - third)

    def dice(number: int, part: slice = slice(None)) -> float | None:
        return dice_of(truth[part] == number, labels[part] == number)

    discs = [dice(s.number) for s in _DISCS if (truth == s.number).any()]
    bodies = [dice(s.number, middle) for s in _BODIES]
    numbers = [disc.number for disc in _DISCS]
    spacing = spider.read_volume(patient).frame.spacing_mm
    pairs = zip(np.isin(truth, numbers), np.isin(labels, numbers), strict=True)
    pixel_mm = (float(spacing[1]), float(spacing[2]))
    outlines = [outline_distance(one, two, pixel_mm) for one, two in pairs]
    return Patient(
        name=patient,
        discs=tuple(value for value in discs if value is not None),
        bodies=float(np.mean([value for value in bodies if value is not None])),
        canal=dice(CANAL.number) or 0.0,
        distance_mm=float(
            np.median([one.mean_mm for one in outlines if one is not None])
        ),
        codes=tuple(warning.code for warning in levels.doubts),
    )


def patient_table(patients: Sequence[Patient]) -> list[str]:
    """Return the table of patients, what is wanted in its foot."""
    lines = [
        "| patient | discs mean | discs worst | bodies, middle third | canal "
        "| disc outlines mm | warnings |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {p.name} | {np.mean(p.discs):.3f} | {min(p.discs):.3f} | {p.bodies:.3f} "
        f"| {p.canal:.3f} | {p.distance_mm:.2f} | {', '.join(p.codes)} |"
        for p in patients
    ]
    means = [float(np.mean(p.discs)) for p in patients]
    lines.append(
        f"| **mean** (worst) | **{np.mean(means):.3f}** ({min(means):.3f}) "
        f"| {min(min(p.discs) for p in patients):.3f} "
        f"| **{np.mean([p.bodies for p in patients]):.3f}** "
        f"({min(p.bodies for p in patients):.3f}) "
        f"| **{np.mean([p.canal for p in patients]):.3f}** "
        f"({min(p.canal for p in patients):.3f}) "
        f"| median **{np.median([p.distance_mm for p in patients]):.2f}** | |"
    )
    lines.append(
        "| wanted | 0.905 (0.840) | | 0.965 | 0.930 | 0.45 | right or warned |"
    )
    return lines


def write(figures: Path, out: Path) -> None:
    """Write the document; `figures` holds what `evaluate` wrote."""
    networks = load_networks(threads=_THREADS)
    patients, refused = [], []
    for patient in spider.patients(SPLIT):
        try:
            patients.append(score(patient, networks))
        except Refused as outcome:
            refused.append(f"- {patient}: {outcome.code}: {outcome.text}")
    named = ", ".join(
        f"{card.name} {card.version} (weights `{card.weights_sha256[:12]}`)"
        for card in networks.cards
    )
    lines = [
        "# Accuracy",
        "",
        f"Written by `make accuracy` for the networks {named}, on the split "
        "`public_test`, which has trained, tuned and chosen nothing. The second look "
        "at each disc had been scored on it before train chose it: see "
        "[segmentation-log.md](segmentation-log.md).",
        "",
        "## SPIDER, level by level, through the product",
        "",
        "All delivered slices, native resolution. A disc that got another level's name "
        "counts as not found. The last row is what is wanted.",
        "",
        *patient_table(patients),
        "",
        *refused,
        "## Every source, tissue by tissue",
        "",
        "Both networks, before outlines are smoothed across slices. Only where the "
        "labels decide about a class; S1 only in slices where it was drawn.",
        "",
        (figures / "figures.md").read_text(encoding="utf-8"),
        "## Levels in the series of other hospitals",
        "",
        *(f"- {line}" for line in other.lines(SPLIT)),
        "",
        "Speed: [benchmarks.md](benchmarks.md), section Network.",
        "",
        "## Pictures",
        "",
        "Left of each pair the labels, right the network; middle slices (SPIDER, "
        "CC-BY-4.0).",
        "",
        f"![Labels and predictions]({figures.name}/overlays.png)",
        "",
    ]
    out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
