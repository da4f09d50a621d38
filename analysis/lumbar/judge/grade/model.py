"""An ordinal model: from the features of a disc to the probability of each grade."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.contract.errors import AnalysisFailed
from analysis.lumbar.judge.grade.features import FEATURES

MODEL_FILE = Path(__file__).with_name("model.json")
GRADES = (1, 2, 3, 4, 5)
"""Pfirrmann grades I to V."""
ROMAN = ("I", "II", "III", "IV", "V")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OrdinalModel:
    """Proportional odds on standardised features, with a share of wrong labels.

    P(grade <= g) = logistic(cuts[g] - weights . z); then a share `doubt` is spread
    evenly over the grades, because so many training labels are taken to be wrong.

    Parameters
    ----------
    mean, spread, lowest, highest : ndarray, shape (9,)
        Of each feature over the training discs; values outside what was seen in
        training are moved to its edge.
    weights : ndarray, shape (9,)
    cuts : ndarray, shape (4,)
        Rising; one less than there are grades.
    doubt
        0 to 1.

    References
    ----------
    McCullagh P. J R Stat Soc B 1980;42:109-142.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    weights: NDArray[np.float64]
    cuts: NDArray[np.float64]
    doubt: float

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of grades 1 to 5, shape (..., 5).

        Parameters
        ----------
        features : ndarray, shape (..., 9)
            In the order of `FEATURES`.
        """
        seen = np.clip(features, self.lowest, self.highest)
        score = ((seen - self.mean) / self.spread) @ self.weights
        below = 1 / (1 + np.exp(score[..., None] - self.cuts))
        ends = np.zeros((*score.shape, 1))
        shares = np.diff(np.concatenate([ends, below, ends + 1], axis=-1), axis=-1)
        return np.asarray((1 - self.doubt) * shares + self.doubt / shares.shape[-1])


ARRAYS = ("mean", "spread", "lowest", "highest", "weights", "cuts")
"""What the file holds of each model, beside its doubt."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiscModels:
    """The models of this package, all on the same features.

    Parameters
    ----------
    grade
        Of the five Pfirrmann grades.
    narrowing
        Of two classes: not narrowed, narrowed.
    """

    grade: OrdinalModel
    narrowing: OrdinalModel


@lru_cache(maxsize=1)
def load_models() -> DiscModels:
    """Read the models of this package.

    Raises
    ------
    AnalysisFailed
        If the file is missing, damaged or made for other features.
    """
    try:
        raw: dict[str, Any] = json.loads(MODEL_FILE.read_text(encoding="utf-8"))
        made_for = tuple(raw["features"])
        models = DiscModels(
            grade=read_model(raw["grade"], len(FEATURES), len(GRADES)),
            narrowing=read_model(raw["narrowing"], len(FEATURES)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{MODEL_FILE.name}: the models of the discs cannot be read"
        raise AnalysisFailed(message) from error
    if made_for != FEATURES:
        message = f"{MODEL_FILE.name}: made for {made_for}, expected {FEATURES}"
        raise AnalysisFailed(message)
    return models


def read_model(raw: Mapping[str, Any], features: int, classes: int = 2) -> OrdinalModel:
    """Return a model as its file holds it.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is not one of so many features and classes.
    """
    arrays = {name: np.array(raw[name], np.float64) for name in ARRAYS}
    for name, values in arrays.items():
        size = classes - 1 if name == "cuts" else features
        if values.shape != (size,):
            message = f"{name}: expected {size} numbers, got {values.shape}"
            raise ValueError(message)
    return OrdinalModel(**arrays, doubt=float(raw["doubt"]))
