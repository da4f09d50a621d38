"""Make hard discs of sound ones: thin, dark, oblique to their slices, beside metal.

Collapsed discs, scoliosis and implants are where outlines of discs fail, and few of
the patients that can be learnt from have them.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

_RIM_SHARE = 0.3
"""Width of a void's bright border against its radius, and by how much it is bright."""
_VOID_RADIUS_MM = (3.0, 9.0)
_VOID_GAP_MM = 2.0
"""Between a void and a disc, where the crop has room for both."""


def thinned(
    place_mm: Tensor, half_height_mm: float, turn_rad: float, share: float
) -> Tensor:
    """Return where to read a picture so that a disc has a share of its height.

    What lies above and below the disc moves towards it, and keeps its own shape.

    Parameters
    ----------
    place_mm : Tensor, shape (2, R, C)
        Rows and columns from the disc's middle.
    half_height_mm
        Of the disc as it is.
    turn_rad
        By how much it leans; see `DiscPlace`.
    share
        Of its height that is left (0..1].

    Returns
    -------
    Tensor, shape (2, R, C)
    """
    normal = torch.tensor([math.cos(turn_rad), math.sin(turn_rad)])[:, None, None]
    across = (place_mm * normal).sum(dim=0)
    moved = half_height_mm * (1 - share)
    beyond = across + torch.sign(across) * moved
    inside = across.abs() <= half_height_mm * share
    read = torch.where(inside, across / share, beyond)
    return place_mm + (read - across) * normal


def leaning(pictures: Tensor, aside_px: tuple[int, int]) -> Tensor:
    """Move a slice's neighbours (3, R, C) apart, as a bent column moves through them.

    Parameters
    ----------
    aside_px
        Rows and columns from one slice to the next.
    """
    first, here, last = pictures
    rows, columns = aside_px
    back = torch.roll(first, (-rows, -columns), dims=(0, 1))
    return torch.stack([back, here, torch.roll(last, (rows, columns), dims=(0, 1))])


def darkened(disc: Tensor, share: float) -> Tensor:
    """Return the gain (R, C) that leaves a disc a share of its grey values.

    Parameters
    ----------
    disc : Tensor, shape (R, C)
        1 within the disc and 0 without, with a soft border.
    share
        Of its grey values.
    """
    return 1 - (1 - share) * disc


def void(
    size: tuple[int, int],
    spacing_mm: float,
    half_height_mm: float,
    generator: Generator,
) -> Tensor:
    """Draw the gain (R, C) of a void with a bright border beside a level disc."""

    def one(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    rows, columns = size
    radius_mm = one(*_VOID_RADIUS_MM)
    furthest_mm = rows / 2 * spacing_mm
    nearest_mm = min(half_height_mm + radius_mm + _VOID_GAP_MM, furthest_mm)
    side = 1.0 if one(0, 1) < 0.5 else -1.0  # noqa: PLR2004 - a coin
    down = side * one(nearest_mm, furthest_mm)
    across = one(-0.5, 0.5) * columns * spacing_mm
    stretch = one(1.0, 2.0)
    row_mm = (torch.arange(rows) - (rows - 1) / 2) * spacing_mm - down
    column_mm = (torch.arange(columns) - (columns - 1) / 2) * spacing_mm - across
    away = torch.hypot(row_mm[:, None], column_mm[None] / stretch) / radius_mm
    dark = 1 / (1 + torch.exp((away - 1) / 0.06))
    rim = torch.exp(-0.5 * ((away - 1 - _RIM_SHARE) / _RIM_SHARE) ** 2)
    return (1 - dark) * (1 + _RIM_SHARE * rim)
