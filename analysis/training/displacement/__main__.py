"""The commands `fit` and `evaluate`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.judge.displacement.displacement import MODEL_FILE, UNSURE
from analysis.lumbar.judge.displacement.signs import SIGNS
from analysis.lumbar.judge.grade.model import ARRAYS, OrdinalModel
from analysis.training.displacement.discs import (
    NamedDisc,
    spider_discs,
    tianchi_discs,
)
from analysis.training.displacement.settings import (
    DEFAULT_SETTINGS,
    DisplacementSettings,
    read_settings,
)
from analysis.training.grading.ordinal import fit_ordinal
from analysis.training.levels.looks import Looks

_SOURCE = (
    "the split train of Tianchi 79463 (2020, spinal disease; middle slices, classes of "
    "its readers), by ZhengJun-AI/Spinal-Disease-Detection dfe7d2f9"
)
_DIGITS = 6
_BINS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_SETS = {
    "reach of the rear edge": SIGNS[-1:],
    "features of the grade": SIGNS[:-1],
    "both (shipped)": SIGNS,
}
_TINY = 1e-6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.training.displacement", allow_abbrev=False
    )
    parser.add_argument("command", choices=("fit", "evaluate"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--settings", type=Path, default=DEFAULT_SETTINGS)
    parser.add_argument("--looks", type=Path, default=Path("runs/levels"))
    options = parser.parse_args(arguments)
    settings = read_settings(options.settings)
    looks = Looks(networks=load_networks(threads=1), folder=options.looks)
    train = _taught(tianchi_discs(options.data, "train", looks), settings)
    if options.command == "fit":
        _write(train, settings, looks.networks.weights_sha256)
        return 0
    tests = {
        "Tianchi, public_test": tianchi_discs(options.data, "public_test", looks),
        "SPIDER, train": spider_discs(options.data, "train", looks),
        "SPIDER, public_test": spider_discs(options.data, "public_test", looks),
    }
    named = {name: _taught(discs, settings) for name, discs in tests.items()}
    for line in _evaluate(train, named, settings):
        sys.stdout.write(f"{line}\n")
    return 0


def _taught(
    discs: Sequence[NamedDisc], settings: DisplacementSettings
) -> list[NamedDisc]:
    """Return the discs of the levels that count, of which it is known what they are."""
    return [
        disc
        for disc in discs
        if disc.level in settings.levels and disc.is_displaced(settings) is not None
    ]


def _table(
    discs: Sequence[NamedDisc], settings: DisplacementSettings
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    signs = np.stack([disc.signs for disc in discs])
    return signs, np.array([disc.is_displaced(settings) for disc in discs], np.int64)


def fit(
    discs: Sequence[NamedDisc],
    settings: DisplacementSettings,
    names: tuple[str, ...] = SIGNS,
) -> OrdinalModel:
    """Fit the model by some of the signs."""
    signs, displaced = _table(discs, settings)
    columns = [SIGNS.index(name) for name in names]
    return fit_ordinal(signs[:, columns], displaced, np.ones(len(signs)), 2)


def _write(
    train: Sequence[NamedDisc], settings: DisplacementSettings, weights: str
) -> None:
    model = fit(train, settings)
    arrays: dict[str, object] = {
        name: np.round(getattr(model, name), _DIGITS).tolist() for name in ARRAYS
    }
    displaced = sum(bool(disc.is_displaced(settings)) for disc in train)
    card = {
        "source": _SOURCE,
        "made_by": "python -m analysis.training.displacement fit",
        "patients": len({disc.patient for disc in train}),
        "discs": len(train),
        "of_them_displaced": displaced,
        "outlines_by_weights": weights,
        "signs": list(SIGNS),
        "displacement": arrays | {"doubt": model.doubt},
    }
    text = json.dumps(card, indent=1)
    MODEL_FILE.write_text(f"{text}\n", encoding="utf-8")
    sys.stdout.write(f"{text}\n")


def left_out(
    discs: Sequence[NamedDisc], settings: DisplacementSettings, names: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return probabilities by models that have not seen the patient.

    Returns
    -------
    ndarray, shape (repeats, N)
    """
    chance = np.random.default_rng(settings.seed)
    patients, place = np.unique([disc.patient for disc in discs], return_inverse=True)
    columns = [SIGNS.index(name) for name in names]
    signs, _ = _table(discs, settings)
    told = np.zeros((settings.repeats, len(discs)))
    for row in told:
        fold = (chance.permutation(len(patients)) % settings.folds)[place]
        for number in range(settings.folds):
            out = fold == number
            others = [
                disc for disc, is_out in zip(discs, out, strict=True) if not is_out
            ]
            model = fit(others, settings, names)
            row[out] = model.probabilities(signs[out][:, columns])[:, 1]
    return told


