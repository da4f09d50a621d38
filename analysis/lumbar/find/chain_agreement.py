"""Whether the chain on a device finds what the steps on the CPU find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.tissue_map import TissueMap
from analysis.lumbar.check.series import SagittalVolume
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.find.on_device import segment_on_device
from analysis.lumbar.find.tissues import segment

_SPACING_MM = (2.0, 0.9, 0.9)
"""Slices thin enough to be smoothed across, pixels that no grid of a network has."""
_RIGHT_DOWN_BACK = ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))


def with_chain(networks: Networks) -> Networks:
    """Give networks on a GPU their chain, once it has agreed with the steps on the CPU.

    Parameters
    ----------
    networks
        Both on a device, and admitted there by `analysis.inference.agreement`.

    Returns
    -------
    Networks
        With the chain; without one where they are on the CPU. Where the chain gives
        more of a test picture another label than that agreement allows, the device is
        left for the CPU, and `missed` says why.
    """
    # torch comes with the first, OpenVINO with the other.
    from analysis.inference.agreement import MOST_UNLIKE
    from analysis.inference.device.chain import chain_of
    from analysis.inference.engine import Segmenter

    tissue, disc = networks.tissue, networks.disc
    if not isinstance(tissue, Segmenter) or not isinstance(disc, Segmenter):
        return networks
    chain = chain_of(tissue, disc)
    if chain is None:
        return networks
    sagittal = series_to_compare()
    found = segment_on_device(sagittal, chain)
    if found is not None:
        expected = segment(sagittal, replace(networks, chain=None))
        unlike = float((_labels(found) != _labels(expected)).mean())
        if unlike > MOST_UNLIKE:
            message = (
                f"its chain gives {unlike:.1%} of the pixels of a test picture another "
                "label than the steps on the CPU do"
            )
            chain.leave(message)
    return replace(networks, chain=chain)


def _labels(tissues: TissueMap) -> NDArray[np.uint8]:
    """Return the likeliest tissues before and after smoothing across slices."""
    smooth = tissues.probability.argmax(axis=1).astype(np.uint8)
    return np.stack([tissues.tissue, smooth])


def series_to_compare() -> SagittalVolume:
    """Return the test picture of the networks as a series, with discs to look at."""
    from analysis.inference.agreement import picture_to_compare

    frame = Frame(
        origin_mm=np.zeros(3),
        directions=np.array(_RIGHT_DOWN_BACK).T,
        spacing_mm=np.array(_SPACING_MM),
    )
    volume = Volume(voxels=picture_to_compare(), frame=frame, series_uid="1")
    return SagittalVolume(volume=volume)
