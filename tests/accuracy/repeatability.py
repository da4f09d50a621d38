"""Measures how far each value moves when the same picture is taken differently.

Run as `python -m tests.accuracy.repeatability train` or `... public_test`; a number N
after it takes every Nth patient. Every SPIDER patient of the split is read as it is and
rotated, shifted, resampled, thinned, amplified and with noise; the within-subject
standard deviation over these readings is printed for each quantity, in the tables of
docs/accuracy-measurements.md.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import CANAL
from analysis.lumbar.check.series import examine
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import Networks, load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.measure.measurements import MeasuredDisc, measure_spine
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from tests.support import spider

NAIVE = "delta_si_naive"
"""delta-SI from raw histograms, with CSF at their most frequent value."""
DETECTABLE = 1.96 * 2**0.5
"""Two readings differ by less than this many standard deviations in 95 % of cases, if
nothing has changed (Bland JM, Altman DG. BMJ 1996;313:744)."""
_ROTATION_DEG = 10.0
_SHIFT_MM = (3.3, -5.7)
_NOISE_SHARE = 0.03
"""Standard deviation of added noise, of the 99.5th percentile of the picture."""
_GREYS = 256
_FEWEST = 3
Reading = dict[tuple[str, str], float]
"""Values by level and quantity."""


def altered(volume: Volume) -> Iterator[tuple[str, Volume]]:
    """Yield the series as it is, then each alteration with its name."""
    yield "as it is", volume
    for angle in (-_ROTATION_DEG, _ROTATION_DEG):
        yield f"rotated {angle:+.0f} deg", _moved(volume, angle_deg=angle)
    yield "shifted", _moved(volume, shift_mm=_SHIFT_MM)
    for pixel_mm in (0.7, 1.0):
        yield f"resampled to {pixel_mm} mm", _moved(volume, pixel_mm=pixel_mm)
    # Thinned to 3.6 mm, as if the patient lay 1.8 mm further to the side.
    for name, first in (("even slices", 0), ("odd slices", 1)):
        yield name, _every_second(volume, first)
    yield "gain x 2", _with(volume, volume.voxels * 2)
    bright = float(np.percentile(volume.voxels, 99.5))
    noise = np.random.default_rng(3).normal(
        0.0, _NOISE_SHARE * bright, volume.voxels.shape
    )
    noisy = np.maximum(volume.voxels + noise, 0).astype(np.float32)
    yield "noise added", _with(volume, noisy)


def _with(volume: Volume, voxels: NDArray[np.float32]) -> Volume:
    return Volume(voxels=voxels, frame=volume.frame, series_uid=volume.series_uid)


def _every_second(volume: Volume, first: int) -> Volume:
    start = np.array([first, 0, 0], np.float64)
    frame = Frame(
        origin_mm=volume.frame.to_mm(start),
        directions=volume.frame.directions,
        spacing_mm=volume.frame.spacing_mm * np.array([2.0, 1.0, 1.0]),
    )
    return Volume(
        voxels=volume.voxels[first::2], frame=frame, series_uid=volume.series_uid
    )


def _moved(
    volume: Volume,
    *,
    angle_deg: float = 0.0,
    shift_mm: tuple[float, float] = (0.0, 0.0),
    pixel_mm: float | None = None,
) -> Volume:
    """Sample the same patient after a movement in the plane of the slices."""
    from scipy import ndimage

    old = volume.frame.spacing_mm[1:]
    new = old if pixel_mm is None else np.full(2, pixel_mm)
    size_mm = old * volume.voxels.shape[1:]
    shape = np.floor(size_mm / new).astype(int)
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = turn * new / old[:, None]
    middle_new, middle_old = (
        (shape - 1) / 2,
        (np.array(volume.voxels.shape[1:]) - 1) / 2,
    )
    offset = middle_old + np.array(shift_mm) / old - matrix @ middle_new
    # Half-width of the pixel as the smoothing: a scanner averages over its pixels.
    blur = 0.0 if pixel_mm is None else np.maximum(new / old - 1, 0) / 2
    slices = [
        ndimage.affine_transform(
            ndimage.gaussian_filter(picture, blur),
            matrix,
            offset=offset,
            output_shape=tuple(shape),
            order=3,
            mode="nearest",
        )
        for picture in volume.voxels
    ]
    voxels = np.clip(np.stack(slices), volume.voxels.min(), volume.voxels.max())
    frame = Frame(
        origin_mm=np.zeros(3),
        directions=volume.frame.directions,
        spacing_mm=np.array([volume.frame.spacing_mm[0], *new]),
    )
    return Volume(
        voxels=voxels.astype(np.float32), frame=frame, series_uid=volume.series_uid
    )


def read(volume: Volume, networks: Networks) -> Reading:
    """Measure one series through the network."""
    tissues = segment(examine(volume), networks)
    levels = name_levels(tissues)
    labels = label_source(tissues, levels.names)
    anatomy = Anatomy(tissues=tissues, levels=levels)
    rows = measure_spine(anatomy, volume, labels)
    found: Reading = {}
    for row in rows.discs:
        for name, value in row.values.items():
            if isinstance(value, float):
                found[row.level, name] = value
        if isinstance(row.values["delta_si"], float):
            found[row.level, NAIVE] = naive_difference(anatomy, volume, labels, row)
    return found


def naive_difference(
    anatomy: Anatomy, volume: Volume, labels: NDArray[np.uint8], row: MeasuredDisc
) -> float:
    """Return delta-SI of one slice from the raw histograms of an 8-bit picture."""
    index = anatomy.middle_slices(row.disc)[0]
    source = anatomy.tissues.grid.source_slice(index)
    picture = volume.voxels[source]
    grey = np.rint(picture * ((_GREYS - 1) / float(picture.max()))).astype(int)
    disc = np.bincount(grey[labels[source] == row.disc.number], minlength=_GREYS)
    csf = int(np.bincount(grey[labels[source] == CANAL.number]).argmax())
    levels = np.arange(len(disc))
    first = int(disc.argmax())
    second = int((np.abs(levels - 0.95 * first) * disc).argmax())
    return abs(first - second) * (_GREYS - 1) / max(csf, 1)


def within_subject_sd(groups: Iterable[list[float]]) -> float:
    """Return the root of the mean variance within groups."""
    return float(np.sqrt(np.mean([np.var(group, ddof=1) for group in groups])))


def table(readings: dict[str, dict[str, Reading]]) -> Iterator[str]:
    """Yield one line a quantity; `readings` are by patient, then by alteration."""
    values: dict[str, dict[tuple[str, str], dict[str, float]]] = defaultdict(dict)
    for patient, variants in readings.items():
        for variant, reading in variants.items():
            for (level, name), value in reading.items():
                values[name].setdefault((patient, level), {})[variant] = value
    yield (
        "| quantity | discs | mean | within-subject SD | median disc SD | 95th "
        "| detectable change |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, discs in values.items():
        groups = [list(v.values()) for v in discs.values() if len(v) >= _FEWEST]
        spreads = [float(np.std(group, ddof=1)) for group in groups]
        yield (
            f"| {name} | {len(groups)} | {np.mean([np.mean(g) for g in groups]):.3f} "
            f"| {within_subject_sd(groups):.3f} | {np.median(spreads):.3f} "
            f"| {np.percentile(spreads, 95):.3f} "
            f"| {DETECTABLE * within_subject_sd(groups):.3f} |"
        )
    yield ""
    yield "| alteration | height: mean change | SD | delta-SI: mean change | SD |"
    yield "|---|---|---|---|---|"
    for variant in next(iter(readings.values())):
        cells = [
            _change(values[name], variant) for name in ("disc_height_mm", "delta_si")
        ]
        yield f"| {variant} | {' | '.join(cells)} |"


def _change(discs: dict[tuple[str, str], dict[str, float]], variant: str) -> str:
    changes = [
        found[variant] - found["as it is"]
        for found in discs.values()
        if variant in found and "as it is" in found
    ]
    return f"{np.mean(changes):+.2f} | {np.std(changes):.2f}"


def collect(
    patients: list[str], read_one: Callable[[Volume], Reading]
) -> dict[str, dict[str, Reading]]:
    """Read all alterations of some patients."""
    readings: dict[str, dict[str, Reading]] = {}
    for patient in patients:
        for variant, volume in altered(spider.read_volume(patient)):
            try:
                found = read_one(volume)
            except Refused as outcome:
                sys.stderr.write(f"{patient}, {variant}: {outcome.code}\n")
                continue
            readings.setdefault(patient, {})[variant] = found
    return readings


def main(split: str, step: int) -> None:
    """Write the tables of a split to standard output."""
    networks = load_networks(threads=1)
    readings = collect(
        spider.patients(split)[::step], lambda volume: read(volume, networks)
    )
    sys.stdout.write("\n".join(table(readings)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
