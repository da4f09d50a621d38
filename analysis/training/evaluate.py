"""Figures of a committed model on a split of the data, at native resolution."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from analysis.inference.engine import Segmenter
from analysis.training.grid import from_grid, to_grid
from analysis.training.labels import Label
from analysis.training.overlay import paint, save_sheet
from analysis.training.scores import OutlineDistance, dice_of, outline_distance
from analysis.training.sources import LabelledCase

_FOREGROUND = tuple(label for label in Label if label is not Label.BACKGROUND)
_PER_ROW = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientFigures:
    """Figures of one patient over all delivered slices.

    Parameters
    ----------
    patient
        Name within the source.
    dice
        Dice by class name; `vertebra` is body and posterior elements together.
        S1 only over slices where it is drawn; a class that occurs in neither mask
        is left out.
    disc_outline
        In-plane distance between disc outlines, median over the patient's slices;
        None if no slice has discs in both masks.
    """

    patient: str
    dice: Mapping[str, float]
    disc_outline: OutlineDistance | None


def segment_case(segmenter: Segmenter, case: LabelledCase) -> NDArray[np.uint8]:
    """Label every slice of a case on its own grid (K, R, C).

    Probabilities are brought to the case's grid before the largest is taken.
    """
    grid_mm = segmenter.card.spacing_mm
    shares = segmenter.probabilities(to_grid(case.grey, case.spacing_mm, grid_mm))
    rows, columns = case.grey.shape[1:]
    native = [
        from_grid(planes, (rows, columns), case.spacing_mm, grid_mm).argmax(axis=0)
        for planes in shares
    ]
    return np.stack(native).astype(np.uint8)


def score_case(case: LabelledCase, guess: NDArray[np.uint8]) -> PatientFigures:
    """Compare labels (K, R, C) with what the case says."""
    truth = np.stack([case.exact_labels(i) for i in range(len(case.grey))])
    s1_slices = sorted(case.s1_slices)
    dice: dict[str, float] = {}
    for label in _FOREGROUND:
        which = s1_slices if label is Label.S1 else slice(None)
        value = dice_of(truth[which] == label, guess[which] == label)
        if value is not None:
            dice[label.name.lower()] = value
    bony = (Label.BODY, Label.POSTERIOR)
    vertebra = dice_of(np.isin(truth, bony), np.isin(guess, bony))
    if vertebra is not None:
        dice["vertebra"] = vertebra
    pairs = zip(truth == Label.DISC, guess == Label.DISC, strict=True)
    outlines = [outline_distance(one, two, case.spacing_mm) for one, two in pairs]
    found = [outline for outline in outlines if outline is not None]
    return PatientFigures(
        patient=case.patient,
        dice=dice,
        disc_outline=_median(found),
    )


def evaluate_cases(
    segmenter: Segmenter, cases: Sequence[LabelledCase], out: Path
) -> list[PatientFigures]:
    """Score every case; write `figures.json`, `figures.md` and `overlays.png`."""
    out.mkdir(parents=True, exist_ok=True)
    figures: list[PatientFigures] = []
    pictures: list[NDArray[np.uint8]] = []
    for case in tqdm(cases, desc="evaluate", unit="case"):
        guess = segment_case(segmenter, case)
        figures.append(score_case(case, guess))
        middle = len(case.grey) // 2
        grey = case.grey[middle].astype(np.float32)
        pictures += [
            paint(grey, labels) for labels in (case.exact_labels(middle), guess[middle])
        ]
    starts = range(0, len(pictures), 2 * _PER_ROW)
    save_sheet([pictures[i : i + 2 * _PER_ROW] for i in starts], out / "overlays.png")
    table = _table(figures)
    (out / "figures.md").write_text(table, encoding="utf-8")
    (out / "figures.json").write_text(
        json.dumps(_plain(segmenter, figures), indent=2) + "\n", encoding="utf-8"
    )
    tqdm.write(table)
    return figures


def _median(outlines: Sequence[OutlineDistance]) -> OutlineDistance | None:
    if not outlines:
        return None
    return OutlineDistance(
        mean_mm=float(np.median([outline.mean_mm for outline in outlines])),
        percentile95_mm=float(
            np.median([outline.percentile95_mm for outline in outlines])
        ),
    )


def _table(figures: Sequence[PatientFigures]) -> str:
    lines = [
        "| class | patients | Dice mean | SD | worst (patient) |",
        "|---|---|---|---|---|",
    ]
    for name in ("vertebra", *(label.name.lower() for label in _FOREGROUND)):
        scored = [(f.dice[name], f.patient) for f in figures if name in f.dice]
        if not scored:
            continue
        values = [value for value, _ in scored]
        spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
        low, patient = min(scored)
        lines.append(
            f"| {name} | {len(values)} | {np.mean(values):.3f} | {spread:.3f} "
            f"| {low:.3f} ({patient}) |"
        )
    outline = _median([f.disc_outline for f in figures if f.disc_outline is not None])
    if outline is not None:
        lines += [
            "",
            "Disc outlines, in-plane, median over slices and then patients: "
            f"mean distance {outline.mean_mm:.2f} mm, "
            f"95th percentile {outline.percentile95_mm:.2f} mm.",
        ]
    return "\n".join([*lines, ""])


def _plain(
    segmenter: Segmenter, figures: Sequence[PatientFigures]
) -> dict[str, object]:
    return {
        "model": segmenter.card.name,
        "version": segmenter.card.version,
        "weights_sha256": segmenter.card.weights_sha256,
        "patients": [
            {
                "patient": figure.patient,
                "dice": {key: round(value, 4) for key, value in figure.dice.items()},
                "disc_outline": asdict(figure.disc_outline)
                if figure.disc_outline
                else None,
            }
            for figure in figures
        ],
    }
