"""How probable it is that the lowest disc lies between S1 and S2.

A transitional vertebra, or a well-formed disc below S1, shifts the whole count. No sign
of it is certain, so four are weighed together: a logistic model, fitted to the middle
slices of two collections of other hospitals, whose levels their readers have named.
`python -m tests.accuracy.transitional` derives `transitional.json` anew, and says there
from how many slices, and how well slices are told that were left out of the fit.

References
----------
.. [1] Konin GP, Walz DM. Lumbosacral transitional vertebrae: classification, imaging
   findings, and clinical relevance. AJNR 2010;31(10):1778-1786: squaring of the upper
   sacral segment, and the height of the disc below it.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.name.lumbosacral_shape import Junction

MODEL_NAME = "transitional.json"
DOUBTFUL = 0.10
"""Probability of the other reading from which the reader is told. Left out of the fit,
the nine slices of train whose lowest disc is S1/S2 have 0.14 or more, and all but three
of the 157 others less than 0.10."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticModel:
    """A logistic model of standardised signs.

    Parameters
    ----------
    mean, spread, weights : ndarray, shape (4,)
        Of the signs, in the order of `Junction.signs`.
    offset
        Log odds where all signs are as usual.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64]
    offset: float

    def probability(self, junction: Junction) -> float:
        """Return how probable it is that the disc lies between S1 and S2 (0 to 1)."""
        return self.of_signs(junction.signs())

    def of_signs(self, signs: NDArray[np.float64]) -> float:
        """Return the same for the signs of a junction, shape (4,)."""
        scaled = (signs - self.mean) / self.spread
        return float(1 / (1 + np.exp(-(self.offset + scaled @ self.weights))))


@functools.cache
def shipped_model() -> LogisticModel:
    """Read the model of this package."""
    source = resources.files("analysis.lumbar.name") / MODEL_NAME
    stored = json.loads(source.read_text(encoding="utf-8"))
    mean, spread, weights = (
        np.array(stored[key], np.float64) for key in ("mean", "spread", "weights")
    )
    return LogisticModel(
        mean=mean, spread=spread, weights=weights, offset=float(stored["offset"])
    )
