"""What the science computes on, and whether that is what was asked for."""

from __future__ import annotations


def warning_about(device: str) -> str:
    """Return what is asked for and not had; empty if nothing is.

    A node that was told to use a GPU and has none goes on with the CPU: late results
    are better than a worker that dies of its settings.

    Parameters
    ----------
    device
        `work.device` of the settings: `auto`, `cpu`, `cuda` or `cuda:N`.
    """
    if not device.startswith("cuda"):
        return ""
    return f"work.device is {device}, but this version computes on the CPU"
