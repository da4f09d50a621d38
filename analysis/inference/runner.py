"""What runs a network."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class DeviceFailed(Exception):  # noqa: N818 - as the errors of the contract are named
    """A device other than the CPU gave out.

    Parameters
    ----------
    text
        What it said, in one line.
    out_of_memory
        Whether a smaller batch may go through.
    """

    def __init__(self, text: str, *, out_of_memory: bool) -> None:
        super().__init__(text)
        self.text = text
        self.out_of_memory = out_of_memory


class Runner(Protocol):
    """A network on a device."""

    @property
    def batch(self) -> int:
        """Slices that it is best given at once."""

    @property
    def runtime(self) -> str:
        """The library, its version and the precision, as `openvino2026.4.1.bf16`."""

    def run(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map slices amid their neighbours to the probabilities of the classes.

        Parameters
        ----------
        seen : ndarray, shape (N, 2 * context + 1, R, C)
            Normalised; R and C are multiples of the network's stride.

        Returns
        -------
        ndarray, shape (N, classes, R, C), float32

        Raises
        ------
        DeviceFailed
            If the device gave out; never on the CPU.
        """
