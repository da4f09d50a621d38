"""Which device `work.device` stands for on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_SHOWN_BY = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
"""Of the drivers of NVIDIA, also under WSL, and AMD: looked at without torch, whose
import takes seconds and 200 MB."""


def chosen_device(device: str) -> str:
    """Return what `work.device` stands for on this machine.

    `auto` is a GPU where a driver shows one and torch is installed (`pip install
    lumbar-node[gpu]`), else the CPU. The analysis still goes on with the CPU where the
    GPU is full, gone, or does not give what the CPU gives.

    Parameters
    ----------
    device
        `work.device` of the settings.
    """
    if device != "auto":
        return device
    has_gpu = any(path.exists() for path in _SHOWN_BY)
    return "cuda" if has_gpu and find_spec("torch") is not None else "cpu"
