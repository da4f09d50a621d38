"""One stage of a Swin transformer: attention in windows, straight and shifted.

References
----------
.. [1] Liu Z et al. Swin Transformer: hierarchical vision transformer using shifted
   windows. ICCV 2021:10012-10022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

WINDOW = 8
_HEADS, _HEAD_WIDTH = 3, 32
_SHIFT = WINDOW // 2


class SwinStage(nn.Module):
    """A linear map to `width` channels, then a regular and a shifted block.

    Rows and columns must be multiples of the window.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.blocks = nn.ModuleList([_Block(width, 0), _Block(width, _SHIFT)])

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, channels, R, C) to (N, width, R, C)."""
        tokens = self.embed(features.permute(0, 2, 3, 1))
        for block in self.blocks:
            tokens = block(tokens)
        pictures: Tensor = tokens.permute(0, 3, 1, 2)
        return pictures


class _Block(nn.Module):
    def __init__(self, width: int, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.attend = _WindowAttention(width)
        self.before = nn.LayerNorm(width)
        self.mix = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        mask = _shift_mask(tokens.shape[1], tokens.shape[2], self.shift).to(tokens)
        shifted = self.before(tokens).roll((-self.shift, -self.shift), (1, 2))
        found = self.attend(shifted, mask).roll((self.shift, self.shift), (1, 2))
        tokens = tokens + found
        mixed: Tensor = tokens + self.mix(tokens)
        return mixed


class _WindowAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        inner = _HEADS * _HEAD_WIDTH
        self.ask = nn.Linear(width, 3 * inner, bias=False)
        self.answer = nn.Linear(inner, width)
        self.place = nn.Parameter(torch.zeros(2 * WINDOW - 1, 2 * WINDOW - 1))
        spots = torch.cartesian_prod(torch.arange(WINDOW), torch.arange(WINDOW))
        apart = spots[:, None] - spots[None] + WINDOW - 1
        self.register_buffer("apart", apart, persistent=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Let the tokens (N, R, C, width) of each window look at one another."""
        count, rows, columns, _ = tokens.shape
        tall, wide = rows // WINDOW, columns // WINDOW
        asked = self.ask(tokens).view(count, tall, WINDOW, wide, WINDOW, 3, _HEADS, -1)
        # (3, N, windows, heads, tokens of a window, head width)
        asked = asked.permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(5, 6).flatten(2, 3)
        apart = self.get_buffer("apart")
        bias = self.place[apart[..., 0], apart[..., 1]] + mask[:, None]
        query, key, value = asked.unbind(0)
        found = scaled_dot_product_attention(query, key, value, attn_mask=bias)
        found = found.view(count, tall, wide, _HEADS, WINDOW, WINDOW, -1)
        found = found.permute(0, 1, 4, 2, 5, 3, 6).reshape(count, rows, columns, -1)
        answer: Tensor = self.answer(found)
        return answer


def _shift_mask(rows: int, columns: int, shift: int) -> Tensor:
    """Forbid tokens that only the roll made neighbours: (windows, tokens, tokens)."""
    zones = []
    for size in (rows, columns):
        place = torch.arange(size)
        zones.append((place >= size - WINDOW).int() + (place >= size - shift).int())
    if shift == 0:
        zones = [torch.zeros_like(zone) for zone in zones]
    zone = zones[0][:, None] * 3 + zones[1]
    tiles = zone.view(rows // WINDOW, WINDOW, columns // WINDOW, WINDOW)
    flat = tiles.permute(0, 2, 1, 3).reshape(-1, WINDOW * WINDOW)
    other = flat[:, None, :] != flat[:, :, None]
    return torch.zeros(other.shape).masked_fill(other, float("-inf"))
