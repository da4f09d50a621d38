"""What the displacement of a disc is read from: its rear edge, and what the grade is.

A disc that bulges has mostly lost water and height before, so that the features of the
grade tell half of it, and the reach of the rear edge the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.lumbar.judge.grade.features import FEATURES, DiscFeatures
from analysis.lumbar.measure.measured_sites import DiscLevel
from analysis.lumbar.measure.rear_bulge import reach_behind
from analysis.lumbar.number_or_reason import Missing

SIGNS = (*FEATURES, "rear_reach_mm")


def signs_of(
    level: DiscLevel, features: DiscFeatures | Missing
) -> NDArray[np.float64] | Missing:
    """Return the signs of a disc, shape (10,), or why they cannot be had.

    Parameters
    ----------
    level
        Where its rear edge is read.
    features
        Of the same disc, as its grade is read from.
    """
    if isinstance(features, Missing):
        return features
    reach_mm = reach_behind(level)
    if isinstance(reach_mm, Missing):
        return reach_mm
    return np.array([*features.vector(), reach_mm])
