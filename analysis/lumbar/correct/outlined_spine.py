"""Where the structures lie: found by the network, or outlined by a reader."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import STRUCTURES
from analysis.lumbar.check.series import SagittalVolume
from analysis.lumbar.correct.saved_tissues import Former, keep
from analysis.lumbar.doubt import Doubt, warning
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.name.faded_picture import with_fade
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.stitched_picture import with_seam
from analysis.lumbar.name.voxel_labels import label_source

OUTLINES_EDITED = "outlines_edited"
_BEYOND_LATIN = "\u0250"
READER = "a reader"
"""Who drew the outlines where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutlinedSpine:
    """Named structures, ready to be measured.

    Parameters
    ----------
    anatomy
        On the sagittal grid.
    labels : ndarray, shape of the series, uint8
        Numbers of the structures.
    former
        What the network found; None where it is not known.
    edited
        Numbers of the structures that a reader drew otherwise; all of them where it
        is not known what the network found.
    editor
        Who drew them, for people; empty where the network did.
    """

    anatomy: Anatomy
    labels: NDArray[np.uint8]
    former: Former | None
    edited: frozenset[int] = frozenset()
    editor: str = ""

    @property
    def is_given(self) -> bool:
        """Whether a reader drew the outlines."""
        return bool(self.editor)

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Say that a reader drew the outlines, and how the others were measured."""
        if not self.is_given:
            return ()
        # It stands in pictures, too, whose type face is Latin.
        name = self.editor if max(self.editor) < _BEYOND_LATIN else READER
        edited = warning(OUTLINES_EDITED, f"Outlines edited by {name}")
        if self.former is not None:
            return (edited,)
        text = (
            "The network's own outlines are not at hand: all outlines run along "
            "voxels, so values of structures that were not edited differ a little from "
            "before"
        )
        return (edited, warning("outlines_from_voxels", text))

    def kept(self, volume: Volume) -> bytes:
        """Return what a correction of this result will need."""
        if self.former is None:
            return b""
        return keep(replace(self.former, measured=self.labels), volume)


def find(
    sagittal: SagittalVolume, networks: Networks, *, threads: int
) -> OutlinedSpine:
    """Find the structures with the networks.

    Raises
    ------
    Refused
        If there is no lumbar spine in the picture.
    """
    tissues = segment(sagittal, networks, threads=threads)
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    labels = label_source(tissues, anatomy.levels.names, threads=threads)
    anatomy = with_seam(anatomy, sagittal.volume, labels)
    anatomy = with_fade(anatomy, sagittal.volume)
    former = Former(tissues=tissues, found=labels, measured=labels)
    return OutlinedSpine(anatomy=anatomy, labels=labels, former=former)


def edited_labels(edited: frozenset[int]) -> list[str]:
    """Return the names of edited structures, in the order of `STRUCTURES`."""
    return [one.label for one in STRUCTURES if one.number in edited]
