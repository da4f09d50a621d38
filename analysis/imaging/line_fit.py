"""Lines through points of which some are wrong."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from analysis.imaging.median import median_of


def robust_slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the median of the slopes of all pairs of points.

    Up to 29 % of the points may be wrong without much harm.

    Parameters
    ----------
    x, y : ndarray, shape (N,)
        At least two different x.

    Raises
    ------
    ValueError
        If all x are the same.

    References
    ----------
    Sen PK. Estimates of the regression coefficient based on Kendall's tau. J Am Stat
    Assoc 1968;63(324):1379-1389.
    """
    first, second = _pairs(len(x))
    run = x[second] - x[first]
    different = run != 0
    if not different.any():
        message = f"a slope needs two different x, got {len(x)} points"
        raise ValueError(message)
    return median_of((y[second] - y[first])[different] / run[different])


@lru_cache(maxsize=64)
def _pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of places; asked for again and again with few counts."""
    first, second = np.triu_indices(count, k=1)
    first.flags.writeable = second.flags.writeable = False
    return first, second
