"""What the science computes on, where that is not what was asked for."""

from __future__ import annotations


def missed_device(device: str, why: str) -> str:
    """Say that a device was asked for and is not used; empty if `why` is.

    A node that was told to use a GPU and has none goes on with the CPU: late results
    are better than a worker that dies of its settings.

    Parameters
    ----------
    device
        `work.device` of the settings.
    why
        What the analysis says, from `Analysis.prepare`.
    """
    return why and f"work.device is {device}, but {why}: it computes on the CPU"
