"""What runs a network: OpenVINO, on the CPU."""

from __future__ import annotations

import sys
from collections import deque
from functools import cache
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.contract.errors import AnalysisFailed
from analysis.inference.cpu_runtime import FULL, HALF, cpu_precision, cpu_runtime
from analysis.inference.whole_graph import with_weights

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, InferRequest, Model

_TOOLS = "openvino.tools.ovc"
"""Converts models, and reports to its maker over the network that it was imported."""
_ONE_AT_A_TIME = Lock()
"""Two networks that are loaded at the same time share one core of OpenVINO."""
_HINTS = {FULL: "f32", HALF: "bf16"}
_LARGE_BYTES = 4_000_000
_TRIAL_PX = 64
"""A multiple of every network's stride."""


class CpuRunner:
    """OpenVINO on the CPU: each stream computes a slice of its own.

    Memory grows with the streams, not with a batch.

    Parameters
    ----------
    network
        Compiled with so many streams.
    streams
        Slices that are computed at the same time.
    """

    def __init__(self, network: CompiledModel, streams: int) -> None:
        self._streams = streams
        self._idle: SimpleQueue[InferRequest] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(network.create_infer_request())
        _, self._classes, _, _ = network.output(0).partial_shape
        self.runtime = cpu_runtime(_precision_of(network))

    @property
    def batch(self) -> int:
        """One for each stream, for the last batch is in use while one is computed."""
        return self._streams

    def run(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run slice by slice; OpenVINO has threads of its own, one for each stream."""
        count, _, rows, columns = seen.shape
        classes = self._classes.get_length()
        found = np.empty((count, classes, rows, columns), np.float32)
        begun: deque[tuple[int, InferRequest]] = deque()

        def end_first() -> None:
            place, request = begun.popleft()
            try:
                request.wait()
                found[place] = request.get_output_tensor().data[0]
            finally:
                self._idle.put(request)

        try:
            for place in range(count):
                while (request := self._free(may_wait=not begun)) is None:
                    end_first()
                begun.append((place, request))
                request.start_async([seen[place : place + 1]], share_inputs=True)
            while begun:
                end_first()
        finally:
            for _, request in begun:
                request.wait()
                self._idle.put(request)
        return found

    def _free(self, *, may_wait: bool) -> InferRequest | None:
        """Return a request that nobody uses; None where there is none."""
        try:
            return self._idle.get(block=may_wait)
        except Empty:
            return None


def cpu_runner(graph: bytes, weights: bytes, *, threads: int) -> CpuRunner:
    """Load a graph whose initialisers point into a file of weights.

    In `bf16` where the processor has AMX and OpenVINO can use it.

    Parameters
    ----------
    graph, weights
        Verified content of both files.
    threads
        That share the slices. Of a large network in full precision, which holds 60 MB
        for each slice that it computes, two threads share one.

    Raises
    ------
    AnalysisFailed
        If OpenVINO cannot be imported or does not take the graph.
    """
    try:
        with _ONE_AT_A_TIME:
            core = _core()
    except (ImportError, OSError) as error:  # not installed, or broken
        message = f"OpenVINO cannot be imported: {_first_line(error)}"
        raise AnalysisFailed(message) from error
    try:
        model = core.read_model(with_weights(graph, weights))
        if cpu_precision() == HALF:
            try:
                return _tried(core, model, HALF, (threads, threads))
            except RuntimeError:
                pass  # `runtime` says so
        streams = (threads + 1) // 2 if len(weights) > _LARGE_BYTES else threads
        return _tried(core, model, FULL, (threads, streams))
    except (RuntimeError, ValueError) as error:
        message = f"OpenVINO cannot load the network: {_first_line(error)}"
        raise AnalysisFailed(message) from error


def _tried(
    core: Core, model: Model, precision: str, shared: tuple[int, int]
) -> CpuRunner:
    """Compile a network for (threads, streams) and run it once.

    What it lacks shows then, not before.
    """
    threads, streams = shared
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        # Several workers would all choose the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    network = core.compile_model(model, "CPU", settings)
    runner = CpuRunner(network, streams)
    channels = network.input(0).partial_shape[1].get_length()
    runner.run(np.zeros((1, channels, _TRIAL_PX, _TRIAL_PX), np.float32))
    return runner


def _precision_of(network: CompiledModel) -> str:
    hint = network.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return next((name for name, known in _HINTS.items() if known == hint), hint)


@cache
def _core() -> Core:
    # Python takes None for a module that is not there.
    sys.modules.setdefault(_TOOLS, None)  # type: ignore[arg-type]
    from openvino import Core

    return Core()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
