"""Grey values scaled, and neighbours chosen, as `normalise.py` does."""

from __future__ import annotations

import math

import torch

from analysis.inference.normalise import Normalisation


def normalised(slices: torch.Tensor, rule: Normalisation) -> torch.Tensor:
    """Scale each slice (K, R, C) as `normalise_slices` does, to rounding.

    Sums are taken in double precision, so that their order has no say.
    """
    grey = torch.where(slices.isfinite(), slices, 0.0).flatten(1)
    grey = grey - grey.amin(1, keepdim=True).clamp(max=0.0)
    most = grey.amax(1, keepdim=True)
    high = _percentile(grey, rule.clip_percentile)
    flat = (high <= 0) | (most == grey.amin(1, keepdim=True))
    grey = torch.minimum(grey, high) / torch.where(flat, 1.0, high)
    tissue = grey > rule.tissue_fraction
    count = tissue.sum(1, keepdim=True).clamp(min=1)
    mean = (grey * tissue).sum(1, keepdim=True, dtype=torch.float64) / count
    away = grey - mean.float()
    square = (away * away * tissue).sum(1, keepdim=True, dtype=torch.float64) / count
    spread = square.sqrt().float()
    flat = flat | (spread <= torch.finfo(torch.float32).eps)
    scaled = torch.where(flat, 0.0, away / torch.where(flat, 1.0, spread))
    return scaled.view(slices.shape)


def neighbours(
    shown: torch.Tensor, runs: tuple[torch.Tensor, torch.Tensor], reach: int
) -> torch.Tensor:
    """Return which slices stand for each slice and its neighbours, in order.

    Parameters
    ----------
    shown : tensor, shape (M,)
        Whether a slice has contrast.
    runs : two tensors, shape (M,)
        The first and the last slice of the stack that each slice belongs to.
    reach
        Neighbours on either side.

    Returns
    -------
    tensor, shape (M, 2 * reach + 1)
    """
    first, last = runs
    index = torch.arange(len(shown), device=shown.device)
    chosen = [index]
    for side in (-1, 1):
        here = index
        for step in range(1, reach + 1):
            there = index + side * step
            is_one = (there >= first) & (there <= last)
            is_one &= shown[there.clamp(0, len(shown) - 1)]
            here = torch.where(is_one, there, here)
            chosen.append(here)
    return torch.stack(chosen, dim=1).sort(dim=1).values


def _percentile(values: torch.Tensor, percent: float) -> torch.Tensor:
    """Return the percentile of each row (K, N) as (K, 1)."""
    place = (values.shape[1] - 1) * (percent / 100)
    below = math.floor(place)
    above = min(below + 1, values.shape[1] - 1)
    low, high = (
        values.kthvalue(rank + 1, dim=1, keepdim=True).values for rank in (below, above)
    )
    return low + (high - low) * (place - below)
