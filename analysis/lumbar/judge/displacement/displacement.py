"""The displacement of a disc: bulge, protrusion or extrusion, or none of them.

Readers of a contest (Tianchi 2020) named it on one middle slice of 121 patients of many
hospitals; a logistic model of ten signs learnt from them. Between two probabilities it
cannot tell. `python -m analysis.training.displacement fit` derives `model.json` anew;
docs/grading.md says how good it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from analysis.contract.errors import AnalysisFailed
from analysis.lumbar.judge.displacement.signs import SIGNS, signs_of
from analysis.lumbar.judge.grade.features import DiscFeatures
from analysis.lumbar.judge.grade.model import OrdinalModel, read_model
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.number_or_reason import Missing

MODEL_FILE = Path(__file__).with_name("model.json")
UNSURE = (0.25, 0.75)
"""Probabilities between which it cannot tell. Of discs of train that were left out of
the fit, three in four lie outside."""


class Told(Enum):
    """What is said of a disc."""

    ABSENT = "absent"
    PRESENT = "present"
    UNSURE = "cannot_tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscDisplacement:
    """Whether a disc is displaced.

    Parameters
    ----------
    probability
        That a reader of the middle slice would call it a bulge, a protrusion or an
        extrusion.
    """

    probability: float

    @property
    def told(self) -> Told:
        """What is said of it."""
        low, high = UNSURE
        if self.probability <= low:
            return Told.ABSENT
        return Told.PRESENT if self.probability >= high else Told.UNSURE


Displaced = DiscDisplacement | Missing


def displacement_of(level: DiscLevel, features: DiscFeatures | Missing) -> Displaced:
    """Judge one disc.

    Parameters
    ----------
    level
        Where its rear edge is read.
    features
        Of the same disc, as its grade is read from.

    Raises
    ------
    AnalysisFailed
        If the model cannot be read.
    """
    signs = signs_of(level, features)
    if isinstance(signs, Missing):
        return signs
    return DiscDisplacement(probability=float(load_model().probabilities(signs)[1]))


@lru_cache(maxsize=1)
def load_model() -> OrdinalModel:
    """Read the model of this package.

    Raises
    ------
    AnalysisFailed
        If the file is missing, damaged or made for other signs.
    """
    try:
        raw: dict[str, Any] = json.loads(MODEL_FILE.read_text(encoding="utf-8"))
        made_for = tuple(raw["signs"])
        model = read_model(raw["displacement"], len(SIGNS))
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{MODEL_FILE.name}: the model of displaced discs cannot be read"
        raise AnalysisFailed(message) from error
    if made_for != SIGNS:
        message = f"{MODEL_FILE.name}: made for {made_for}, expected {SIGNS}"
        raise AnalysisFailed(message)
    return model
