"""BianqueNet, written anew from its description, to be trained for comparison.

No code and no weights of the authors are used. What is stated of its modules: the taps
and widths of the encoder, the shapes after each concatenation, and the parts below.

References
----------
.. [1] Zheng HD et al. Deep learning-based high-accuracy quantitation for lumbar
   intervertebral disc degeneration from MRI. Nat Commun 2022;13:841.
.. [2] He K et al. Deep residual learning for image recognition. CVPR 2016.
.. [3] Zhao H et al. Pyramid scene parsing network. CVPR 2017.
.. [4] Chen LC et al. Rethinking atrous convolution. arXiv:1706.05587.
.. [5] Liu Z et al. Swin Transformer. ICCV 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from analysis.inference.unet import SliceNetwork
from analysis.training.swin import SwinStage

_DEPTHS = (3, 4, 23, 3)  # of ResNet-101
_DEEP = 2048
_PYRAMID = (1, 2, 3, 6)
_RATES = (6, 12, 18)
_FUSED = 256
_SKIPS = (512, 256, 64)  # channels of the taps, deep ones first
_SKIP_SHARE = 16


def _convolve(
    before: int, after: int, size: int = 3, *, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _resized(features: Tensor, like: Tensor) -> Tensor:
    return interpolate(
        features, size=like.shape[2:], mode="bilinear", align_corners=False
    )


class Bottleneck(nn.Module):
    """Residual block of ResNet-101: 1x1, 3x3, 1x1, four times as wide at the end."""

    def __init__(
        self, before: int, width: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        after = 4 * width
        self.body = nn.Sequential(
            _convolve(before, width, 1),
            _convolve(width, width, stride=stride, dilation=dilation),
            nn.Conv2d(width, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.short: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.short = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Add what the block finds to what it was given."""
        return torch.relu(self.body(features) + self.short(features))


class Encoder(nn.Module):
    """ResNet-101 whose last stage is dilated, so that it ends at 1/16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolve(3, 64, 7, stride=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages, before = [], 64
        for index, depth in enumerate(_DEPTHS):
            width = 64 * 2**index
            stride = 2 if index in {1, 2} else 1
            dilation = 2 if index == len(_DEPTHS) - 1 else 1
            blocks = [Bottleneck(before, width, stride=stride, dilation=dilation)]
            before = 4 * width
            blocks += [
                Bottleneck(before, width, dilation=dilation) for _ in range(depth - 1)
            ]
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, slices: Tensor) -> list[Tensor]:
        """Return the taps at 1/2, 1/4, 1/8, and the deep features at 1/16."""
        stem = self.stem(slices)
        taps, features = [stem], self.pool(stem)
        for stage in self.stages:
            features = stage(features)
            taps.append(features)
        first, second, third, _, deep = taps
        return [first, second, third, deep]


class DeepFeatures(nn.Module):
    """DFE: a pooling pyramid, then convolutions with holes of three sizes."""

    def __init__(self) -> None:
        super().__init__()
        width = _DEEP // len(_PYRAMID)
        self.pyramid = nn.ModuleList(_convolve(_DEEP, width, 1) for _ in _PYRAMID)
        self.branches = nn.ModuleList(
            [
                _convolve(2 * _DEEP, _FUSED, 1),
                *(_convolve(2 * _DEEP, _FUSED, dilation=rate) for rate in _RATES),
            ]
        )
        self.whole = nn.Sequential(
            nn.Conv2d(2 * _DEEP, _FUSED, 1), nn.ReLU(inplace=True)
        )
        self.project = nn.Sequential(
            _convolve((len(_RATES) + 2) * _FUSED, _FUSED, 1), nn.Dropout(0.1)
        )

    def forward(self, deep: Tensor) -> Tensor:
        """Map 2048 channels to 256 at the same size."""
        pooled = [
            _resized(layer(adaptive_avg_pool2d(deep, size)), deep)
            for layer, size in zip(self.pyramid, _PYRAMID, strict=True)
        ]
        features = torch.cat([deep, *pooled], dim=1)
        found = [branch(features) for branch in self.branches]
        whole = self.whole(adaptive_avg_pool2d(features, 1))
        found.append(_resized(whole, deep))
        mixed: Tensor = self.project(torch.cat(found, dim=1))
        return mixed


class SwinSkip(nn.Module):
    """ST-SC: a 1x1 convolution beside one Swin stage, both a sixteenth as wide."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // _SKIP_SHARE
        self.plain = _convolve(channels, width, 1)
        self.swin = SwinStage(channels, width)

    def forward(self, tap: Tensor) -> Tensor:
        """Map C channels to C / 8."""
        return torch.cat([self.plain(tap), self.swin(tap)], dim=1)


class BianqueNet(SliceNetwork):
    """ResNet-101, deep feature extraction, Swin skips, multi-scale fusion.

    Parameters
    ----------
    classes
        Number of classes, the background included.
    channels
        Slices that are seen at once; one is shown to all three colours.
    """

    stride = 64  # windows of 8 at 1/8

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.colours = nn.Identity() if channels == 3 else _ThreeTimes()  # noqa: PLR2004
        self.encoder = Encoder()
        self.deep = DeepFeatures()
        self.skips = nn.ModuleList(SwinSkip(channels) for channels in _SKIPS)
        widths = [_FUSED]
        for skip in _SKIPS:
            widths.append(widths[-1] + 2 * (skip // _SKIP_SHARE))
        self.scales = nn.ModuleList(_convolve(width, width) for width in widths)
        self.fuse = nn.Sequential(
            _convolve(sum(widths), _FUSED), nn.Conv2d(_FUSED, classes, 1)
        )

    def forward(self, slices: Tensor) -> Tensor:
        """Map slices (N, channels, R, C) to logits (N, classes, R, C)."""
        *taps, deep = self.encoder(self.colours(slices))
        features = [self.deep(deep)]
        for skip, tap in zip(self.skips, reversed(taps), strict=True):
            shown = skip(tap)
            features.append(torch.cat([_resized(features[-1], shown), shown], dim=1))
        finest = features[-1]
        scaled = [
            _resized(scale(each), finest)
            for scale, each in zip(self.scales, features, strict=True)
        ]
        return _resized(self.fuse(torch.cat(scaled, dim=1)), slices)


class _ThreeTimes(nn.Module):
    def forward(self, slices: Tensor) -> Tensor:
        return slices.expand(-1, 3, -1, -1)
