"""Derives the limits of `analysis.lumbar.fitted_limits` anew; prints what they part.

Run as `PYTHONPATH=. python -m tests.accuracy.fitted_limits [--split train] [--cases N]
[--write]`: a quarter of an hour for the 40 series of train. Every T2 series of SPIDER,
`fcs_ivd`, `fcs_vb1` and `fcs_vb2` is read as it is, and altered in the ways for which
the limits were made; of each limit the table names the values on either side that come
nearest to it. `--write` puts the table into docs/accuracy-measurements.md. `GRADE_MOST`
has a cross-validation of its own: `python -m analysis.training.grading evaluate`.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from analysis.contract.errors import UnsuitableInput
from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.lumbar import fitted_limits
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS, VERTEBRAE
from analysis.lumbar.check.series import examine
from analysis.lumbar.check.weighting import fluid_ratio
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.discs import find_discs
from analysis.lumbar.find.networks import Networks, load_networks
from analysis.lumbar.find.spacing import pair_shares
from analysis.lumbar.find.spine_course import find_column
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.fitted_limits import Fitted
from analysis.lumbar.judge.artefacts import blur_mm, jolt_mm
from analysis.lumbar.judge.dark_stripes import stripe_share
from analysis.lumbar.judge.outline_confidence import outline_confidence
from analysis.lumbar.judge.signal_voids import void_mm2
from analysis.lumbar.judge.uncertainty import with_uncertainty
from analysis.lumbar.measure.discs_and_bodies import measure_body
from analysis.lumbar.measure.measurements import measure_spine
from analysis.lumbar.name.faded_picture import signal_at_s1
from analysis.lumbar.name.name_levels import mean_confidence
from analysis.lumbar.name.stitched_picture import seam_ratio
from analysis.training.levels.labelled import whole_series
from tests.accuracy import levels as other_hospitals
from tests.accuracy.blind_spots import cut
from tests.accuracy.confidence import true_overlap
from tests.accuracy.faults import (
    JUMP_MM,
    SCREWED,
    Read,
    ghosted,
    jumping,
    looked_at,
    screwed,
    seamed,
    striped,
)
from tests.accuracy.level_names import FADES, disc_rows, faded, row_at, thinned
from tests.accuracy.report import drawn
from tests.support import spider

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "accuracy-measurements.md"
HEADING = "## Limits that were fitted"
PARTED = {
    "FLUID_RATIO": True,
    "CONFIDENCE": True,
    "CUT_STEPS": True,
    "SEAM_RATIO": False,
    "SIGNAL_BELOW": True,
    "STRIPE_SHARE": False,
    "BLUR_MM": False,
    "JOLT_MM": False,
    "VOID_MM2": False,
    "BODY_SECTION": True,
}
"""Limits between sound and faulty series, and whether sound ones lie above."""
_STRIPE_MM, _STRIPE_LEFT = (3.0, 10.0), 0.0
_LINE_MM = 3.0
_NOISE_GRAINS_PX = (2.0, 4.0, 6.0, 8.0)
_NOISE_SEEDS = 8
_WORST = 0.1

_LEAVING = frozenset({"spider_050, L5", "spider_152, L4", "spider_152, L5"})
"""Bodies that leave the slices at a side, seen so in the pictures."""

_OUTLINED = {"DISC_OVERLAP": DISCS[:5], "BODY_OVERLAP": VERTEBRAE[1:6]}


class Values(defaultdict[str, list[tuple[float, str]]]):
    """By the name of a limit: values, and the series that have them."""

    def __init__(self) -> None:
        super().__init__(list)


def series(split: str) -> Iterator[tuple[str, Volume]]:
    """Yield every T2 series of several slices."""
    for patient in spider.patients(split):
        yield f"spider_{patient}", spider.read_volume(patient)
    for name, folder in other_hospitals.series(split):
        yield name, other_hospitals.read(folder)[0]


def other_weightings(split: str) -> Iterator[tuple[str, Volume]]:
    """Yield the T1 series of a split."""
    with (spider.SHARED / "manifest.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            folder = spider.SHARED / row["folder"]
            is_t1 = row["weighting"].startswith("T1") and row["split"] == split
            if is_t1 and row["folder"].startswith(other_hospitals.SOURCES):
                yield row["case_id"], other_hospitals.read(folder)[0]


def of_sound(read: Read, sound: Values) -> None:
    """Add what a series has as it is."""

    def add(limit: str, value: float | None) -> None:
        if value is not None:
            sound[limit].append((value, read.name))

    anatomy = read.anatomy
    add("FLUID_RATIO", fluid_ratio(read.volume, read.labels))
    add("CONFIDENCE", mean_confidence(anatomy.tissues, anatomy.levels.names))
    for share in step_shares(anatomy):
        add("CUT_STEPS", share)
    add("SEAM_RATIO", seam_ratio(anatomy, read.volume, read.labels))
    add("SIGNAL_BELOW", below_s1(read))
    for disc in DISCS[:5]:
        add("STRIPE_SHARE", stripe_share(anatomy, read.volume, disc))
    add("JOLT_MM", jolt_mm(anatomy))
    add("VOID_MM2", void_mm2(anatomy, read.volume, read.labels, least=0.0))
    rows = measure_spine(anatomy, read.volume, read.labels)
    add("BLUR_MM", blur_mm(rows))
    for row in with_uncertainty(rows).discs:
        height, u = row.number("disc_height_mm"), row.uncertainty.get("disc_height_mm")
        if height is not None and u is not None:
            add("HEIGHT_SHARE", u / height)


def of_sections(read: Read, sound: Values, faulty: Values) -> None:
    """Add how much of its largest section a body has in the smallest."""
    for vertebra in VERTEBRAE[1:7]:
        sections = [one.area_mm2 for one in measure_body(read.anatomy, vertebra).slices]
        if sections:
            name = f"{read.name}, {vertebra.label}"
            kind = faulty if name in _LEAVING else sound
            kind["BODY_SECTION"].append((min(sections) / max(sections), name))


def below_s1(read: Read) -> float | None:
    """Return the signal below S1 over that of the bodies; None where it is not seen."""
    found = signal_at_s1(read.anatomy, read.volume)
    return None if found is None else found[1]


def step_shares(anatomy: Anatomy) -> list[float]:
    """Return the two steps beside each disc that was found, over a usual one."""
    tissues = anatomy.tissues
    column = find_column(tissues.tissue, tissues.grid.frame.spacing_mm)
    return [] if column is None else list(pair_shares(find_discs(column)).values())


def of_altered(read: Read, networks: Networks, faulty: Values) -> None:
    """Add what a series has when it is altered as a limit's fault alters it."""

    def add(limit: str, value: float | None, what: str) -> None:
        if value is not None:
            faulty[limit].append((value, f"{read.name}, {what}"))

    anatomy = read.anatomy
    for place, body in enumerate(VERTEBRAE[1:5], start=1):
        beside = {disc.number for disc in DISCS[place - 1 : place + 1]}
        if beside <= set(anatomy.levels.planes) and body.number in anatomy.levels.names:
            lined = dataclasses.replace(anatomy, tissues=cut(anatomy, body, _LINE_MM))
            add("CUT_STEPS", min(step_shares(lined), default=None), body.label)
    for what, altered in seamed(read):
        add("SEAM_RATIO", seam_ratio(anatomy, altered.volume, altered.labels), what)
    disc = DISCS[1]
    if disc.number in anatomy.levels.planes:
        for high_mm in _STRIPE_MM:
            share = stripe_share(anatomy, striped(read, high_mm), disc)
            add("STRIPE_SHARE", share, f"a stripe of {high_mm:g} mm")
    add("JOLT_MM", jolt_mm(jumping(anatomy)), f"{JUMP_MM:g} mm")
    if (read.labels == SCREWED.number).any():
        add("VOID_MM2", void_mm2(anatomy, screwed(read), read.labels, 0.0), "a screw")
    try:
        moved = looked_at(read.name, ghosted(read.volume), networks)
    except Refused:
        return
    rows = measure_spine(moved.anatomy, moved.volume, moved.labels)
    add("BLUR_MM", blur_mm(rows), "ghosts")


