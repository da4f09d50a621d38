"""Slices in, class probabilities out, on the CPU or on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.inference.agreement import refuse_unlike
from analysis.inference.cpu_runner import CpuRunner, cpu_runner
from analysis.inference.model_card import MODELS, ModelCard, read_card, read_verified
from analysis.inference.normalise import neighbours, normalise_slices
from analysis.inference.runner import DeviceFailed, Runner

_LARGE_PX = 384 * 320
"""A whole slice: what a batch is counted for on the CPU."""

__all__ = ["ModelCard", "Segmenter", "load_segmenter"]


class Segmenter:
    """A network ready to run.

    Memory is bounded by the size of a slice and not by their number; the same input
    gives the same output, bit by bit, on the same device. A device that gives out is
    asked again for half as many slices; one that gives out on a single slice, or
    breaks, is left for the CPU for good.

    Parameters
    ----------
    card
        What the network is.
    runner
        The network on its device.
    spare
        Loads it on the CPU.
    missed
        Why it does not run on the device that was asked for.
    threads
        That share what is done before it.
    large_px
        Of smaller slices more go into a batch, until they have as many pixels.
    """

    card: ModelCard
    missed: str
    """Why it does not run on the device that was asked for; empty where it does."""

    def __init__(
        self,
        card: ModelCard,
        runner: Runner,
        spare: Callable[[], Runner] | None = None,
        missed: str = "",
        threads: int = 1,
        large_px: int = 0,
    ) -> None:
        self.card = card
        self.missed = missed
        self._runner = runner
        self._spare = spare
        self._threads = threads
        self._large_px = large_px

    @property
    def runner(self) -> Runner:
        """The network on the device that it is on, as of now."""
        return self._runner

    @property
    def runtime(self) -> str:
        """What runs it, as of now: see `Runner.runtime`."""
        return self._runner.runtime

    def probabilities(
        self, slices: NDArray[np.float32], part: slice = slice(None)
    ) -> NDArray[np.float32]:
        """Return the probability of each class in each pixel.

        Parameters
        ----------
        slices : ndarray, shape (K, R, C)
            Raw grey values on any linear scale, on the network's grid
            (`card.spacing_mm`); rows run from head to foot, columns from front to
            back. Values that are not finite count as 0.
        part
            Slices to label; the others are looked at only as neighbours.

        Returns
        -------
        ndarray, shape (slices in `part`, classes, R, C), float32
            Softmax probabilities, always finite. A slice without contrast is
            background.

        Raises
        ------
        ValueError
            If `slices` has not three axes or its slices are empty.
        """
        shape = self._shape(slices, part)
        result = np.zeros(shape, np.float32)
        result[:, 0] = 1.0
        for places, shares in self._seen(slices, part):
            result[places] = shares
        return result

    def in_steps(self, slices: NDArray[np.float32], steps: int) -> NDArray[np.uint8]:
        """Return the probability of each class in each pixel, rounded.

        Only the slices that are computed at the same time are held in full.

        Parameters
        ----------
        slices
            As for `probabilities`.
        steps
            What probability 1 becomes; at most 255.

        Returns
        -------
        ndarray, shape (K, classes, R, C), uint8

        Raises
        ------
        ValueError
            If `slices` has not three axes or its slices are empty.
        """
        result = np.zeros(self._shape(slices, slice(None)), np.uint8)
        result[:, 0] = steps
        for places, shares in self._seen(slices, slice(None)):
            np.multiply(shares, steps, out=shares)
            result[places] = np.rint(shares, out=shares)
        return result

    def leave_device(self, why: str) -> None:
        """Leave the device for the CPU, for good; of no effect on the CPU."""
        if self._spare is not None and not self.missed:
            self.missed = why
            self._runner = self._spare()

    def _shape(
        self, slices: NDArray[np.float32], part: slice
    ) -> tuple[int, int, int, int]:
        if slices.ndim != 3 or 0 in slices.shape[1:]:  # noqa: PLR2004 - (K, R, C)
            message = f"slices: expected shape (K, R, C), got {slices.shape}"
            raise ValueError(message)
        count, rows, columns = slices.shape
        return len(range(count)[part]), len(self.card.classes), rows, columns

    def _seen(
        self, slices: NDArray[np.float32], part: slice
    ) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Yield places in `part` and what the network says there, by the batch."""
        count, rows, columns = slices.shape
        wanted = range(count)[part]
        grey = normalise_slices(slices, self.card.normalisation, self._threads)
        shown = np.asarray(grey.any(axis=(1, 2)))
        places = [place for place, index in enumerate(wanted) if shown[index]]
        batch = self._runner.batch * max(1, self._large_px // (rows * columns))
        groups = [places[at : at + batch] for at in range(0, len(places), batch)]

        def shares(some: list[int]) -> NDArray[np.float32]:
            reach = self.card.context
            seen = [neighbours(shown, wanted[place], reach) for place in some]
            return self._shares(self._padded(grey, seen))[:, :, :rows, :columns]

        if len(groups) == 1:
            yield groups[0], shares(groups[0])
            return
        # What was found is used while the next is computed.
        with ThreadPoolExecutor(1) as ahead:
            coming = [ahead.submit(shares, some) for some in groups[:1]]
            for some, following in zip_longest(groups, groups[1:]):
                found = coming.pop().result()
                if following is not None:
                    coming.append(ahead.submit(shares, following))
                yield some, found

    def _padded(
        self, grey: NDArray[np.float32], seen: list[list[int]]
    ) -> NDArray[np.float32]:
        """Return slices amid their neighbours; edges go on to whole strides."""
        rows, columns = grey.shape[1:]
        wide = [
            -(-side // self.card.stride) * self.card.stride for side in (rows, columns)
        ]
        padded = np.empty((len(seen), len(seen[0]), *wide), np.float32)
        for one, chosen in zip(padded, seen, strict=True):
            for plane, index in zip(one, chosen, strict=True):
                plane[:rows, :columns] = grey[index]
        padded[:, :, rows:, :columns] = padded[:, :, rows - 1 : rows, :columns]
        padded[:, :, :, columns:] = padded[:, :, :, columns - 1 : columns]
        return padded

    def _shares(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return self._runner.run(seen)
        except DeviceFailed as failure:
            if self._spare is None:
                raise
            if failure.out_of_memory and len(seen) > 1:
                half = len(seen) // 2
                parts = [self._shares(seen[:half]), self._shares(seen[half:])]
                return np.concatenate(parts)
            self.leave_device(failure.text)
            return self._runner.run(seen)


def load_segmenter(
    name: str = "lumbar",
    *,
    threads: int = 2,
    device: str = "cpu",
    folder: Path | None = None,
) -> Segmenter:
    """Load a network after checking its graph and its weights against its card.

    Parameters
    ----------
    name
        Which network; the stem of its files.
    threads
        CPU threads, which share the slices.
    device
        `cuda` or `cuda:N` for a GPU, through torch; anything else is the CPU. Where
        there is no such GPU, or no torch, or it does not agree with the CPU on a
        picture, it is the CPU and `missed` says why.
    folder
        Where the files lie; by default, in this package.

    Raises
    ------
    AnalysisFailed
        If a file is missing or has not the digest that the card promises, or if
        OpenVINO cannot be had.
    """
    folder = folder or MODELS
    card = read_card(name, folder)
    graph = read_verified(folder / f"{name}.onnx", card.graph_sha256)
    weights = read_verified(folder / f"{name}.safetensors", card.weights_sha256)

    def on_cpu() -> CpuRunner:
        return cpu_runner(graph, weights, threads=threads)

    if not device.startswith("cuda"):
        return Segmenter(card, on_cpu(), threads=threads, large_px=_LARGE_PX)
    spare = Segmenter(card, on_cpu(), threads=threads, large_px=_LARGE_PX)
    try:
        runner = _on_gpu(weights, device)
        alone = Segmenter(card, runner, threads=threads)
        refuse_unlike(alone.probabilities, spare.probabilities)
    except DeviceFailed as failure:
        spare.missed = failure.text
        return spare
    return Segmenter(card, runner, on_cpu, threads=threads)


def _on_gpu(weights: bytes, device: str) -> Runner:
    """Load a network onto a GPU; `DeviceFailed` says why that cannot be."""
    try:
        from analysis.inference.torch_runner import TorchRunner, refuse_without_gpu
    except (ImportError, OSError) as error:  # not installed, or broken
        text = f"torch cannot be imported ({type(error).__name__})"
        raise DeviceFailed(text, out_of_memory=False) from error
    refuse_without_gpu(device)
    return TorchRunner(weights, device, half=True)
