"""Figures of the committed networks on a split of the data, at native resolution."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from analysis.contract.volume import Volume
from analysis.imaging.resample import resample
from analysis.lumbar.check.series import SagittalVolume
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.find.tissues import segment
from analysis.training.labels import Label, decided
from analysis.training.overlay import paint, save_sheet
from analysis.training.scores import OutlineDistance, dice_of, outline_distance
from analysis.training.sources import LabelledCase

_FOREGROUND = tuple(label for label in Label if label is not Label.BACKGROUND)
_BONY = (Label.BODY, Label.POSTERIOR)
_PER_ROW = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFigures:
    """Figures of one series over all delivered slices.

    Parameters
    ----------
    source
        Folder of the source.
    name
        Name of the series within it.
    dice
        Dice by class name; `vertebra` is body and posterior elements together.
        Over pixels where the labels decide about the class, S1 only over slices where
        it is drawn; a class that is not labelled is left out.
    disc_outline
        In-plane distance between disc outlines, median over the slices;
        None if no slice has discs in both masks.
    """

    source: str
    name: str
    dice: Mapping[str, float]
    disc_outline: OutlineDistance | None


def segment_case(networks: Networks, case: LabelledCase) -> NDArray[np.uint8]:
    """Label every slice of a case on its own grid (K, R, C).

    Probabilities are brought to the case's grid before the largest is taken.
    """
    voxels = case.grey.astype(np.float32)
    volume = Volume(voxels=voxels, frame=case.frame, series_uid=case.name)
    tissues = segment(SagittalVolume(volume=volume), networks)
    matrix, offset = tissues.grid.plane_map(to_source=False)
    labels = np.empty(case.grey.shape, np.uint8)
    shape = (case.grey.shape[1], case.grey.shape[2])
    for index, planes in enumerate(tissues.probability.astype(np.float32)):
        native = [resample(plane, matrix, offset, shape, order=1) for plane in planes]
        labels[tissues.grid.source_slice(index)] = np.argmax(native, axis=0)
    return labels


def score_case(case: LabelledCase, guess: NDArray[np.uint8]) -> SeriesFigures:
    """Compare labels (K, R, C) with what the case says."""
    dice: dict[str, float] = {}
    groups = {label.name.lower(): (label,) for label in _FOREGROUND}
    for name, group in {"vertebra": _BONY, **groups}.items():
        truth, known = decided(case.allowed, group)
        if group == (Label.S1,):
            known[[i for i in range(len(known)) if i not in case.s1_slices]] = False
        if not (truth & known).any():
            continue
        value = dice_of(truth & known, np.isin(guess, group) & known)
        if value is not None:
            dice[name] = value
    truth, known = decided(case.allowed, (Label.DISC,))
    pairs = zip(truth, (guess == Label.DISC) & known, strict=True)
    outlines = [outline_distance(one, two, case.spacing_mm) for one, two in pairs]
    found = [outline for outline in outlines if outline is not None]
    return SeriesFigures(
        source=case.source,
        name=case.name,
        dice=dice,
        disc_outline=_median(found),
    )


def evaluate_cases(
    networks: Networks,
    cases: Sequence[LabelledCase],
    out: Path,
    shown: frozenset[str],
) -> list[SeriesFigures]:
    """Score every case; write `figures.json`, `figures.md` and `overlays.png`.

    Pictures are made of the sources `shown` alone; others must not be handed on.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures: list[SeriesFigures] = []
    pictures: list[NDArray[np.uint8]] = []
    for case in tqdm(cases, desc="evaluate", unit="case"):
        guess = segment_case(networks, case)
        figures.append(score_case(case, guess))
        if case.source not in shown:
            continue
        middle = len(case.grey) // 2
        grey = case.grey[middle].astype(np.float32)
        pictures += [
            paint(grey, labels) for labels in (case.exact_labels(middle), guess[middle])
        ]
    starts = range(0, len(pictures), 2 * _PER_ROW)
    if pictures:
        rows = [pictures[i : i + 2 * _PER_ROW] for i in starts]
        save_sheet(rows, out / "overlays.png")
    table = _table(figures)
    (out / "figures.md").write_text(table, encoding="utf-8")
    (out / "figures.json").write_text(
        json.dumps(_plain(networks, figures), indent=2) + "\n", encoding="utf-8"
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


def _table(figures: Sequence[SeriesFigures]) -> str:
    lines = [
        "| source | class | series | Dice mean | SD | worst (series) |",
        "|---|---|---|---|---|---|",
    ]
    outlines = []
    for source in dict.fromkeys(figure.source for figure in figures):
        mine = [figure for figure in figures if figure.source == source]
        for name in ("vertebra", *(label.name.lower() for label in _FOREGROUND)):
            scored = [(f.dice[name], f.name) for f in mine if name in f.dice]
            if scored:
                lines.append(f"| {source} | {name} | {_spread(scored)} |")
        outline = _median([f.disc_outline for f in mine if f.disc_outline is not None])
        if outline is not None:
            outlines.append(
                f"- {source}: mean {outline.mean_mm:.2f} mm, 95th percentile "
                f"{outline.percentile95_mm:.2f} mm"
            )
    lines += ["", "Distance of disc outlines in plane, median over slices and series:"]
    return "\n".join([*lines, "", *outlines, ""])


def _spread(scored: Sequence[tuple[float, str]]) -> str:
    values = [value for value, _ in scored]
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    low, name = min(scored)
    return (
        f"{len(values)} | {np.mean(values):.3f} | {deviation:.3f} | {low:.3f} ({name})"
    )


def _plain(networks: Networks, figures: Sequence[SeriesFigures]) -> dict[str, object]:
    return {
        "networks": [
            {
                "name": card.name,
                "version": card.version,
                "weights_sha256": card.weights_sha256,
            }
            for card in networks.cards
        ],
        "series": [
            {
                "source": figure.source,
                "name": figure.name,
                "dice": {key: round(value, 4) for key, value in figure.dice.items()},
                "disc_outline": asdict(figure.disc_outline)
                if figure.disc_outline
                else None,
            }
            for figure in figures
        ],
    }
