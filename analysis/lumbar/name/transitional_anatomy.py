"""How probable it is that the lowest disc is not L5/S1.

A transitional vertebra, or a well-formed disc below S1, shifts the whole count, and so
does an L5 that is taken for S1 where the sacrum is dark or out of view. Four signs are
weighed together: the depth and the height of the disc, its tilt, and the promontory,
the bend of the front of the spine at L5/S1 that is lacking within the sacrum and above
L5. The logistic models are fitted to series of several hospitals whose levels their
readers have named; `python -m analysis.training.levels fit` derives `transitional.json`
anew, and says there from how many, and how well series are told that were left out of
the fit.

References
----------
.. [1] Konin GP, Walz DM. Lumbosacral transitional vertebrae: classification, imaging
   findings, and clinical relevance. AJNR 2010;31(10):1778-1786: squaring of the upper
   sacral segment, and the height of the disc below it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.name.lumbosacral_shape import Junction

MODEL_NAME = "transitional.json"
ARRAYS = ("mean", "spread", "weights")
"""Of a model, as its file holds them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticModel:
    """A logistic model of standardised signs.

    Parameters
    ----------
    signs
        Their names, as those of a `Junction`.
    mean, spread, weights : ndarray, shape (signs,)
        Of the signs.
    offset
        Log odds where all signs are as usual.
    told_from
        Probability from which the reader is told.
    """

    signs: tuple[str, ...]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64]
    offset: float
    told_from: float

    def probability(self, junction: Junction) -> float:
        """Return the probability of what the model looks for (0 to 1)."""
        return self.of_signs(junction.signs(self.signs))

    def of_signs(self, signs: NDArray[np.float64]) -> float:
        """Return the same for the signs of a junction, shape (signs,)."""
        scaled = (signs - self.mean) / self.spread
        return float(1 / (1 + np.exp(-(self.offset + scaled @ self.weights))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """What else than L5/S1 the lowest disc may be.

    Parameters
    ----------
    s1_s2
        Its probability is a frequency among series.
    l4_l5
        It was fitted to as many discs L4/L5 as L5/S1, so that its probability is an
        order and no frequency: the network seldom takes L5 for S1.
    """

    s1_s2: LogisticModel
    l4_l5: LogisticModel


@functools.cache
def shipped_models() -> Models:
    """Read the models of this package."""
    source = resources.files("analysis.lumbar.name") / MODEL_NAME
    stored = json.loads(source.read_text(encoding="utf-8"))
    return Models(s1_s2=_model(stored["s1_s2"]), l4_l5=_model(stored["l4_l5"]))


def _model(stored: Mapping[str, Any]) -> LogisticModel:
    mean, spread, weights = (np.array(stored[key], np.float64) for key in ARRAYS)
    return LogisticModel(
        signs=tuple(stored["signs"]),
        mean=mean,
        spread=spread,
        weights=weights,
        offset=float(stored["offset"]),
        told_from=float(stored["told_from"]),
    )
