"""One network that draws as each of several readers does, told which.

The picture says where a disc lies and how it looks; how much of the dark end plates
belongs to it is the reader's habit. So all that looks at the picture is shared, and a
reader's style is a gain and an offset of every channel behind each normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from analysis.inference.unet import SliceNetwork, UNet
from analysis.training.settings import Settings, SourceSettings


class StyledNorm(nn.BatchNorm2d):
    """Batch normalisation with a gain and an offset for each style.

    Both begin at nothing, so that a network with weights of one that knows no styles
    answers as that one does, in every style.

    Parameters
    ----------
    channels
        Of the features.
    styles
        How many there are.
    """

    told: Tensor

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__(channels)
        self.gain = nn.Parameter(torch.zeros(styles, channels))
        self.offset = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise features (N, channels, R, C) in the styles that were told."""
        gain, offset = (
            (self.told @ one)[:, :, None, None] for one in (self.gain, self.offset)
        )
        normal: Tensor = super().forward(features)
        return normal * (1 + gain) + offset


class StyledUNet(UNet):
    """A `UNet` that is told a style with each slice.

    Parameters
    ----------
    widths, classes, channels
        As of `UNet`.
    styles
        How many there are.

    References
    ----------
    .. [1] Dumoulin V, Shlens J, Kudlur M. A learned representation for artistic style.
       ICLR 2017 (conditional instance normalisation).
    """

    def __init__(
        self, widths: Sequence[int], classes: int, channels: int, styles: int
    ) -> None:
        super().__init__(widths, classes, channels)
        self._plain = tuple(widths), classes, channels
        self._norms: list[str] = []
        for name, module in list(self.named_modules()):
            if isinstance(module, nn.BatchNorm2d):
                self.set_submodule(name, StyledNorm(module.num_features, styles))
                self._norms.append(name)

    def forward(self, slices: Tensor) -> Tensor:
        """Map slices and their style to logits (N, classes, R, C).

        Parameters
        ----------
        slices : Tensor, shape (N, channels + styles, R, C)
            Behind the pictures a plane for each style, as `with_style` adds them.
        """
        channels = self._plain[2]
        for norm in self._styled():
            norm.told = slices[:, channels:, 0, 0]
        return super().forward(slices[:, :channels])

    def in_style(self, style: int) -> UNet:
        """Return the network without styles that answers as this one does in one."""
        plain = UNet(*self._plain)
        own = self.state_dict()
        plain.load_state_dict({name: own[name] for name in plain.state_dict()})
        with torch.no_grad():
            for name, norm in zip(self._norms, self._styled(), strict=True):
                alike = plain.get_submodule(name)
                gain = 1 + norm.gain[style]
                alike.get_parameter("weight").mul_(gain)
                alike.get_parameter("bias").mul_(gain).add_(norm.offset[style])
        return plain.eval()

    def _styled(self) -> list[StyledNorm]:
        return [one for one in self.modules() if isinstance(one, StyledNorm)]


def with_style(pictures: Tensor, styles: Sequence[int], count: int) -> Tensor:
    """Add a plane for each style behind the pictures: ones for theirs, else zeros.

    Parameters
    ----------
    pictures : Tensor, shape (N, channels, R, C)
    styles
        Of each of N.
    count
        How many styles there are; 0 for a network that is told none.
    """
    if count == 0:
        return pictures
    told = torch.nn.functional.one_hot(torch.tensor(styles), count)
    planes = told.to(pictures)[:, :, None, None].expand(-1, -1, *pictures.shape[2:])
    return torch.cat([pictures, planes], dim=1)


def styles_of(settings: Settings) -> dict[str, int]:
    """Return for each source, by its folder, the number of its own readers' style.

    Where a folder is a source twice, drawn by its readers and seen by a network, its
    readers' entry comes first and counts.
    """
    styles: dict[str, int] = {}
    for source in settings.sources:
        styles.setdefault(source.folder, style_number(source, settings))
    return styles


def style_number(source: SourceSettings, settings: Settings) -> int:
    """Return the number of a source's style; 0 for a network that is told none."""
    names = settings.styles
    return names.index(source.style) if names else 0


def drawn_as(network: SliceNetwork, settings: Settings, style: str) -> UNet:
    """Return a styled network as an ordinary one that draws in one style.

    Raises
    ------
    ValueError
        If the network knows no styles, or not this one.
    """
    if not isinstance(network, StyledUNet) or style not in settings.styles:
        known = ", ".join(settings.styles) or "no styles"
        message = f"{settings.name}: knows {known}, not {style!r}"
        raise ValueError(message)
    return network.in_style(settings.styles.index(style))
