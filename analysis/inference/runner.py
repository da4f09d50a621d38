"""What runs a network: ONNX Runtime on the CPU."""

from __future__ import annotations

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
    """ONNX Runtime on the CPU, a slice at a time: memory does not grow with a batch.

    Parameters
    ----------
    session
        A verified graph with its weights.
    """

    batch = 1

    def __init__(self, session: InferenceSession) -> None:
        self._session = session

    def run(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run slice by slice."""
        shares = [self._session.run(None, {_INPUT: one[None]})[0] for one in seen]
        return np.concatenate(shares)


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
        Within one operation. They sleep while they wait: spinning threads would
        starve other processes on the same cores.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    # The graph names the weights file; the bytes just verified stand in for it.
    options.add_external_initializers_from_files_in_memory(
        [Path(weights_name).name], [weights], [len(weights)]
    )
    return OnnxRunner(
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    )
