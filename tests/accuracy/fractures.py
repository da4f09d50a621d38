"""Counts bodies that are told to have lost height: real ones, and pressed ones.

Run as `python -m tests.accuracy.fractures train` or `... public_test`. First, all
series of SPIDER, `fcs_ivd`, `fcs_vb1`, `fcs_vb2`, `mrspineseg2d` and `tianchi2d` of the
split: which bodies are told, to be looked at one by one; from `train`, too, the usual
heights of `measure.height_loss`, and the usual and the widest spaces between bodies;
and what comes nearest to the limits of `judge.height_loss_doubts`.
Then the rows of L1 to L4 of the SPIDER patients are pressed to shares of their height,
in the picture, and the networks look again: what is told, of which body and of the
count, and where nothing is (SILENT).
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

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
from analysis.lumbar.judge.artefacts import front_heights, unfit_bodies, unfit_discs
from analysis.lumbar.judge.height_loss_doubts import (
    USUAL_OF_DEPTH,
    USUAL_SPACE,
    depth_shares,
    height_losses,
    merged_bodies,
    overlooked_bodies,
    space_and_body,
    space_shares,
)
from analysis.lumbar.judge.resolve import withheld
from analysis.lumbar.measure.discs_and_bodies import body_shapes, measure_body
from analysis.lumbar.measure.height_loss import (
    USUAL,
    ExpectedShare,
    HeightLoss,
    Heights,
    expected_shares,
    heights_of,
)
from analysis.lumbar.measure.measurements import SpineMeasurements, measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from tests.accuracy import levels as other_hospitals
from tests.support import spider

PRESSED = (VERTEBRAE[5], VERTEBRAE[4], VERTEBRAE[3], VERTEBRAE[2])
TO_SHARES = (0.3, 0.4, 0.5, 0.7)
_SLICE_MM = 4.4
_MIDDLE = ("L2", "L3", "L4")
_LUMBAR_SPACES = ("L1/L2", "L2/L3", "L3/L4", "L4/L5")
_WIDEST = 5
TOGETHER = "highest share of a space times that of a body beside it"
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


def measured(volume: Volume, anatomy: Anatomy) -> SpineMeasurements:
    """Measure what was found."""
    labels = label_source(anatomy.tissues, anatomy.levels.names)
    return measure_spine(anatomy, volume, labels)


def spaces_of(rows: SpineMeasurements) -> dict[str, float]:
    """Return the height between two bodies by level, as far as it is known."""
    return {
        row.level: height
        for row in (*rows.upper, *rows.discs)
        if (height := row.number("interbody_height_mm")) is not None
    }


def main(split: str) -> None:
    """Write what is told, what is usual, and what becomes of pressed bodies."""
    networks = load_networks(threads=2)
    told: Counter[str] = Counter()
    shapes: list[dict[str, Heights]] = []
    spaces: list[dict[str, float]] = []
    widest: list[tuple[float, str]] = []
    nearest: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    count = bodies = 0
    for name, volume in series(split):
        try:
            anatomy = found(volume, networks)
        except Refused:
            continue
        shares, heights = judged(anatomy)
        rows = measured(volume, anatomy)
        spaces.append(spaces_of(rows))
        widest += [(one, f"{name} {at}") for at, one in space_shares(rows).items()]
        for key, value in near_limits(name, rows):
            nearest[key].append(value)
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
    for level in USUAL_SPACE:
        of_usual = [
            one[level] / np.median([one[o] for o in _LUMBAR_SPACES if o in one])
            for one in spaces
            if level in one and any(other in one for other in _LUMBAR_SPACES)
        ]
        sys.stdout.write(f"usual space {level}: {np.median(of_usual):.2f}\n")
    for wide, name in sorted(widest, reverse=True)[:_WIDEST]:
        sys.stdout.write(f"{name}: {wide:.2f} of {len(widest)} spaces\n")
    _write_nearest(nearest)
    _press(split, networks)


def _write_nearest(nearest: Mapping[str, Sequence[tuple[float, str]]]) -> None:
    for key, values in nearest.items():
        ordered = sorted(values, reverse=key == TOGETHER)[:_WIDEST]
        known = ", ".join(f"{value:.2f} ({at})" for value, at in ordered)
        middle = np.median([value for value, _ in values])
        sys.stdout.write(f"{key}, n {len(values)}, median {middle:.3f}: {known}\n")


def near_limits(
    name: str, rows: SpineMeasurements
) -> Iterator[tuple[str, tuple[float, str]]]:
    """Yield what tells of a crushed body that was overlooked, and of several."""
    for row in (*rows.upper, *rows.discs):
        space, disc = row.number("interbody_height_mm"), row.number("disc_height_mm")
        if space is not None and disc is not None:
            yield "least space over its disc", (space / disc, f"{name} {row.level}")
        if (fronts := front_heights(row)) is not None:
            share = fronts[0] / fronts[1]
            yield "least front of a space over its disc", (share, f"{name} {row.level}")
    below = {row.level for row in rows.discs}
    for level, (body, space_share, body_share) in space_and_body(rows).items():
        if level in below:
            yield TOGETHER, (space_share * body_share, f"{name} {level} and {body}")
    shares = depth_shares(rows)
    for label, share in shares.items():
        of_depth = share * USUAL_OF_DEPTH[label]
        yield f"height over depth of {label}", (of_depth, name)
    if shares:
        middle = float(np.median(list(shares.values())))
        yield "height over depth of a spine, of the usual", (middle, name)


def _press(split: str, networks: Networks) -> None:
    outcomes: Counter[str] = Counter()
    for patient in spider.patients(split):
        volume = spider.read_volume(patient)
        anatomy = found(volume, networks)
        before, _ = judged(anatomy)
        for body in PRESSED:
            own = before.get(body.label)
            if not isinstance(own, ExpectedShare) or own.grade > HeightLoss.NONE:
                continue
            for share in TO_SHARES:
                altered = pressed(volume, anatomy, body, share)
                try:
                    word = _outcome(body, altered, found(altered, networks))
                except Refused as refused:
                    word = refused.code
                outcomes[f"{body.label} to {share}: {word.partition(' ')[0]}"] += 1
                sys.stdout.write(f"{patient} {body.label} to {share}: {word}\n")
    for outcome, count in sorted(outcomes.items()):
        sys.stdout.write(f"{outcome}: {count}\n")


def _outcome(body: Structure, volume: Volume, anatomy: Anatomy) -> str:
    """Say what is told of a pressed body: itself, or else of others and the count."""
    rows = measured(volume, anatomy)
    before = (*unfit_bodies(rows), *unfit_discs(rows), *overlooked_bodies(rows))
    kept = withheld(rows, before)
    now = judged(anatomy)[0][body.label]
    if isinstance(now, ExpectedShare) and now.grade > HeightLoss.NONE:
        return f"told {now.share:.2f}"
    doubts = (*anatomy.levels.doubts, *before, *merged_bodies(kept))
    codes = {doubt.code for doubt in (*doubts, *height_losses(kept))}
    if codes:
        return f"otherwise {now}: {', '.join(sorted(codes))}"
    return f"SILENT {now}"


if __name__ == "__main__":
    main(sys.argv[1])
