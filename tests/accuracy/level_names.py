"""Counts level names that are right, wrong and told, wrong and silent, or refused.

Run as `python -m tests.accuracy.level_names WHAT SPLIT`, where WHAT is one of

- `series`: SPIDER, fcs_ivd, fcs_vb1 and fcs_vb2, whole;
- `slices`: middle slices of other hospitals (MRSpineSeg, Tianchi), each as three equal
  slices;
- `fades`: the series, three slices each, whose signal fades towards the feet from the
  middle of L5, L4 or L3 on;
- `cuts`: the same, ending at nine heights from the middle of S1 up to L3/L4.

`--models FOLDER` reads with other networks; `--held-out SETTINGS` reads those alone
whom the settings of a training hold out of it.

All goes through the networks; nothing is measured. Names are compared with those of the
readers. The network has learnt tissues from the split `train`, but no numbering.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from analysis.contract.errors import UnsuitableInput
from analysis.contract.geometry import Frame
from analysis.lumbar.anatomy.named_levels import Levels
from analysis.lumbar.anatomy.structures import DISCS, level_of
from analysis.lumbar.check.series import examine
from analysis.lumbar.correct.outlined_spine import find
from analysis.lumbar.doubt import Refused
from analysis.lumbar.find.networks import Networks, load_networks
from analysis.training.levels.labelled import (
    LabelledSeries,
    single_slices,
    whole_series,
)
from analysis.training.settings import Settings, read_settings
from tests.support import spider

FADE_MM = 10.0
"""Scale of the fall in signal: from nine tenths to one tenth over 44 mm."""
NOISE = 0.02
"""Of the brightest signal, in both parts of the complex picture."""
APART_MM = 3.6
"""Between the three slices that altered pictures are made of."""
_NEAR_MM = 12.0
_LOWEST = [level_of(disc) for disc in DISCS[:4]]
_LEAST_ROWS = 2
# Where a picture ends: in levels below (+) or above (-) the middle of L5/S1.
CUTS = {
    "S1 middle": 0.5,
    "S1 upper third": 0.3,
    "L5/S1": 0.0,
    "L5 lower quarter": -0.25,
    "L5 middle": -0.5,
    "L5 upper quarter": -0.75,
    "L4/L5": -1.0,
    "L4 middle": -1.5,
    "L3/L4": -2.0,
}
FADES = {"L5": -0.5, "L4": -1.5, "L3": -2.5}


def disc_rows(series: LabelledSeries) -> list[float]:
    """Return the rows of L5/S1, L4/L5, L3/L4 and L2/L3; none where they are unknown."""
    places = series.disc_places()
    rows = [places[level][0] for level in _LOWEST if level in places]
    if len(rows) == len(_LOWEST):
        return rows
    if _LOWEST[0] in places or len(rows) < len(_LOWEST) - 1:
        return []
    return [2 * rows[0] - rows[1], *rows]  # S1 was not labelled


def row_at(rows: list[float], levels: float) -> float:
    """Return the row that lies some levels below the middle of L5/S1."""
    if levels > 0:
        return rows[0] + levels * (rows[0] - rows[1])
    return float(np.interp(-levels, np.arange(len(rows)), rows))


def thinned(series: LabelledSeries) -> LabelledSeries:
    """Return three slices around the middle, 3.6 mm apart or as far as they are."""
    volume = series.volume
    slice_mm, row_mm, column_mm = volume.frame.spacing_mm
    step, middle = max(1, round(APART_MM / slice_mm)), len(volume.voxels) // 2
    voxels = volume.voxels[max(0, middle - step) : middle + step + 1 : step]
    frame = Frame(
        origin_mm=volume.frame.origin_mm,
        directions=volume.frame.directions,
        spacing_mm=np.array([slice_mm * step, row_mm, column_mm]),
    )
    return dataclasses.replace(
        series, volume=dataclasses.replace(volume, voxels=voxels, frame=frame)
    )


def cut(series: LabelledSeries, last: int) -> LabelledSeries:
    """Return a series whose picture ends at a row."""
    voxels = np.ascontiguousarray(series.volume.voxels[:, :last])
    volume = dataclasses.replace(series.volume, voxels=voxels)
    return dataclasses.replace(series, volume=volume)


def faded(series: LabelledSeries, row: float) -> LabelledSeries:
    """Return a series of which half of the signal is left at a row, and less below."""
    voxels = series.volume.voxels
    rows_mm = (np.arange(voxels.shape[1]) - row) * series.volume.frame.spacing_mm[1]
    gain = 1 / (1 + np.exp(rows_mm / FADE_MM))
    sd = NOISE * float(np.percentile(voxels, 99))
    noise = np.random.default_rng(0).normal(0.0, sd, (2, *voxels.shape))
    signal = np.hypot(voxels * gain[:, None] + noise[0], noise[1]).astype(np.float32)
    volume = dataclasses.replace(series.volume, voxels=signal)
    return dataclasses.replace(series, volume=volume)


def cuts(split: str) -> Iterator[tuple[str, LabelledSeries]]:
    """Yield each series of a split, ending at nine heights."""
    for series in whole_series(spider.SHARED, split):
        rows, thin = disc_rows(series), thinned(series)
        for place, levels in CUTS.items() if rows else ():
            last = round(row_at(rows, levels))
            if last < thin.volume.voxels.shape[1] - _LEAST_ROWS:
                yield f"{series.name} at {place}", cut(thin, last)


def fades(split: str) -> Iterator[tuple[str, LabelledSeries]]:
    """Yield each series of a split, fading from three heights on."""
    for series in whole_series(spider.SHARED, split):
        rows, thin = disc_rows(series), thinned(series)
        for place, levels in FADES.items() if rows else ():
            yield f"{series.name} from {place}", faded(thin, row_at(rows, levels))


SOURCES: dict[str, Callable[[str], Iterator[tuple[str, LabelledSeries]]]] = {
    "series": lambda split: (
        (one.name, one) for one in whole_series(spider.SHARED, split)
    ),
    "slices": lambda split: (
        (one.name, one) for one in single_slices(spider.SHARED, split)
    ),
    "fades": fades,
    "cuts": cuts,
}


def is_misnamed(levels: Levels, series: LabelledSeries) -> bool:
    """Say whether a disc has another name than where the readers saw it."""
    seen = {level: series.in_mm(at) for level, at in series.disc_places().items()}
    for disc in DISCS:
        plane = levels.planes.get(disc.number)
        if plane is None:
            continue
        away_mm = {
            level: float(np.linalg.norm(plane.centre_mm[1:] - place_mm))
            for level, place_mm in seen.items()
        }
        nearest = min(away_mm, key=lambda level: away_mm[level])
        if away_mm[nearest] < _NEAR_MM and nearest != level_of(disc):
            return True
    return False


def outcome(series: LabelledSeries, networks: Networks) -> str:
    """Name the levels of one series and judge the names."""
    try:
        found = find(examine(series.volume), networks, threads=2)
        levels = found.anatomy.levels
    except (Refused, UnsuitableInput) as refused:
        return f"refused, {refused.code}"
    told = any(doubt.code == "level_uncertain" for doubt in levels.doubts)
    right = "WRONG" if is_misnamed(levels, series) else "right"
    return f"{right}, {'told' if told else 'silent'}"


def held_out(settings: Settings) -> frozenset[str]:
    """Return the names of the slices that a training does not learn from."""
    return frozenset(
        f"{source.folder} {patient}"
        for source in settings.sources
        for patient in (*source.validation, *source.held_out)
    )


def main(
    what: str, split: str, models: Path | None, only: Container[str] | None
) -> None:
    """Count over a split, or over some of it, and name what came of each."""
    networks = load_networks(threads=2, folder=models)
    counts: Counter[str] = Counter()
    for name, series in tqdm(SOURCES[what](split), unit="run"):
        if only is not None and name not in only:
            continue
        found = outcome(series, networks)
        counts[found] += 1
        if not (what in {"cuts", "fades"} and found.startswith("refused")):
            tqdm.write(f"{name}: {found}", file=sys.stdout)
    for found, count in sorted(counts.items()):
        sys.stdout.write(f"{found}: {count}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=sorted(SOURCES))
    parser.add_argument("split")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--held-out", type=Path, metavar="SETTINGS")
    chosen = parser.parse_args()
    file = chosen.held_out
    some = None if file is None else held_out(read_settings(file))
    main(chosen.what, chosen.split, chosen.models, some)
