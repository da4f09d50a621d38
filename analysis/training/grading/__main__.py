"""The commands `fit` and `evaluate`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.judge.grade.features import FEATURES
from analysis.lumbar.judge.grade.model import ARRAYS, MODEL_FILE, OrdinalModel
from analysis.training.grading.discs import OUTLINES, LabelledDisc, read_discs
from analysis.training.grading.figures import (
    draw_calibration,
    draw_confusion,
    draw_doubtful,
)
from analysis.training.grading.other_labels import compare, narrowing_line
from analysis.training.grading.scores import (
    Judged,
    balanced_accuracy,
    confusion,
    cross_validate,
    fit_grades,
    fit_narrowing,
    judge,
    kappa_interval,
    log_loss,
    measured,
    quadratic_kappa,
    rule_line,
    within_one,
)

_SOURCE = (
    "SPIDER (van der Graaf et al., Sci Data 2024;11:264, "
    "doi 10.1038/s41597-024-03090-w, CC-BY-4.0): radiological_gradings.csv, the "
    "patients of the split train"
)
_DIGITS = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.training.grading", allow_abbrev=False
    )
    parser.add_argument("command", choices=("fit", "evaluate"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/grading"))
    options = parser.parse_args(arguments)
    networks = load_networks(threads=2)
    train = read_discs(options.data, "train", networks)
    model = fit_grades(train)
    if options.command == "fit":
        _write(model, train, networks.weights_sha256)
        return 0
    tested = read_discs(options.data, "public_test", networks)
    options.out.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(_evaluate(model, train, tested, options.out))
    (options.out / "figures.md").write_text(f"{lines}\n", encoding="utf-8")
    sys.stdout.write(f"{lines}\n")
    return 0


def _write(model: OrdinalModel, train: Sequence[LabelledDisc], weights: str) -> None:
    models = {"grade": model, "narrowing": fit_narrowing(train)}
    card = {
        "source": _SOURCE,
        "made_by": "python -m analysis.training.grading fit",
        "patients": len({disc.patient for disc in train}),
        "discs": len(train),
        "outlines_by_weights": weights,
        "features": list(FEATURES),
        **{name: _rounded(each) for name, each in models.items()},
    }
    MODEL_FILE.write_text(f"{json.dumps(card, indent=1)}\n", encoding="utf-8")


def _rounded(model: OrdinalModel) -> dict[str, object]:
    arrays: dict[str, object] = {
        name: np.round(getattr(model, name), _DIGITS).tolist() for name in ARRAYS
    }
    return arrays | {"doubt": model.doubt}


def _evaluate(
    model: OrdinalModel,
    train: Sequence[LabelledDisc],
    tested: Sequence[LabelledDisc],
    out: Path,
) -> Iterator[str]:
    panels = [
        (f"{split}, {outline}", judged)
        for split, readings in (
            ("cross-validation", {o: cross_validate(train, o) for o in OUTLINES}),
            ("public_test", {o: judge(model, measured(tested), o) for o in OUTLINES}),
        )
        for outline, judged in readings.items()
    ]
    draw_confusion(panels, out / "confusion.png")
    draw_calibration(panels, out / "calibration.png")

    draw_doubtful(judge(model, (*train, *tested), "drawn"), out / "doubtful.png")
    yield "| discs | n | quadratic κ (95 %) | within 1 | exact | balanced | log loss |"
    yield "|---|---|---|---|---|---|---|"
    for title, judged in panels:
        yield _line(title, judged)
        trusted = [not disc.doubt for disc in judged.discs]
        if not all(trusted):
            yield _line(f"{title}, no doubtful label", judged.only(trusted))
        for name, clipped in (("clipped export", True), ("whole grey scale", False)):
            chosen = [disc.clipped is clipped for disc in judged.discs]
            yield _line(f"{title}, {name}", judged.only(chosen))
    yield ""
    yield from compare(train)
    yield ""
    yield narrowing_line(fit_narrowing(train), tested)
    yield ""
    for split, discs in (("train", train), ("public_test", tested)):
        yield rule_line(split, discs)


def _line(title: str, judged: Judged) -> str:
    table = confusion(judged)
    low, high = kappa_interval(judged)
    return (
        f"| {title} | {len(judged.discs)} | {quadratic_kappa(table):.2f} "
        f"({low:.2f} to {high:.2f}) | {within_one(judged):.2f} "
        f"| {table.trace() / table.sum():.2f} | {balanced_accuracy(table):.2f} "
        f"| {log_loss(judged):.2f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
