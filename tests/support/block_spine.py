"""A picture that a network takes for a spine, without a truth to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def block_spine(rows: int, columns: int, count: int = 1) -> NDArray[np.float32]:
    """Bright blocks with dark gaps, a brighter stripe behind, fat and noise."""
    draw = np.random.default_rng(7)
    row, column = np.indices((rows, columns), dtype=np.float64)
    middle = columns * (0.45 + 0.05 * np.sin(row / rows * 3))
    picture = np.full((rows, columns), 30.0)
    body = np.abs(column - middle) < 20
    picture[body] = 120.0
    picture[body & (row % 44 < 10)] = 45.0
    picture[np.abs(column - middle - 31) < 8] = 230.0
    picture[column > columns * 0.85] = 400.0
    noisy = picture + draw.normal(0, 6, (count, rows, columns))
    return noisy.astype(np.float32)