def of_fades(split: str, most: int | None, networks: Networks, faulty: Values) -> None:
    """Add what lies below S1 where the signal fades within a body, and is named."""
    for series in islice(whole_series(spider.SHARED, split), most):
        rows, thin = disc_rows(series), thinned(series)
        for place, levels in FADES.items() if rows else ():
            volume = faded(thin, row_at(rows, levels)).volume
            try:
                read = looked_at(series.name, volume, networks)
            except (Refused, UnsuitableInput):
                continue
            if (below := below_s1(read)) is not None:
                name = f"{series.name}, fades from {place}"
                faulty["SIGNAL_BELOW"].append((below, name))


def of_noise(networks: Networks, faulty: Values) -> None:
    """Add how sure the networks are of what they see in smoothed noise."""
    frame = Frame(
        origin_mm=np.zeros(3),
        directions=spider.STRAIGHT,
        spacing_mm=np.array([4.4, 0.8, 0.8]),
    )
    for grain_px in _NOISE_GRAINS_PX:
        for seed in range(_NOISE_SEEDS):
            noise = np.random.default_rng(seed).normal(size=(5, 384, 384))
            soft = ndimage.gaussian_filter(noise, (0.5, grain_px, grain_px))
            voxels = (soft - soft.min()).astype(np.float32)
            volume = Volume(voxels=voxels, frame=frame, series_uid="1.2.3")
            tissues = segment(examine(volume), networks, threads=2)
            sure = mean_confidence(tissues, tissues.tissue)
            faulty["CONFIDENCE"].append((sure, f"grain {grain_px:g} px, seed {seed}"))


