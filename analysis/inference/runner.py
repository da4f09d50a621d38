"""What runs a network: ONNX Runtime on the CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_INPUT = "slices"


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


class OnnxRunner:
    """ONNX Runtime on the CPU: each thread computes a slice of its own.

    Threads that share a slice wait for each other after every operation, which took a
    third of the time. Memory grows with the threads, not with a batch.

    Parameters
    ----------
    session
        A verified graph with its weights, one thread within an operation.
    threads
        Slices that are computed at the same time.
    """

    def __init__(self, session: InferenceSession, threads: int) -> None:
        self._session = session
        self._threads = threads

    @property
    def batch(self) -> int:
        """Several for each thread, so that none waits long for the last."""
        return 4 * self._threads

    def run(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run slice by slice; ONNX Runtime lets other threads run meanwhile."""

        def shares(one: NDArray[np.float32]) -> NDArray[np.float32]:
            found: NDArray[np.float32] = self._session.run(None, {_INPUT: one[None]})[0]
            return found

        with ThreadPoolExecutor(self._threads) as pool:
            return np.concatenate(list(pool.map(shares, seen)))


def onnx_runner(
    graph: bytes, weights: bytes, weights_name: str, *, threads: int
) -> OnnxRunner:
    """Load a graph whose initialisers point into a file of weights.

    Parameters
    ----------
    graph, weights
        Verified content of both files.
    weights_name
        The name by which the graph knows its weights.
    threads
        That share the slices.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # The graph names the weights file; the bytes just verified stand in for it.
    options.add_external_initializers_from_files_in_memory(
        [Path(weights_name).name], [weights], [len(weights)]
    )
    session = onnxruntime.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"]
    )
    return OnnxRunner(session, threads)
