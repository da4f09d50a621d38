"""What runs a network: torch, on a GPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from analysis.inference.runner import DeviceFailed
from analysis.inference.unet import UNet

_BATCH = 8
"""Slices of 512 x 512 pixels: about 1 GB of features in half precision."""


class TorchRunner:
    """The network in torch, convolutions in half precision where there is a GPU.

    Half precision (fp16) and not bfloat16: its three more bits keep the probabilities
    within 0.003 of full precision (four slices of SPIDER 152; bfloat16: 0.024).

    Parameters
    ----------
    weights
        Verified content of its safetensors file.
    device
        `cuda`, `cuda:N`, or `cpu` to compare with.
    half
        Whether convolutions run in half precision.

    Raises
    ------
    DeviceFailed
        If the weights do not get onto the device.
    """

    batch = _BATCH

    def __init__(self, weights: bytes, device: str, *, half: bool) -> None:
        self.device = torch.device(device)
        self._half = half
        self.runtime = f"torch{torch.__version__}.{'fp16' if half else 'fp32'}"
        network = UNet.of_weights(load(weights))
        try:
            self._network = network.to(self.device)
            self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stub
        except RuntimeError as error:
            raise device_failure(error) from error

    def run(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run all slices at once."""
        try:
            with torch.inference_mode():
                there = torch.from_numpy(seen).to(self.device)
                there = there.contiguous(memory_format=torch.channels_last)
                found: NDArray[np.float32] = self.shares(there).cpu().numpy()
        except RuntimeError as error:  # of which torch's own errors are kinds
            raise device_failure(error) from error
        return found

    def shares(self, seen: torch.Tensor) -> torch.Tensor:
        """Run slices that lie on the device, in inference mode.

        Parameters
        ----------
        seen : tensor, shape (N, channels, R, C), float32
            As for `run`.

        Returns
        -------
        tensor, shape (N, classes, R, C), float32
            Probabilities, on the device.
        """
        # Weights in half precision are not kept, for a CUDA graph would keep them.
        half = torch.autocast(
            self.device.type,
            dtype=torch.float16,
            enabled=self._half,
            cache_enabled=False,
        )
        # The same slices give the same bits again, as on the CPU.
        steady = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True
        )
        with half, steady:
            logits = self._network(seen)
            return torch.softmax(logits.float(), dim=1).contiguous()


def refuse_without_gpu(device: str) -> None:
    """Check that torch can compute on a GPU.

    Raises
    ------
    DeviceFailed
        If there is none, or none of that number.
    """
    if not torch.cuda.is_available():
        text = "torch finds no GPU"
        raise DeviceFailed(text, out_of_memory=False)
    count = torch.cuda.device_count()
    if (torch.device(device).index or 0) >= count:
        text = f"torch finds {count} GPUs, numbered from 0"
        raise DeviceFailed(text, out_of_memory=False)


def device_failure(error: RuntimeError) -> DeviceFailed:
    """Return what an error of torch says of its device."""
    full = isinstance(error, torch.OutOfMemoryError)
    text = "its memory gave out" if full else str(error).partition("\n")[0]
    return DeviceFailed(text, out_of_memory=full)
