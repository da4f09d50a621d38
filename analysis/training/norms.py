"""Fits percentile curves to the published values of the reference.

Run as `python -m analysis.training.norms --norms ../shared/facts/norms`; writes
`analysis/lumbar/judge/norms/curves.json` and says how well the curves keep the tables.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from analysis.lumbar.judge.norms.curves import (
    BAND_AGES,
    BANDS,
    BOTH_SEXES,
    CURVES_FILE,
    Curve,
    percentile_of,
)

_GEOMETRY = "geometry_individual.csv"
_SIGNAL = "si_individual_by_level_age.csv"
_COLUMNS = {"dhi": "DHI", "hdr": "HDR"}
_SHARES = np.array([0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975])
_MIN_SKEW, _MAX_SKEW = 0.2, 3.0
"""Above 0, so that a value of 0, which delta-SI takes, has a place."""
_SMOOTH_SHARE = 0.01
"""Of the median: within it the check loss is rounded, so that it has a slope."""
_DIGITS = 6
_SIZES = {"below 20": (0, 20), "20 to 49": (20, 50), "50 and more": (50, 10**6)}
_CHECKED_SHARES = (5, 10, 25, 50, 75, 90, 95)
_SOURCE = (
    "Zheng HD et al. Nat Commun 2022;13:841, doi 10.1038/s41467-022-28387-5; values of "
    "the public repository no-saint-no-angel/BianqueNet, commit 36e487c"
)

Key = tuple[str, str, str]
Samples = Mapping[int, NDArray[np.float64]]
"""Values by the index of their age band."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, write and check; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.training.norms", allow_abbrev=False
    )
    parser.add_argument("--norms", type=Path, default=Path("../shared/facts/norms"))
    parser.add_argument("--out", type=Path, default=CURVES_FILE)
    options = parser.parse_args(arguments)
    samples = read_samples(options.norms)
    curves = {key: fit_curve(each) for key, each in samples.items()}
    options.out.write_text(_document(curves), encoding="utf-8")
    lines = "\n".join(_checks(curves, samples))
    sys.stdout.write(f"{lines}\n")
    return 0


def read_samples(folder: Path) -> dict[Key, Samples]:
    """Read the published values by parameter, level and sex, then by age band."""
    found: dict[Key, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    bands = [f"{start}-{end}" for start, end in BANDS]
    with (folder / _GEOMETRY).open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            band = bands.index(row["age_band"])
            for parameter, column in _COLUMNS.items():
                key = (parameter, row["level"], row["sex"].lower())
                found[key][band].append(float(row[column]))
    with (folder / _SIGNAL).open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            band = bands.index(row["age_band"])
            key = ("delta_si", row["level"], BOTH_SEXES)
            found[key][band].append(float(row["dSI_255CSF"]))
    return {
        key: {band: np.sort(values) for band, values in sorted(each.items())}
        for key, each in found.items()
    }


def fit_curve(samples: Samples) -> Curve:
    """Fit the curve whose percentiles split the values as they should.

    The check loss is summed over nine percentiles at once: single outliers, which the
    tables hold, move it little.
    """
    ages = np.concatenate(
        [np.full(len(values), BAND_AGES[band]) for band, values in samples.items()]
    )
    values = np.concatenate(list(samples.values()))
    t = (ages - 50) / 25
    z_scores = special.ndtri(_SHARES)[:, None]
    scale = float(np.median(values))
    spread = float(np.log(values.std() / scale))

    def loss(packed: NDArray[np.float64]) -> float:
        median = packed[0] + packed[1] * t + packed[2] * t * t
        if median.min() <= 0 or not _MIN_SKEW <= packed[5] <= _MAX_SKEW:
            return math.inf
        width = np.exp(packed[3] + packed[4] * t)
        base = np.maximum(1 + packed[5] * width * z_scores, 1e-6)
        gap = (values / scale) - median * base ** (1 / packed[5])
        rounded = np.sqrt(gap**2 + _SMOOTH_SHARE**2)
        return float(((_SHARES[:, None] - 0.5) * gap + rounded / 2).sum())

    start = np.array([1.0, 0.0, 0.0, spread, 0.0, 1.0])
    for _ in range(3):  # the simplex is built anew where it ended: it may have shrunk
        start = optimize.minimize(
            loss, start, method="Nelder-Mead", options={"maxiter": 4000}
        ).x
    return Curve(
        median=(
            round(start[0] * scale, _DIGITS),
            round(start[1] * scale, _DIGITS),
            round(start[2] * scale, _DIGITS),
        ),
        log_spread=(round(start[3], _DIGITS), round(start[4], _DIGITS)),
        skew=round(start[5], _DIGITS),
        counts=tuple(len(samples.get(band, ())) for band in range(len(BANDS))),
    )


def _document(curves: Mapping[Key, Curve]) -> str:
    rows = [
        {
            "parameter": parameter,
            "level": level,
            "sex": sex,
            "median": curve.median,
            "log_spread": curve.log_spread,
            "skew": curve.skew,
            "counts": curve.counts,
        }
        for (parameter, level, sex), curve in curves.items()
    ]
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    head = json.dumps(
        {"source": _SOURCE, "made_by": "python -m analysis.training.norms"}, indent=1
    )
    return f'{head[:-2]},\n "curves": [\n  {lines}\n ]\n}}\n'


def _checks(
    curves: Mapping[Key, Curve], samples: Mapping[Key, Samples]
) -> Iterator[str]:
    """Yield how the curves keep the tables, in percentile points."""
    yield "| parameter | band n | mean abs. gap | by chance | worst | at |"
    yield "|---|---|---|---|---|---|"
    for parameter in ("dhi", "hdr", "delta_si"):
        for size, (low, high) in _SIZES.items():
            gaps = [
                (abs(gap), chance, where)
                for key, each in samples.items()
                if key[0] == parameter
                for gap, chance, where in _gaps(key, curves[key], each, (low, high))
            ]
            if not gaps:
                continue
            mean, chance = np.mean([g[0] for g in gaps]), np.mean([g[1] for g in gaps])
            worst = max(gaps)
            yield (
                f"| {parameter} | {size} | {mean:.1f} | {chance:.1f} "
                f"| {worst[0]:.1f} | {worst[2]} |"
            )


def _gaps(
    key: Key, curve: Curve, samples: Samples, size: tuple[int, int]
) -> Iterator[tuple[float, float, str]]:
    """Yield (gap, mean gap by chance alone, where) of each band and percentile."""
    for band, values in samples.items():
        if not size[0] <= len(values) < size[1]:
            continue
        for percent in _CHECKED_SHARES:
            tabulated = float(np.percentile(values, percent))
            fitted = percentile_of(curve.z_score(tabulated, BAND_AGES[band]))
            share = percent / 100
            # Mean absolute error of a share among n: sqrt(2 / pi) standard errors.
            chance = 100 * math.sqrt(2 / math.pi * share * (1 - share) / len(values))
            start, end = BANDS[band]
            where = f"{key[1]} {key[2]} {start}-{end}, {percent} %, n {len(values)}"
            yield fitted - percent, chance, where


if __name__ == "__main__":
    sys.exit(main())