def of_outlines(read: Read, patient: str, pairs: Values) -> None:
    """Add expected and true overlap of what was drawn; the latter as text."""
    truth = drawn(patient)
    expected = outline_confidence(
        read.anatomy.tissues,
        read.anatomy.levels.names,
        slices=read.anatomy.measured_slices(),
    )
    for limit, structures in _OUTLINED.items():
        for structure in structures:
            true = true_overlap(read.anatomy, truth, read.labels, structure)
            if true is not None:
                sure = expected.get(structure.number, 0.0)
                pairs[limit].append((sure, f"{true:.6f}"))


def row_of(name: str, sound: Values, faulty: Values) -> str:
    """Return the row of a limit that parts sound series from faulty ones."""
    limit: Fitted = getattr(fitted_limits, name)
    nearest = min if PARTED[name] else max
    cells = [name, f"{limit.limit:g} {limit.unit}", _seen(sound[name], nearest)]
    beyond = sum((one < limit.limit) == PARTED[name] for one, _ in sound[name])
    if faulty[name]:
        cells.append(_seen(faulty[name], max if PARTED[name] else min))
        missed = sum((one < limit.limit) != PARTED[name] for one, _ in faulty[name])
        cells.append(f"{beyond} sound, {missed} faulty")
    else:
        cells += ["none was looked for", f"{beyond} sound"]
    return "| " + " | ".join(cells) + " |"


def _seen(values: list[tuple[float, str]], nearest: Callable[..., Any]) -> str:
    if not values:
        return "none has any"
    value, name = nearest(values)
    return f"{value:.2f} ({name}), of {len(values)}"


def row_of_outlines(name: str, pairs: Values) -> str:
    """Return the row of a limit that tells the outlines that overlap least."""
    limit: Fitted = getattr(fitted_limits, name)
    expected = np.array([one for one, _ in pairs[name]])
    true = np.array([float(text) for _, text in pairs[name]])
    flagged, bad = expected < limit.limit, true <= np.quantile(true, _WORST)
    cells = [
        name,
        f"{limit.limit:g} {limit.unit}",
        f"{int((~flagged).sum())} of {len(true)} above",
        f"{int(flagged.sum())} below",
        f"{int((flagged & bad).sum())} of the {int(bad.sum())} worst below",
    ]
    return "| " + " | ".join(cells) + " |"


def table(split: str, most: int | None) -> list[str]:
    """Read all series, and return the lines of the table."""
    networks = load_networks(threads=2)
    sound, faulty, pairs = (Values(), Values(), Values())
    listed = list(series(split))[:most]
    for name, volume in tqdm(listed, unit="series", file=sys.stderr):
        try:
            read = looked_at(name, volume, networks)
        except Refused as refused:
            sound["REFUSED"].append((0.0, f"{name}: {refused.code}"))
            continue
        of_sound(read, sound)
        of_sections(read, sound, faulty)
        of_altered(read, networks, faulty)
        if name.startswith("spider_"):
            of_outlines(read, name.removeprefix("spider_"), pairs)
    for name, volume in other_weightings(split):
        read = looked_at(name, volume, networks)
        ratio = fluid_ratio(read.volume, read.labels)
        if ratio is not None:
            faulty["FLUID_RATIO"].append((ratio, name))
    of_fades(split, most, networks, faulty)
    of_noise(networks, faulty)
    height: Fitted = fitted_limits.HEIGHT_SHARE
    shares = sound["HEIGHT_SHARE"]
    above = sum(share > height.limit for share, _ in shares)
    largest = max(shares)
    lines = [
        "| limit | is | sound, nearest | faulty, nearest | on the wrong side |",
        "| --- | --- | --- | --- | --- |",
        *(row_of(name, sound, faulty) for name in PARTED),
        f"| HEIGHT_SHARE | {height.limit:.2f} {height.unit} | {largest[0]:.2f} "
        f"({largest[1]}), of {len(shares)} | none was looked for | {above} sound |",
        *(row_of_outlines(name, pairs) for name in _OUTLINED),
    ]
    left_out = ", ".join(text for _, text in sound["REFUSED"]) or "none"
    return [*lines, "", f"Refused, and not in the table: {left_out}."]


def write(lines: list[str], command: str) -> None:
    """Put the table into the document, or in place of the last one."""
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(HEADING)
    _, mark, after = rest.partition("\n## ")
    section = "\n".join([HEADING, "", f"`{command}`", "", *lines, ""])
    rest = mark + after if mark else ""
    DOCUMENT.write_text(before.rstrip() + "\n\n" + section + rest)


def main() -> None:
    """Derive, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="train")
    parser.add_argument("--cases", type=int, help="the first so many series alone")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    lines = table(arguments.split, arguments.cases)
    sys.stdout.write("\n".join([*lines, ""]))
    if arguments.write:
        write(lines, "PYTHONPATH=. python -m tests.accuracy.fitted_limits --write")


if __name__ == "__main__":
    main()
