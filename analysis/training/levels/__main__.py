"""The commands `fit` and `evaluate`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.name.transitional_anatomy import (
    ARRAYS,
    MODEL_NAME,
    LogisticModel,
)
from analysis.training.levels.junctions import Example, examples
from analysis.training.levels.labelled import single_slices, whole_series
from analysis.training.levels.logistic import Examples, fit, left_out
from analysis.training.levels.looks import Looks
from analysis.training.levels.settings import (
    DEFAULT_SETTINGS,
    LevelSettings,
    read_settings,
)

_SOURCE = (
    "the split train of MRSpineSeg and Tianchi (middle slices), SPIDER, fcs_ivd, "
    "fcs_vb1 and fcs_vb2 (T2)"
)
_SHAPES = ("disc_depth_ratio", "disc_height_ratio")
_OTHER_SIGNS = (_SHAPES, ("promontory_deg",), (_SHAPES[0], "promontory_deg"))
_BINS = (0.0, 0.02, 0.1, 0.5, 0.9, 1.0)
_DIGITS = 5
_EVEN = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.training.levels", allow_abbrev=False
    )
    parser.add_argument("command", choices=("fit", "evaluate"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--settings", type=Path, default=DEFAULT_SETTINGS)
    parser.add_argument("--looks", type=Path, default=Path("runs/levels"))
    options = parser.parse_args(arguments)
    settings = read_settings(options.settings)
    networks = load_networks(threads=1)
    looks = Looks(networks=networks, folder=options.looks)
    every = list(
        chain(single_slices(options.data, "train"), whole_series(options.data, "train"))
    )
    trusted = (one for one in every if one.name not in settings.doubtful)
    found = list(examples(tqdm(trusted, unit="series"), looks))
    if options.command == "evaluate":
        for line in _evaluate(found, settings):
            sys.stdout.write(f"{line}\n")
        return 0
    card = {
        "made_by": "python -m analysis.training.levels fit",
        "source": _SOURCE,
        "outlines_by_weights": networks.weights_sha256,
        **models(found, settings),
    }
    there = Path(str(resources.files("analysis.lumbar.name"))) / MODEL_NAME
    text = json.dumps(card, indent=1)
    there.write_text(f"{text}\n", encoding="utf-8")
    sys.stdout.write(f"{text}\n")
    return 0


def models(found: Sequence[Example], settings: LevelSettings) -> dict[str, object]:
    """Fit both models; return them as their file holds them, with their evidence."""
    low, high = lower(found, settings.s1_s2_signs), upper(found, settings.l4_l5_signs)
    return {
        "s1_s2": {
            **_stored(fit(low, settings.ridge, settings.s1_s2_told_from)),
            "evidence": _evidence(low, settings, settings.s1_s2_told_from),
        },
        "l4_l5": {
            **_stored(fit(high, settings.ridge, settings.l4_l5_told_from)),
            "evidence": _evidence(high, settings, settings.l4_l5_told_from),
        },
    }


def lower(found: Sequence[Example], names: tuple[str, ...]) -> Examples:
    """Return the lowest discs, of which those between S1 and S2 are sought."""
    return Examples(
        names=names,
        signs=np.array([one.junction.signs(names) for one in found]),
        sought=np.array([one.is_sacral for one in found]),
        patient=np.arange(len(found)),
    )


def upper(found: Sequence[Example], names: tuple[str, ...]) -> Examples:
    """Return the discs L5/S1 and L4/L5, of which the latter are sought."""
    right = [(place, one) for place, one in enumerate(found) if not one.is_sacral]
    discs = [(place, one.junction, False) for place, one in right]
    discs += [(place, one.above, True) for place, one in right if one.above]
    return Examples(
        names=names,
        signs=np.array([junction.signs(names) for _, junction, _ in discs]),
        sought=np.array([sought for *_, sought in discs]),
        patient=np.array([place for place, *_ in discs]),
    )


def _evidence(
    given: Examples, settings: LevelSettings, told_from: float
) -> dict[str, object]:
    """Return how well discs are told that were left out; means over the repeats."""
    told = left_out(given, settings)

    def mean(chosen: NDArray[np.bool_]) -> float:
        return round(float(chosen.sum(axis=1).mean()), 1)

    return {
        "discs": len(given.sought),
        "of_them_sought": int(given.sought.sum()),
        "least_of_these": round(float(told[:, given.sought].min()), 2),
        "of_these_told": mean((told >= told_from) & given.sought),
        "of_these_above_half": mean((told > _EVEN) & given.sought),
        "others_told": mean((told >= told_from) & ~given.sought),
        "others_above_half": mean((told > _EVEN) & ~given.sought),
    }


def _stored(model: LogisticModel) -> dict[str, object]:
    arrays = {key: getattr(model, key) for key in ARRAYS}
    rounded = {key: np.round(each, _DIGITS).tolist() for key, each in arrays.items()}
    return {
        "signs": model.signs,
        **rounded,
        "offset": round(model.offset, _DIGITS),
        "told_from": model.told_from,
    }


def _evaluate(found: Sequence[Example], settings: LevelSettings) -> Iterator[str]:
    """Yield what cross-validation says of S1/S2, by the signs that are looked at."""
    yield "| signs | log loss | named wrongly | told | wrong and silent |"
    yield "|---|---|---|---|---|"
    for names in (*_OTHER_SIGNS, settings.s1_s2_signs):
        given = lower(found, names)
        told, sought = left_out(given, settings), given.sought
        loss = -np.log(np.where(sought, told, 1 - told)).sum(axis=1).mean()
        wrong = ((told > _EVEN) != sought).sum(axis=1).mean()
        doubted = told >= settings.s1_s2_told_from
        yield (
            f"| {', '.join(names)} | {loss:.1f} | {wrong:.1f} | "
            f"{doubted.sum(axis=1).mean():.1f} | "
            f"{(~doubted & sought).sum(axis=1).mean():.1f} |"
        )
    told = told.mean(axis=0)
    yield ""
    yield "| probability of S1/S2 | series | mean | are it |"
    yield "|---|---|---|---|"
    for low, high in pairwise(_BINS):
        inside = (told >= low) & (told < high)
        if inside.any():
            yield (
                f"| {low:.2f} to {high:.2f} | {inside.sum()} | "
                f"{told[inside].mean():.2f} | {sought[inside].mean():.2f} |"
            )
    yield ""
    for place in np.argsort(-told).tolist():
        if told[place] >= settings.s1_s2_told_from or sought[place]:
            kind = "S1/S2" if sought[place] else "L5/S1"
            yield f"{found[place].name}, {kind}: {told[place]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
