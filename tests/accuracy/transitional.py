"""Fits how probable it is that the lowest disc lies between S1 and S2.

Run as `python -m tests.accuracy.transitional`: it looks at every middle slice of the
split `train` of MRSpineSeg and Tianchi, whose levels their readers have named, and
writes `analysis/lumbar/name/transitional.json` with its evidence. Nothing of
`public_test` is read.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from tqdm import tqdm

from analysis.lumbar.anatomy.structures import DISCS, Tissue, level_of
from analysis.lumbar.anatomy.tissue_map import TissueMap
from analysis.lumbar.check.series import examine
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.find.spacing import count_discs
from analysis.lumbar.find.spine_course import find_column
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.name.lumbosacral_shape import Junction, MiddleView
from analysis.lumbar.name.transitional_anatomy import (
    DOUBTFUL,
    MODEL_NAME,
    LogisticModel,
)
from tests.support.labelled import LabelledSeries, single_slices

RIDGE = 1.0
"""Penalty on half of the squared weights of standardised signs. Between 0.3 and 3 the
order of the slices that are left out changes little; chosen once, on train."""
SIGNS = ("log disc_depth_ratio", "log disc_height_ratio", "log squareness", "tilt_deg")
_NEAR_MM = 12.0
_DIGITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One slice: what the junction looks like, and what it is."""

    junction: Junction
    is_sacral: bool


def main() -> int:
    """Fit, write, and say how slices are told that were left out."""
    networks = load_networks(threads=2)
    examples = []
    for series in tqdm(list(single_slices("train")), unit="slice"):
        found = example(segment(examine(series.volume), networks), series)
        if found is not None:
            examples.append(found)
    signs = np.array([one.junction.signs() for one in examples])
    sacral = np.array([one.is_sacral for one in examples])
    left_out = leave_one_out(signs, sacral)
    card = {
        "made_by": "python -m tests.accuracy.transitional",
        "source": "MRSpineSeg and Tianchi, middle slices of the split train",
        "outlines_by_weights": networks.weights_sha256,
        "signs": SIGNS,
        **stored(fit(signs, sacral)),
        "evidence": evidence(left_out, sacral),
    }
    there = Path(str(resources.files("analysis.lumbar.name"))) / MODEL_NAME
    there.write_text(f"{json.dumps(card, indent=1)}\n", encoding="utf-8")
    sys.stdout.write(f"{json.dumps(card['evidence'], indent=1)}\n")
    return 0


def example(tissues: TissueMap, series: LabelledSeries) -> Example | None:
    """Look at the junction as the network sees it; None where a sign is missing."""
    column = find_column(tissues.tissue, tissues.grid.frame.spacing_mm)
    discs = [] if column is None else count_discs(column)
    if column is None or not discs:
        return None
    below_mm = np.array([disc.distance_mm(column) for disc in discs])
    slots = (below_mm > 0).sum(axis=0)
    s1 = np.bincount(slots[column.tissue == Tissue.S1], minlength=len(discs) + 1)
    lowest = int(s1.argmax()) - 1
    if lowest < 1 or level_of(DISCS[0]) not in series.places:
        return None
    junction = MiddleView(column, discs, below_mm).junction(lowest)
    drawn_mm = series.in_mm(series.places[level_of(DISCS[0])])
    away = [np.linalg.norm(disc.centre_mm[1:] - drawn_mm) for disc in discs]
    true = int(np.argmin(away))
    if junction is None or away[true] > _NEAR_MM or true not in (lowest - 1, lowest):
        return None
    return Example(junction=junction, is_sacral=true < lowest)


def fit(signs: NDArray[np.float64], sacral: NDArray[np.bool_]) -> LogisticModel:
    """Fit by penalised maximum likelihood.

    Parameters
    ----------
    signs : ndarray, shape (N, 4)
    sacral : ndarray, shape (N,)
        Whether the disc lies between S1 and S2.
    """
    mean, spread = signs.mean(axis=0), signs.std(axis=0)
    design = np.column_stack([np.ones(len(signs)), (signs - mean) / spread])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = design @ weights
        penalty = np.array([0.0, *weights[1:]]) * RIDGE
        value = np.logaddexp(0.0, score).sum() - score[sacral].sum()
        pull = design.T @ (1 / (1 + np.exp(-score)) - sacral)
        return float(value + penalty @ weights / 2), pull + penalty

    found = optimize.minimize(loss, np.zeros(design.shape[1]), jac=True, method="BFGS")
    offset, *weights = found.x
    return LogisticModel(
        mean=mean, spread=spread, weights=np.array(weights), offset=float(offset)
    )


def leave_one_out(
    signs: NDArray[np.float64], sacral: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the probability of each example by a model that has not seen it."""
    told = []
    for index in range(len(signs)):
        others = np.arange(len(signs)) != index
        told.append(fit(signs[others], sacral[others]).of_signs(signs[index]))
    return np.array(told)


def evidence(
    left_out: NDArray[np.float64], sacral: NDArray[np.bool_]
) -> dict[str, object]:
    """Return how well the slices that were left out of the fit are told."""
    return {
        "slices": len(sacral),
        "of_them_s1_s2": int(sacral.sum()),
        "told_from": DOUBTFUL,
        "least_of_s1_s2": round(float(left_out[sacral].min()), 2),
        "others_told": int((left_out[~sacral] >= DOUBTFUL).sum()),
        "others_taken_for_s1_s2": int((left_out[~sacral] > 1 / 2).sum()),
        "s1_s2_not_taken_for_it": int((left_out[sacral] <= 1 / 2).sum()),
    }


def stored(model: LogisticModel) -> dict[str, object]:
    """Return a model as `transitional.json` holds it."""
    arrays = {key: getattr(model, key) for key in ("mean", "spread", "weights")}
    rounded = {key: np.round(each, _DIGITS).tolist() for key, each in arrays.items()}
    return {**rounded, "offset": round(model.offset, _DIGITS)}


if __name__ == "__main__":
    sys.exit(main())
