"""S1 below which a picture gives no signal may be what is left of L5."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS
from analysis.lumbar.name.faded_picture import with_fade
from analysis.lumbar.name.name_levels import name_levels
from tests.support.wedge_spine import Layout, WedgeSpine

FADE_MM = 10.0


@pytest.fixture(scope="module")
def spine() -> tuple[Anatomy, Volume]:
    frame, shape = Layout(size_mm=(12.0, 290.0, 150.0)).frame()
    phantom = WedgeSpine()
    tissues = phantom.tissue_map(frame, shape)
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    return anatomy, phantom.volume(frame, shape)


def faded(anatomy: Anatomy, volume: Volume) -> Volume:
    """Take half of the signal at L5/S1, and more of it below."""
    grid = anatomy.tissues.grid
    centre = anatomy.levels.planes[DISCS[0].number].centre_mm[1:] / anatomy.pixel_mm
    row = float(grid.to_source_indices(centre[None])[0, 0])
    rows_mm = np.arange(volume.voxels.shape[1]) - row
    rows_mm *= volume.frame.spacing_mm[1]
    gain = (1 / (1 + np.exp(rows_mm / FADE_MM))).astype(np.float32)
    return replace(volume, voxels=volume.voxels * gain[:, None])


def codes(anatomy: Anatomy) -> list[str]:
    return [doubt.code for doubt in anatomy.levels.doubts]


def test_a_picture_that_fades_at_s1_puts_the_count_in_doubt(
    spine: tuple[Anatomy, Volume],
) -> None:
    anatomy, volume = spine
    found = with_fade(anatomy, faded(anatomy, volume))
    assert codes(found) == ["level_uncertain"]
    assert "The picture fades" in found.levels.doubts[0].text
    assert found.levels.alternatives[0].names["L4/L5"] == "L3/L4"
    assert found.levels.certainty[DISCS[0].number] == 0.5


def test_a_picture_with_signal_at_s1_or_below_it_does_not(
    spine: tuple[Anatomy, Volume],
) -> None:
    anatomy, volume = spine
    assert codes(with_fade(anatomy, volume)) == []
    lit = replace(volume, voxels=np.maximum(faded(anatomy, volume).voxels, 40.0))
    assert codes(with_fade(anatomy, lit)) == []
