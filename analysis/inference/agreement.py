"""Whether a device finds in a test picture what the CPU finds there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from analysis.inference.runner import DeviceFailed

MOST_UNLIKE = 0.005
"""Share of the pixels that may get another label: between half and full precision it is
0.001 at most, and a driver or a library at fault moves far more."""
_SIZE = (192, 128)
_SLICES = 3
_BODY, _STEP, _GAP = 20, 44, 10
"""Pixels: half of the depth of a block, from block to block, between two."""

Probabilities = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def picture_to_compare() -> NDArray[np.float32]:
    """Return slices in which the networks see bodies, discs and a canal."""
    row, column = np.indices(_SIZE, dtype=np.float64)
    middle = _SIZE[1] * (0.45 + 0.05 * np.sin(3 * row / _SIZE[0]))
    picture = np.full(_SIZE, 30.0)
    is_body = np.abs(column - middle) < _BODY
    picture[is_body] = 120.0
    picture[is_body & (row % _STEP < _GAP)] = 45.0
    picture[np.abs(column - middle - 1.5 * _BODY) < 0.4 * _BODY] = 230.0
    noise = np.random.default_rng(7).normal(0.0, 6.0, (_SLICES, *_SIZE))
    return (picture + noise).astype(np.float32)


def refuse_unlike(on_device: Probabilities, on_cpu: Probabilities) -> None:
    """Check that a device gives a test picture the labels that the CPU gives it.

    Parameters
    ----------
    on_device, on_cpu
        Map slices (K, R, C) to the probabilities of the classes (K, N, R, C).

    Raises
    ------
    DeviceFailed
        If it does not, or gives out.
    """
    picture = picture_to_compare()
    found, expected = on_device(picture), on_cpu(picture)
    if not np.isfinite(found).all():
        text = "it gives probabilities that are no numbers"
        raise DeviceFailed(text, out_of_memory=False)
    unlike = float((found.argmax(axis=1) != expected.argmax(axis=1)).mean())
    if unlike > MOST_UNLIKE:
        text = (
            f"it gives {unlike:.1%} of the pixels of a test picture another label than "
            "the CPU does"
        )
        raise DeviceFailed(text, out_of_memory=False)
