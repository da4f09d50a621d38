"""A network as a CUDA graph for each shape of its input; elsewhere a plain call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import torch

_KEPT = 3
"""Shapes: a graph holds the features of its network, up to 1 GB. A hospital's series
have few sizes."""

Network = Callable[[torch.Tensor], torch.Tensor]


class ByShape:
    """Calls a network; on a GPU without the time that starting its kernels takes.

    Several threads may call it.

    Parameters
    ----------
    network
        Makes the same steps for the same shape, and waits for nothing.
    is_gpu
        Whether there are graphs.
    """

    def __init__(self, network: Network, *, is_gpu: bool) -> None:
        self._network = network
        self._has_graphs = is_gpu
        self._lock = Lock()
        self._graphs: OrderedDict[
            tuple[int, ...], tuple[torch.cuda.CUDAGraph, torch.Tensor, torch.Tensor]
        ] = OrderedDict()

    def __call__(self, seen: torch.Tensor) -> torch.Tensor:
        """Run the network."""
        shape = tuple(seen.shape)
        with self._lock:
            if self._has_graphs and shape not in self._graphs:
                self._capture(seen)
            if self._has_graphs:
                self._graphs.move_to_end(shape)
                graph, shown, found = self._graphs[shape]
                shown.copy_(seen)
                graph.replay()
                return found.clone()  # the next call writes into the same memory
        return self._network(seen)

    def forget(self) -> None:
        """Give back the memory of all graphs."""
        with self._lock:
            self._graphs.clear()
        if self._has_graphs:
            torch.cuda.empty_cache()

    def _capture(self, seen: torch.Tensor) -> None:
        while len(self._graphs) >= _KEPT:
            self._graphs.popitem(last=False)
        shown = seen.clone()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch stub
        aside.wait_stream(torch.cuda.current_stream())
        try:
            # The first call chooses algorithms and takes memory, which no graph may.
            with torch.cuda.stream(aside):
                self._network(shown)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                found = self._network(shown)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            # A driver that captures nothing may still compute; one that does not says
            # so at the plain call.
            self._has_graphs = False
            return
        self._graphs[tuple(seen.shape)] = (graph, shown, found)
