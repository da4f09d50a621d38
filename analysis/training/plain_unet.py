"""The plain U-Net, as in 2015, to be trained for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from analysis.inference.unet import SliceNetwork


def _twice(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class PlainUNet(SliceNetwork):
    """Two convolutions a level, max pooling, transposed convolutions, joined skips.

    Batch norm and padding, which the first paper lacks, are what later users of the
    name mean by it.

    Parameters
    ----------
    widths
        Channels at each resolution, full resolution first.
    classes
        Number of classes, the background included.
    channels
        Slices that are seen at once.

    References
    ----------
    .. [1] Ronneberger O, Fischer P, Brox T. MICCAI 2015, LNCS 9351:234-241.
    .. [2] Ding et al. Chin J Clin Res 2024;37(5):709: discs by a U-Net.
    """

    def __init__(self, widths: Sequence[int], classes: int, channels: int) -> None:
        super().__init__()
        self.stride = int(2 ** (len(widths) - 1))
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(
            _twice(before, after) for before, after in pairwise((channels, *widths))
        )
        ascent = list(pairwise(reversed(widths)))
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(below, here, 2, 2) for below, here in ascent
        )
        self.up = nn.ModuleList(_twice(2 * here, here) for _, here in ascent)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, slices: Tensor) -> Tensor:
        """Map slices (N, channels, R, C) to logits (N, classes, R, C)."""
        skips: list[Tensor] = []
        features = slices
        for level, block in enumerate(self.down):
            features = block(self.pool(features) if level else features)
            skips.append(features)
        skips.pop()
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            features = block(torch.cat([skips.pop(), enlarge(features)], dim=1))
        logits: Tensor = self.head(features)
        return logits