def _evaluate(
    train: Sequence[NamedDisc],
    tests: dict[str, list[NamedDisc]],
    settings: DisplacementSettings,
) -> Iterator[str]:
    _, displaced = _table(train, settings)
    yield "| signs, each patient left out | log loss | area, ROC | right where told |"
    yield "|---|---|---|---|"
    for title, names in _SETS.items():
        told = left_out(train, settings, names)
        losses = [_loss(row, displaced) for row in told]
        areas = [area(row, displaced) for row in told]
        yield (
            f"| {title} | {np.mean(losses):.3f} | {np.mean(areas):.3f} "
            f"| {_right(told.mean(axis=0), displaced)} |"
        )
    model = fit(train, settings)
    groups: dict[str, tuple[Sequence[NamedDisc], NDArray[np.float64]]] = {
        "Tianchi, train, left out": (train, told.mean(axis=0))
    }
    for name, unseen in tests.items():
        signs, _ = _table(unseen, settings)
        groups[name] = (unseen, model.probabilities(signs)[:, 1])
    yield ""
    yield (
        "| discs | n | displaced | log loss | prior alone | area, ROC | by level "
        "| right where told |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, (discs, shares) in groups.items():
        yield f"| {name} | {_line(discs, shares, settings, displaced.mean())} |"
    yield ""
    yield "| probability | " + " | ".join(groups) + " |"
    yield "|---|" + "---|" * len(groups)
    for low, high in pairwise(_BINS):
        cells = []
        for discs, shares in groups.values():
            _, truth = _table(discs, settings)
            inside = (shares >= low) & (shares < high + (high == 1))
            share = f"{truth[inside].mean():.2f} of " if inside.any() else ""
            cells.append(f"{share}{inside.sum()}")
        yield f"| {low:.2f} to {high:.2f} | " + " | ".join(cells) + " |"


def _line(
    discs: Sequence[NamedDisc],
    shares: NDArray[np.float64],
    settings: DisplacementSettings,
    prior: float,
) -> str:
    _, displaced = _table(discs, settings)
    levels = np.array([disc.level for disc in discs])
    known = [
        f"{area(shares[levels == level], displaced[levels == level]):.2f}"
        for level in settings.levels
    ]
    same = np.full(len(displaced), prior)
    return (
        f"{len(discs)} | {displaced.sum()} | {_loss(shares, displaced):.3f} "
        f"| {_loss(same, displaced):.3f} | {area(shares, displaced):.3f} "
        f"| {', '.join(known)} | {_right(shares, displaced)}"
    )


def _right(shares: NDArray[np.float64], displaced: NDArray[np.int64]) -> str:
    low, high = UNSURE
    absent, present = shares <= low, shares >= high
    return (
        f"absent {(displaced[absent] == 0).sum()} of {absent.sum()}, "
        f"present {(displaced[present] == 1).sum()} of {present.sum()}"
    )


def _loss(shares: NDArray[np.float64], displaced: NDArray[np.int64]) -> float:
    right = np.where(displaced == 1, shares, 1 - shares)
    return float(-np.log(np.maximum(right, _TINY)).mean())


def area(shares: NDArray[np.float64], displaced: NDArray[np.int64]) -> float:
    """Return the chance that a displaced disc scores above one that is not."""
    gap = shares[displaced == 1][:, None] - shares[displaced == 0][None, :]
    if not gap.size:
        return float("nan")
    return float(((gap > 0) + (gap == 0) / 2).mean())


if __name__ == "__main__":
    sys.exit(main())
