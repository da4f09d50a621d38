"""The bits of a pixel that are its value, without those that lie above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from analysis.contract.result import Notice
from dicom_node.decode import attribute_values

_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
_BIT_POSITION = 0x0102


def own_bits(
    stored: NDArray[np.generic], dataset: Dataset
) -> tuple[NDArray[np.generic], tuple[Notice, ...]]:
    """Return values without what stands above Bits Stored.

    Overlays may stand there (retired, PS3.5 8.1.1), and decoders hand them over. Where
    no overlay is declared, the attribute may be wrong instead: the reading counts whose
    picture is smoother, since a value without its high bits jumps by their worth.

    Parameters
    ----------
    stored : ndarray, shape (frames, rows, columns)
        As a decoder gave them.

    Returns
    -------
    ndarray, shape (frames, rows, columns)
    tuple of Notice
        `bits_stored_exceeded` if the values count as they came.
    """
    bits = attribute_values.whole(dataset, "BitsStored") or 0
    allocated = 8 * stored.dtype.itemsize
    if not 0 < bits < allocated or stored.dtype.kind not in "iu":
        return stored, ()
    masked = _masked(stored, bits)
    if np.array_equal(masked, stored):
        return stored, ()
    if _has_embedded_overlay(dataset) or _roughness(masked) <= _roughness(stored):
        return masked, ()
    text = f"values need more than the {bits} bits of Bits Stored and were read whole"
    return stored, (Notice(code="bits_stored_exceeded", text=text),)


def _masked(stored: NDArray[np.generic], bits: int) -> NDArray[np.generic]:
    values = stored.astype(np.int64) & (2**bits - 1)
    if stored.dtype.kind == "i":
        values -= (values >> (bits - 1)) << bits
    masked: NDArray[np.generic] = values.astype(stored.dtype)
    return masked


def _has_embedded_overlay(dataset: Dataset) -> bool:
    for group in _OVERLAY_GROUPS:
        tag = (group << 16) | _BIT_POSITION
        if tag in dataset and (attribute_values.whole(dataset, tag) or 0) > 0:
            return True
    return False


def _roughness(values: NDArray[np.generic]) -> float:
    """Return the mean step from a pixel to its right neighbour."""
    return float(np.abs(np.diff(values.astype(np.float64), axis=-1)).mean())
