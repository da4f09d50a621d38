"""What runs the networks on this processor, and how precisely."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FULL, HALF = "fp32", "bf16"
_PACKAGE = "openvino"
_CPU_INFO = Path("/proc/cpuinfo")
_TILES = "amx_bf16"
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables of oneDNN, which computes the convolutions: they hide instructions."""
_UNLIMITED = {"", "DEFAULT", "ALL"}


def cpu_runtime(precision: str | None = None) -> str:
    """Return the runtime with its version and precision, as `openvino2026.4.1.bf16`.

    It is known before the runtime is imported, because it belongs to the version of an
    analysis: the same picture may give other numbers with another one.

    Parameters
    ----------
    precision
        `fp32` or `bf16`; by default, what this processor is given.
    """
    return f"{_PACKAGE}{_installed()}.{precision or cpu_precision()}"


def cpu_precision(cpu_info: Path = _CPU_INFO) -> str:
    """Return `bf16` where the processor has AMX, else `fp32`.

    AVX-512 has bf16, too, and gains no time by it.

    Parameters
    ----------
    cpu_info
        What the kernel says of the processors.
    """
    for name in _LIMITS:
        limit = os.environ.get(name, "").upper()
        if limit not in _UNLIMITED and "AMX" not in limit:
            return FULL
    try:
        lines = cpu_info.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return FULL
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return HALF if _TILES in next(flags, "").split() else FULL


@cache
def _installed() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:  # loading the networks reports it
        return ""
