"""Both networks and all that lies between them, on one device."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from analysis.inference.device.by_shape import ByShape
from analysis.inference.device.series import DeviceSeries, OnDevice
from analysis.inference.engine import Segmenter
from analysis.inference.torch_runner import TorchRunner


class Chain:
    """Takes series onto the device of two networks, until one of them leaves it.

    Parameters
    ----------
    tissue, disc
        The network of whole slices, and that of crops.
    """

    def __init__(self, tissue: Segmenter, disc: Segmenter) -> None:
        self._both = (tissue, disc)
        self._networks = (_on_device(tissue), _on_device(disc))
        self._device = _runner_of(tissue).device

    @property
    def missed(self) -> str:
        """Why the device is not used any more; empty where it is."""
        return next((one.missed for one in self._both if one.missed), "")

    def series(self, voxels: NDArray[np.float32], steps: int) -> DeviceSeries:
        """Bring a series onto the device.

        Parameters
        ----------
        voxels : ndarray, shape (K, R, C)
            All finite.
        steps
            What probability 1 becomes; at most 255.

        Raises
        ------
        DeviceFailed
            If the device gave out.
        """
        return DeviceSeries(voxels, self._device, self._networks, steps)

    def leave(self, why: str) -> None:
        """Leave the device for the CPU, for good."""
        for on in self._networks:
            # A device that is gone takes nothing back.
            with suppress(RuntimeError):
                on.network.forget()
        for segmenter in self._both:
            segmenter.leave_device(why)


def chain_of(tissue: Segmenter, disc: Segmenter) -> Chain | None:
    """Return the chain of two networks; None where one is not in torch."""
    both = (tissue.runner, disc.runner)
    if not all(isinstance(runner, TorchRunner) for runner in both):
        return None
    return Chain(tissue, disc)


def _on_device(segmenter: Segmenter) -> OnDevice:
    runner = _runner_of(segmenter)
    is_gpu = runner.device.type == "cuda"
    return OnDevice(card=segmenter.card, network=ByShape(runner.shares, is_gpu=is_gpu))


def _runner_of(segmenter: Segmenter) -> TorchRunner:
    if not isinstance(segmenter.runner, TorchRunner):
        message = f"network {segmenter.card.name} is not in torch"
        raise TypeError(message)
    return segmenter.runner
