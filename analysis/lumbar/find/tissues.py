"""From a volume to the probability of each tissue, and back to the volume's grid."""

from __future__ import annotations

from dataclasses import replace

from analysis.lumbar.anatomy.picture_edge import unseen_of
from analysis.lumbar.anatomy.tissue_map import TissueMap
from analysis.lumbar.check.series import SagittalVolume
from analysis.lumbar.find.first_look import look_first
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.find.on_device import segment_on_device
from analysis.lumbar.find.second_look import look_again
from analysis.lumbar.find.thin_slices import shown_slices, smooth_across


def segment(
    sagittal: SagittalVolume, networks: Networks, *, threads: int = 1
) -> TissueMap:
    """Find the tissue of every pixel: whole slices first, then each disc by itself.

    Parameters
    ----------
    sagittal
        The series.
    networks
        That look.
    threads
        That share what is done before and after them.
    """
    found = _found(sagittal, networks, threads)
    return replace(found, unseen=unseen_of(found.grid, sagittal.volume))


def _found(sagittal: SagittalVolume, networks: Networks, threads: int) -> TissueMap:
    if networks.chain is not None:
        found = segment_on_device(sagittal, networks.chain)
        if found is not None:
            return found
    tissues = look_first(sagittal.volume, networks.tissue, threads)
    if networks.disc is not None:
        tissues = look_again(tissues, sagittal.volume, networks.disc, threads=threads)
    shown = shown_slices(tissues.grid, sagittal.blank)
    slice_mm = float(tissues.grid.frame.spacing_mm[0])
    smooth_across(tissues.probability, slice_mm, shown, threads)
    return tissues
