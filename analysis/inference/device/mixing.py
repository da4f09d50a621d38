"""A second look carried back and mixed into the first, and the likeliest class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from analysis.inference.device.sampling import read
from analysis.inference.places import Crop, Mixing

_UNSEEN = -1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Again:
    """What second looks show in one block of the first look's grid.

    Parameters
    ----------
    block
        Slices, rows and columns.
    total : tensor, shape of the block, float32
        Sum of the probabilities.
    looks : tensor, shape of the block, uint8
        Number of looks.
    """

    block: tuple[slice, slice, slice]
    total: torch.Tensor
    looks: torch.Tensor


def carried(
    crops: Sequence[Crop], shares: torch.Tensor, slices: int, rim_px: int
) -> Again:
    """Carry what crops show to the grid of the first look.

    Parameters
    ----------
    crops
        At least one.
    shares : tensor, shape (M, R', C')
        Probability in the labelled slices of all crops, one after the other.
    slices
        Of the first look's grid; what lies beyond is left out.
    rim_px
        Of a crop that is left out.
    """
    shown = shares[:, rim_px:-rim_px, rim_px:-rim_px].contiguous()
    counts = [_labelled(crop) for crop in crops]
    last = max(crop.first + count for crop, count in zip(crops, counts, strict=True))
    block = (
        slice(min(crop.first for crop in crops), min(last, slices)),
        _hull([crop.window[0] for crop in crops]),
        _hull([crop.window[1] for crop in crops]),
    )
    sides = tuple(side.stop - side.start for side in block)
    total = torch.zeros(sides, device=shares.device)
    looks = torch.zeros(sides, device=shares.device, dtype=torch.uint8)
    start = 0
    for crop, count in zip(crops, counts, strict=True):
        within = min(count, slices - crop.first)
        there = torch.arange(start, start + within, device=shares.device)
        start += count
        matrix, offset = (
            torch.as_tensor(part, device=shares.device)[None]
            for part in (crop.matrix, crop.offset)
        )
        shape = tuple(side.stop - side.start for side in crop.window)
        outside = torch.full((within,), _UNSEEN, device=shares.device)
        here = read(shown, there, (matrix, offset), (shape[0], shape[1]), outside)
        is_seen = here >= 0
        place = (
            slice(crop.first - block[0].start, crop.first - block[0].start + within),
            *(
                slice(side.start - whole.start, side.stop - whole.start)
                for side, whole in zip(crop.window, block[1:], strict=True)
            ),
        )
        total[place] += torch.where(is_seen, here, 0.0)
        looks[place] += is_seen
    return Again(block=block, total=total, looks=looks)


def mixed(
    first: torch.Tensor, tissue: torch.Tensor, again: Again, rule: Mixing, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix second looks into a block of the first.

    Parameters
    ----------
    first : tensor, shape (K, N, R, C), uint8
        Probabilities in steps.
    tissue : tensor, shape (K, R, C), uint8
        The likeliest classes.
    again
        Of the same block.
    rule
        How.
    steps
        What probability 1 is.

    Returns
    -------
    tuple
        Both, anew where there was a second look. What the first look took for the
        outlined class stays so.
    """
    is_seen = again.looks > 0
    before = first.float() / steps
    second = again.total / again.looks.clamp(min=1)
    outlined = (1 - rule.weight) * before[:, rule.outlined] + rule.weight * second
    others = 1 - before[:, rule.outlined]
    can_share = others > 1 / (2 * steps)
    share = torch.where(
        can_share, (1 - outlined) / torch.where(can_share, others, 1), 0
    )
    after = before * share[:, None]
    after[:, rule.outlined] = outlined
    after[:, rule.rest] += torch.where(share == 0, 1 - outlined, 0)
    planes = in_steps(after, steps)
    stays = tissue == rule.outlined
    kinds = torch.where(stays, tissue, likeliest(planes))
    return (
        torch.where(is_seen[:, None], planes, first),
        torch.where(is_seen, kinds, tissue),
    )


def in_steps(shares: torch.Tensor, steps: int) -> torch.Tensor:
    """Round probabilities to steps, as uint8."""
    return (shares * steps).round_().to(torch.uint8)


def likeliest(planes: torch.Tensor) -> torch.Tensor:
    """Return the first of the greatest of the planes (K, N, R, C), as uint8."""
    most, tissue = planes[:, 0], torch.zeros_like(planes[:, 0])
    for number in range(1, planes.shape[1]):
        tissue = torch.where(planes[:, number] > most, number, tissue)
        most = torch.maximum(most, planes[:, number])
    return tissue.to(torch.uint8)


def _hull(sides: Sequence[slice]) -> slice:
    return slice(min(one.start for one in sides), max(one.stop for one in sides))


def _labelled(crop: Crop) -> int:
    return len(range(len(crop.seen.sources))[crop.part])
