"""The loss: it asks of a pixel only what its label really says."""

from __future__ import annotations

import torch
from torch import Tensor

_SMOOTH_PIXELS = 50.0  # keeps Dice of a class with few pixels in the batch calm


def unpack_allowed(bits: Tensor, classes: int) -> Tensor:
    """Spread bit sets into one boolean channel a class.

    Parameters
    ----------
    bits : Tensor, shape (N, R, C), integer
        Bit c is set where the pixel may belong to class c.
    classes
        Number of classes.

    Returns
    -------
    Tensor, shape (N, classes, R, C), bool
    """
    shifts = torch.arange(classes, dtype=torch.int32).view(1, classes, 1, 1)
    return (bits.to(torch.int32).unsqueeze(1) >> shifts) & 1 == 1


def marginal_loss(
    logits: Tensor, allowed: Tensor, weight: Tensor, *, dice_weight: float
) -> Tensor:
    """Marginal cross-entropy plus batch soft Dice over exactly known pixels.

    Cross-entropy is minus the logarithm of the summed probability of all allowed
    classes, so a pixel that may be two things is not pushed to either. A pixel
    where all is allowed costs nothing.

    Parameters
    ----------
    logits : Tensor, shape (N, classes, R, C)
    allowed : Tensor, shape (N, classes, R, C), bool
        At least one class must be allowed in each pixel.
    weight : Tensor, shape (N, R, C)
        Of each pixel, in both terms.
    dice_weight
        Weight of the Dice term.

    References
    ----------
    .. [1] Shi G et al. Marginal loss and exclusion loss for partially supervised
       multi-organ segmentation. Med Image Anal 2021;70:101979.
    """
    log_share = torch.log_softmax(logits, dim=1)
    permitted = log_share.masked_fill(~allowed, float("-inf"))
    entropy = -(torch.logsumexp(permitted, dim=1) * weight).mean()

    known = (allowed.sum(dim=1, keepdim=True) == 1).to(logits.dtype)
    known = known * weight.unsqueeze(1)
    truth = allowed.to(logits.dtype)[:, 1:]
    share = log_share.exp()[:, 1:]
    overlap = (share * truth * known).sum(dim=(0, 2, 3))
    extent = ((share + truth) * known).sum(dim=(0, 2, 3))
    dice = (2 * overlap + _SMOOTH_PIXELS) / (extent + _SMOOTH_PIXELS)
    return entropy + dice_weight * (1 - dice.mean())
