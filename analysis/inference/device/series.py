"""One series on a device, from its voxels to its tissues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from analysis.inference.device.by_shape import ByShape
from analysis.inference.device.mixing import carried, in_steps, likeliest, mixed
from analysis.inference.device.sampling import read, smoothed
from analysis.inference.device.scaling import neighbours, normalised
from analysis.inference.model_card import ModelCard
from analysis.inference.places import Crop, Mixing, Sampling
from analysis.inference.torch_runner import device_failure

_BATCH_PX = 8 * 512 * 512
"""About 1 GB of features in half precision."""
_WHOLE = 32
"""Crops are computed in multiples of it, or each series would have shapes of its own,
and each shape a graph."""

Use = Callable[[slice, torch.Tensor], None]
"""Takes places and the probabilities there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnDevice:
    """A network on its device.

    Parameters
    ----------
    card
        What it is.
    network
        Maps slices amid their neighbours (N, channels, R, C) to probabilities.
    """

    card: ModelCard
    network: ByShape


class DeviceSeries:
    """One series: uploaded once; its tissues come down, and nothing in between.

    All is queued in one stream, in the order of the calls, and nobody waits but for
    what comes down. A device that is full is asked for half as many slices, down to
    one.

    Parameters
    ----------
    voxels : ndarray, shape (K, R, C), float32
        All finite.
    device
        Where the networks are.
    tissue, disc
        The network of whole slices, and that of crops.
    steps
        What probability 1 becomes.

    Raises
    ------
    DeviceFailed
        Here and from each method, if the device gave out.
    """

    def __init__(
        self,
        voxels: NDArray[np.float32],
        device: torch.device,
        networks: tuple[OnDevice, OnDevice],
        steps: int,
    ) -> None:
        self._device = device
        self._tissue_network, self._disc_network = networks
        self._steps = steps
        with self._at_work():
            self._voxels = self._up(voxels)
            self._lowest = self._voxels.amin(dim=(1, 2))

    def look_first(self, sampling: Sampling) -> None:
        """Find the tissues of whole slices."""
        network = self._tissue_network
        count, shape = len(sampling.sources), sampling.shape
        with self._at_work():
            pictures = self._sampled([sampling])
            every = torch.arange(count, device=self._device)
            runs = (torch.zeros_like(every), torch.full_like(every, count - 1))
            classes = len(network.card.classes)
            self._planes = torch.empty(
                (count, classes, *shape), dtype=torch.uint8, device=self._device
            )

            def use(places: slice, shares: torch.Tensor) -> None:
                self._planes[places] = in_steps(shares, self._steps)

            most = max(1, _BATCH_PX // (shape[0] * shape[1]))
            size = -(-count // -(-count // most))
            self._label(network, pictures, runs, (every, size), use)
            self._tissue = likeliest(self._planes)

    def look_again(self, crops: Sequence[Crop], rule: Mixing) -> None:
        """Outline structures anew, each in its crop, and mix both looks."""
        if not crops:
            return
        seen = [crop.seen for crop in crops]
        starts = np.cumsum([0, *(len(one.sources) for one in seen)]).tolist()
        first: list[int] = []
        last: list[int] = []
        wanted: list[int] = []
        for crop, start, stop in zip(crops, starts, starts[1:], strict=False):
            first += [start] * (stop - start)
            last += [stop - 1] * (stop - start)
            wanted += range(start, stop)[crop.part]
        with self._at_work():
            runs = (self._numbers(first), self._numbers(last))
            shape = (len(wanted), *seen[0].shape)
            shares = torch.empty(shape, device=self._device)

            def use(places: slice, found: torch.Tensor) -> None:
                shares[places] = found[:, 1]

            size = -(-len(wanted) // _WHOLE) * _WHOLE
            size = min(size, max(1, _BATCH_PX // (shape[1] * shape[2])))
            pictures = self._sampled(seen)
            self._label(
                self._disc_network, pictures, runs, (self._numbers(wanted), size), use
            )
            again = carried(crops, shares, len(self._tissue), rule.rim_px)
            block, rows, columns = again.block
            planes = self._planes[block, :, rows, columns]
            tissue = self._tissue[again.block]
            anew = mixed(planes, tissue, again, rule, self._steps)
            self._planes[block, :, rows, columns], self._tissue[again.block] = anew

    def mix_slices(self, weights: NDArray[np.float64]) -> None:
        """Replace each slice of the probabilities by a mean of slices.

        Parameters
        ----------
        weights : ndarray, shape (K, K)
            One row for each slice, of sum 1.
        """
        with self._at_work():
            mean = torch.as_tensor(weights, dtype=torch.float32, device=self._device)
            for channel in self._planes.unbind(1):
                smooth = mean @ channel.flatten(1).float()
                channel.copy_(smooth.round_().view(channel.shape))

    def tissue(self) -> NDArray[np.uint8]:
        """Bring down the likeliest class of each pixel (K, R, C)."""
        with self._at_work():
            return self._down(self._tissue)

    def probability(self) -> NDArray[np.uint8]:
        """Bring down the probabilities (K, N, R, C), in steps."""
        with self._at_work():
            return self._down(self._planes)

    def _sampled(self, grids: Sequence[Sampling]) -> torch.Tensor:
        """Sample the slices of all grids (M, R, C), which have one shape and filter."""
        voxels = smoothed(self._voxels, grids[0].taps)
        sources = self._numbers([source for one in grids for source in one.sources])
        counts = [len(one.sources) for one in grids]
        if len(grids) == 1:
            counts = [1]
        maps = (
            np.repeat(np.stack([one.matrix for one in grids]), counts, axis=0),
            np.repeat(np.stack([one.offset for one in grids]), counts, axis=0),
        )
        matrix, offset = (torch.as_tensor(part, device=self._device) for part in maps)
        lowest = self._lowest[sources]
        return read(voxels, sources, (matrix, offset), grids[0].shape, lowest)

    def _label(
        self,
        on: OnDevice,
        pictures: torch.Tensor,
        runs: tuple[torch.Tensor, torch.Tensor],
        wanted: tuple[torch.Tensor, int],
        use: Use,
    ) -> None:
        """Run a network on wanted pictures, so many at once."""
        places, size = wanted
        rows, columns = pictures.shape[1:]
        grey = normalised(pictures, on.card.normalisation)
        shown = grey.flatten(1).any(dim=1)
        chosen = neighbours(shown, runs, on.card.context)[places]
        is_shown = shown[places][:, None, None, None]
        nothing = torch.zeros((1, len(on.card.classes), 1, 1), device=self._device)
        nothing[:, 0] = 1.0
        wide = [-side % on.card.stride for side in (rows, columns)]
        grey = pad(grey[None], (0, wide[1], 0, wide[0]), mode="replicate")[0]
        start = 0
        while start < len(places):
            part = slice(start, min(start + size, len(places)))
            # Always as many as the batch, for a graph has one shape.
            batch = torch.arange(start, start + size, device=self._device)
            seen = grey[chosen[batch.clamp_(max=len(places) - 1)]]
            try:
                found = on.network(seen.contiguous(memory_format=torch.channels_last))
                found = found[: part.stop - start, :, :rows, :columns]
                use(part, torch.where(is_shown[part], found, nothing))
            except torch.OutOfMemoryError:
                on.network.forget()
                if size == 1:
                    raise
                size //= 2
            else:
                start = part.stop

    def _numbers(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.int64, device=self._device)

    def _up(self, voxels: NDArray[np.float32]) -> torch.Tensor:
        """Bring voxels onto a device, which reads pinned memory by itself."""
        pinned = self._device.type == "cuda"
        host = torch.empty(voxels.shape, dtype=torch.float32, pin_memory=pinned)
        host.numpy()[...] = voxels
        return host.to(self._device, non_blocking=True)

    def _down(self, there: torch.Tensor) -> NDArray[np.uint8]:
        pinned = self._device.type == "cuda"
        host = torch.empty(there.shape, dtype=there.dtype, pin_memory=pinned)
        host.copy_(there, non_blocking=pinned)
        if pinned:
            torch.cuda.current_stream().synchronize()
        found: NDArray[np.uint8] = host.numpy()
        return found

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        is_gpu = self._device.type == "cuda"
        gpu = torch.cuda.device(self._device) if is_gpu else nullcontext()
        with torch.inference_mode(), gpu:
            try:
                yield
            except RuntimeError as error:  # of which torch's own errors are kinds
                raise device_failure(error) from error
