"""A logistic model by penalised maximum likelihood, and how it does on the unseen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from analysis.lumbar.name.transitional_anatomy import LogisticModel
from analysis.training.levels.settings import LevelSettings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Discs by their signs.

    Parameters
    ----------
    names
        Of the signs.
    signs : ndarray, shape (N, signs)
    sought : ndarray, shape (N,), bool
        Whether a disc is what the model looks for.
    patient : ndarray, shape (N,)
        Those of one are left out together.
    """

    names: tuple[str, ...]
    signs: NDArray[np.float64]
    sought: NDArray[np.bool_]
    patient: NDArray[np.int64]

    def only(self, chosen: NDArray[np.bool_]) -> Examples:
        """Return some of the discs."""
        return replace(
            self,
            signs=self.signs[chosen],
            sought=self.sought[chosen],
            patient=self.patient[chosen],
        )


def fit(examples: Examples, ridge: float, told_from: float) -> LogisticModel:
    """Fit the model.

    Parameters
    ----------
    examples
        What it learns from.
    ridge
        Penalty on half of the squared weights of the standardised signs.
    told_from
        As `LogisticModel` holds it.
    """
    signs, sought = examples.signs, examples.sought
    mean, spread = signs.mean(axis=0), signs.std(axis=0)
    design = np.column_stack([np.ones(len(signs)), (signs - mean) / spread])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = design @ weights
        penalty = np.array([0.0, *weights[1:]]) * ridge
        value = np.logaddexp(0.0, score).sum() - score[sought].sum()
        pull = design.T @ (1 / (1 + np.exp(-score)) - sought)
        return float(value + penalty @ weights / 2), pull + penalty

    found = optimize.minimize(loss, np.zeros(design.shape[1]), jac=True, method="BFGS")
    offset, *weights = found.x
    return LogisticModel(
        signs=examples.names,
        mean=mean,
        spread=spread,
        weights=np.array(weights),
        offset=float(offset),
        told_from=told_from,
    )


def left_out(examples: Examples, settings: LevelSettings) -> NDArray[np.float64]:
    """Return probabilities by models that have not seen the patient.

    Returns
    -------
    ndarray, shape (repeats, N)
    """
    chance = np.random.default_rng(settings.seed)
    patients, place = np.unique(examples.patient, return_inverse=True)
    told = np.zeros((settings.repeats, len(place)))
    for row in told:
        fold = (chance.permutation(len(patients)) % settings.folds)[place]
        for number in range(settings.folds):
            out = fold == number
            model = fit(examples.only(~out), settings.ridge, 1.0)
            row[out] = [model.of_signs(each) for each in examples.signs[out]]
    return told
