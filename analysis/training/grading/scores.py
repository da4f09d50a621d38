"""Figures of agreement between a reader's grades and ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.judge.grade.features import DiscFeatures
from analysis.lumbar.judge.grade.grade_range import honest
from analysis.lumbar.judge.grade.model import GRADES, OrdinalModel
from analysis.training.grading.discs import OUTLINES, LabelledDisc
from analysis.training.grading.ordinal import fit_ordinal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Discs with the probability of each grade, shape (N, 5), on one kind of outline.

    Discs that were not found are missing from both.
    """

    discs: tuple[LabelledDisc, ...]
    shares: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The reader's grades."""
        return np.array([disc.grade for disc in self.discs], np.int64)

    @property
    def grades(self) -> NDArray[np.int64]:
        """Our grades: the most probable."""
        return np.asarray(self.shares.argmax(axis=1) + 1, np.int64)

    def only(self, chosen: Sequence[bool]) -> Judged:
        """Return the chosen discs."""
        discs = tuple(
            disc for disc, keep in zip(self.discs, chosen, strict=True) if keep
        )
        return Judged(discs=discs, shares=self.shares[np.array(chosen, np.bool_)])


def fit_grades(discs: Sequence[LabelledDisc]) -> OrdinalModel:
    """Fit the grade on both kinds of outline at once, each counting half."""
    return _fit(discs, len(GRADES), lambda disc: disc.grade - 1)


def fit_narrowing(discs: Sequence[LabelledDisc]) -> OrdinalModel:
    """Fit whether a reader calls the disc space narrowed, on the same features."""
    return _fit(discs, 2, lambda disc: disc.labels["Disc narrowing"])


def _fit(
    discs: Sequence[LabelledDisc], count: int, label: Callable[[LabelledDisc], int]
) -> OrdinalModel:
    rows = [
        (found.vector(), label(disc))
        for disc in discs
        for found in disc.features.values()
        if found is not None
    ]
    features = np.stack([row[0] for row in rows])
    classes = np.array([row[1] for row in rows], np.int64)
    weights = np.full(len(rows), 1 / len(OUTLINES))
    return fit_ordinal(features, classes, weights, count)


def measured(discs: Sequence[LabelledDisc]) -> list[LabelledDisc]:
    """Return the discs that a report has a row for."""
    return [disc for disc in discs if disc.is_measured]


def judge(model: OrdinalModel, discs: Sequence[LabelledDisc], outline: str) -> Judged:
    """Grade discs by one kind of outline; those that were not found are left out."""
    found = [
        (disc, features)
        for disc in discs
        if isinstance(features := disc.features[outline], DiscFeatures)
    ]
    vectors = np.stack([features.vector() for _, features in found])
    return Judged(
        discs=tuple(disc for disc, _ in found),
        shares=honest(model.probabilities(vectors)),
    )


def cross_validate(discs: Sequence[LabelledDisc], outline: str) -> Judged:
    """Grade each patient by a model of all other patients."""
    parts = []
    for patient in sorted({disc.patient for disc in discs}):
        others = [disc for disc in discs if disc.patient != patient]
        own = [disc for disc in measured(discs) if disc.patient == patient]
        parts.append(judge(fit_grades(others), own, outline))
    return Judged(
        discs=tuple(disc for part in parts for disc in part.discs),
        shares=np.concatenate([part.shares for part in parts]),
    )


def confusion(judged: Judged) -> NDArray[np.int64]:
    """Return counts, shape (5, 5): the reader's grades down, ours across."""
    table = np.zeros((len(GRADES), len(GRADES)), np.int64)
    np.add.at(table, (judged.labels - 1, judged.grades - 1), 1)
    return table


def quadratic_kappa(table: NDArray[np.int64]) -> float:
    """Return Cohen's kappa with quadratic weights.

    References
    ----------
    Cohen J. Psychol Bull 1968;70:213-220.
    """
    places = np.arange(len(table))
    weights = (places[:, None] - places[None, :]) ** 2
    chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(1 - (weights * table).sum() / (weights * chance).sum())


def rule_line(split: str, discs: Sequence[LabelledDisc]) -> str:
    """Say how the reference's rule on delta-SI agrees with the reader."""
    pairs = [
        (disc.grade, disc.rule_grade)
        for disc in measured(discs)
        if disc.rule_grade is not None
    ]
    labels, rules = np.array(pairs, np.int64).T
    table = np.zeros((len(GRADES), len(GRADES)), np.int64)
    np.add.at(table, (labels - 1, rules - 1), 1)
    near = float((np.abs(labels - rules) <= 1).mean())
    return (
        f"delta-SI rule of the reference, {split}: {len(pairs)} discs, quadratic "
        f"kappa {quadratic_kappa(table):.2f}, within one grade {near:.2f}.  "
    )


def balanced_accuracy(table: NDArray[np.int64]) -> float:
    """Return the mean over the grades that occur of the share that was right."""
    present = table.sum(axis=1) > 0
    return float((table.diagonal()[present] / table.sum(axis=1)[present]).mean())


def within_one(judged: Judged) -> float:
    """Return the share of discs that are right or one grade off."""
    return float((np.abs(judged.labels - judged.grades) <= 1).mean())


def log_loss(judged: Judged) -> float:
    """Return the mean negative log probability of the reader's grade."""
    rows = np.arange(len(judged.labels))
    return float(-np.log(judged.shares[rows, judged.labels - 1]).mean())


def calibration(judged: Judged) -> list[tuple[float, float, int]]:
    """Return (promised, kept, count) for bins of probability.

    Each disc counts five times: once for each grade with the probability it was given.
    """
    promised = judged.shares.ravel()
    kept = (judged.labels[:, None] == np.array(GRADES)).ravel()
    edges = np.array([0.0, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 1.0])
    place = np.digitize(promised, edges[1:-1])
    return [
        (float(promised[mine].mean()), float(kept[mine].mean()), int(mine.sum()))
        for number in range(len(edges) - 1)
        if (mine := place == number).any()
    ]


def kappa_interval(judged: Judged, *, rounds: int = 2000) -> tuple[float, float]:
    """Return a 95 % interval of kappa by drawing patients with replacement."""
    draw = np.random.default_rng(0)
    patients = sorted({disc.patient for disc in judged.discs})
    rows = {
        patient: [i for i, d in enumerate(judged.discs) if d.patient == patient]
        for patient in patients
    }
    labels, grades = judged.labels - 1, judged.grades - 1
    values = []
    for _ in range(rounds):
        drawn = draw.choice(len(patients), len(patients))
        chosen = [row for place in drawn for row in rows[patients[place]]]
        table = np.zeros((len(GRADES), len(GRADES)), np.int64)
        np.add.at(table, (labels[chosen], grades[chosen]), 1)
        values.append(quadratic_kappa(table))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
