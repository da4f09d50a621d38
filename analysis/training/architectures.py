"""The networks that can be trained side by side, by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import pad

from analysis.inference.unet import SliceNetwork, UNet
from analysis.training.bianquenet import BianqueNet
from analysis.training.plain_unet import PlainUNet
from analysis.training.settings import STYLED, Settings
from analysis.training.styles import StyledUNet


def build_network(settings: Settings) -> SliceNetwork:
    """Make the network that the settings name, with random weights.

    Raises
    ------
    ValueError
        If the architecture is unknown.
    """
    name = settings.network.architecture
    if name not in ARCHITECTURES:
        message = f"unknown architecture {name!r}; known: {sorted(ARCHITECTURES)}"
        raise ValueError(message)
    channels = 2 * settings.network.context + 1
    return ARCHITECTURES[name](settings, channels, len(settings.classes))


def logits_of(network: SliceNetwork, grey: Tensor) -> Tensor:
    """Return the logits of crops of any size: edges are repeated up to the stride.

    Parameters
    ----------
    grey : Tensor, shape (N, channels, R, C)

    Returns
    -------
    Tensor, shape (N, classes, R, C)
    """
    rows, columns = grey.shape[2:]
    beyond = (0, -columns % network.stride, 0, -rows % network.stride)
    padded = pad(grey, beyond, mode="replicate") if any(beyond) else grey
    logits: Tensor = network(padded)
    return logits[:, :, :rows, :columns]


def _compact(settings: Settings, channels: int, classes: int) -> SliceNetwork:
    return UNet(settings.network.widths, classes, channels)


def _styled(settings: Settings, channels: int, classes: int) -> SliceNetwork:
    widths, styles = settings.network.widths, len(settings.styles)
    return StyledUNet(widths, classes, channels, styles)


def _plain(settings: Settings, channels: int, classes: int) -> SliceNetwork:
    return PlainUNet(settings.network.widths, classes, channels)


def _bianquenet(_: Settings, channels: int, classes: int) -> SliceNetwork:
    return BianqueNet(classes, channels)


ARCHITECTURES: dict[str, Callable[[Settings, int, int], SliceNetwork]] = {
    "compact": _compact,
    STYLED: _styled,
    "unet": _plain,
    "bianquenet": _bianquenet,
}
