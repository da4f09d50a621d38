import numpy as np
import pytest

from analysis.training.grading.ordinal import fit_ordinal
from analysis.training.grading.scores import balanced_accuracy, quadratic_kappa


def test_a_fit_finds_the_weights_that_made_the_labels() -> None:
    random = np.random.default_rng(3)
    features = random.normal(size=(4000, 3))
    noise = random.logistic(size=4000)
    score = features @ np.array([2.0, -1.0, 0.0]) + noise
    classes = np.digitize(score, [-2.0, 0.0, 1.5])
    model = fit_ordinal(features, classes, np.ones(4000), 4)
    # The share that is held for wrong labels makes the rest steeper, alike for all.
    assert model.weights[1] / model.weights[0] == pytest.approx(-0.5, abs=0.06)
    assert abs(model.weights[2] / model.weights[0]) < 0.06
    grades = model.probabilities(features).argmax(axis=1)
    assert (np.abs(grades - classes) <= 1).mean() > 0.9


def test_kappa_is_that_of_the_formula() -> None:
    # Two raters, three grades: w = 0, 1, 4. Observed sum of w: 2.
    table = np.array([[2, 1, 0], [0, 3, 0], [0, 1, 2]])
    rows, columns = np.array([3, 3, 3]), np.array([2, 5, 2])
    weights = np.subtract.outer(np.arange(3), np.arange(3)) ** 2
    chance = (weights * np.outer(rows, columns) / 9).sum()
    assert quadratic_kappa(table) == pytest.approx(1 - 2 / chance)
    assert balanced_accuracy(table) == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
