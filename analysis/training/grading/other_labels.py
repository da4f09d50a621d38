"""Whether SPIDER's other labels of a disc can be told better than by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.judge.grade.model import OrdinalModel
from analysis.training.grading.discs import LabelledDisc
from analysis.training.grading.ordinal import fit_ordinal

_EVEN = 0.5
_COLUMNS: dict[str, tuple[str, ...]] = {
    "narrowing": ("Disc narrowing",),
    "bulging": ("Disc bulging",),
    "herniation": ("Disc herniation",),
    "endplate change": ("UP endplate", "LOW endplate"),
    "Modic change": ("Modic",),
    "listhesis": ("Spondylolisthesis",),
}


def compare(discs: Sequence[LabelledDisc]) -> Iterator[str]:
    """Yield a table: log loss and area under the curve against the prior alone.

    Leave one patient out, drawn outlines, the features of the grade. The prior is the
    share among the other patients' discs.
    """
    yield "| label | discs with it | log loss, prior | log loss, model | area, ROC |"
    yield "|---|---|---|---|---|"
    known = [disc for disc in discs if disc.features["drawn"] and disc.is_measured]
    for name, columns in _COLUMNS.items():
        present = np.array(
            [any(disc.labels[c] for c in columns) for disc in known], np.int64
        )
        shares, prior = _out_of_fold(known, present)
        yield (
            f"| {name} | {present.sum()} of {len(present)} "
            f"| {_loss(prior, present):.3f} | {_loss(shares, present):.3f} "
            f"| {_area(shares, present):.2f} |"
        )


def narrowing_line(model: OrdinalModel, discs: Sequence[LabelledDisc]) -> str:
    """Say how the shipped model of narrowing does on discs that it never saw."""
    known = [disc for disc in discs if disc.is_measured]
    pairs = [
        (found.vector(), disc.labels["Disc narrowing"])
        for disc in known
        if (found := disc.features["predicted"])
    ]
    present = np.array([label for _, label in pairs], np.int64)
    shares = model.probabilities(np.stack([vector for vector, _ in pairs]))[:, 1]
    right = float(((shares > _EVEN) == (present == 1)).mean())
    return (
        f"Narrowing on public_test, predicted outlines: {present.sum()} of "
        f"{len(present)} discs, log loss {_loss(shares, present):.3f}, area "
        f"{_area(shares, present):.2f}, right {right:.2f}."
    )


def _out_of_fold(
    discs: Sequence[LabelledDisc], present: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    patients = np.array([disc.patient for disc in discs])
    vectors = np.stack(
        [found.vector() for disc in discs if (found := disc.features["drawn"])]
    )
    shares, prior = np.empty(len(discs)), np.empty(len(discs))
    for patient in np.unique(patients):
        own = patients == patient
        count = int((~own).sum())
        model = fit_ordinal(vectors[~own], present[~own], np.ones(count), 2)
        shares[own] = model.probabilities(vectors[own])[:, 1]
        prior[own] = present[~own].mean()
    return shares, prior


def _loss(shares: NDArray[np.float64], present: NDArray[np.int64]) -> float:
    right = np.where(present == 1, shares, 1 - shares)
    return float(-np.log(np.maximum(right, 1e-6)).mean())


def _area(shares: NDArray[np.float64], present: NDArray[np.int64]) -> float:
    """Return the chance that a disc with the label scores above one without."""
    gap = shares[present == 1][:, None] - shares[present == 0][None, :]
    return float(((gap > 0) + (gap == 0) / 2).mean())
