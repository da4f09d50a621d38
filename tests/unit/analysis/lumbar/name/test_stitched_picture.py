"""Pictures that are put together wrongly, and others whose rows change."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.stitched_picture import with_seam
from analysis.lumbar.name.voxel_labels import label_source
from tests.support.measured_phantom import SIZE_MM
from tests.support.wedge_spine import Layout, WedgeSpine

GRAIN_PX = 4.0
NOISY_ROWS = 4


@dataclasses.dataclass(frozen=True)
class Textured:
    """A spine in a picture whose every row differs a little from the next."""

    anatomy: Anatomy
    volume: Volume
    labels: NDArray[np.uint8]


@pytest.fixture(scope="module")
def spine() -> Textured:
    frame, shape = Layout(size_mm=SIZE_MM).frame()
    tissues = WedgeSpine().tissue_map(frame, shape)
    anatomy = Anatomy(tissues=tissues, levels=name_levels(tissues))
    volume = WedgeSpine().volume(frame, shape)
    grain = np.random.default_rng(0).normal(size=shape)
    grain = ndimage.gaussian_filter(grain, (1.0, GRAIN_PX, GRAIN_PX))
    voxels = 100.0 * np.exp(grain / grain.std() * 0.5)
    return Textured(
        anatomy=anatomy,
        volume=dataclasses.replace(volume, voxels=voxels.astype(np.float32)),
        labels=label_source(tissues, anatomy.levels.names),
    )


def tells_a_seam(spine: Textured) -> bool:
    seen = with_seam(spine.anatomy, spine.volume, spine.labels)
    return seen.levels.doubts != spine.anatomy.levels.doubts


def rows_of(spine: Textured, upper: int, lower: int) -> tuple[int, int]:
    """Return the middle rows of two discs, counted upwards from L5/S1."""
    rows = [
        round(float(np.nonzero(spine.labels == DISCS[place].number)[1].mean()))
        for place in (upper, lower)
    ]
    return rows[0], rows[1]


def joined(spine: Textured, end: int, begin: int) -> Textured:
    def of(values: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([values[:, :end], values[:, begin:]], axis=1)

    volume = dataclasses.replace(spine.volume, voxels=of(spine.volume.voxels))
    return dataclasses.replace(spine, volume=volume, labels=of(spine.labels))


def test_a_whole_spine_has_no_seam(spine: Textured) -> None:
    assert not tells_a_seam(spine)


def test_a_body_that_is_left_out_is_told(spine: Textured) -> None:
    upper, lower = rows_of(spine, 3, 2)
    assert tells_a_seam(joined(spine, upper, lower))


def test_a_body_that_is_shown_twice_is_told(spine: Textured) -> None:
    upper, lower = rows_of(spine, 3, 2)
    assert tells_a_seam(joined(spine, lower, upper))


def test_a_seam_is_told_in_a_picture_that_was_sampled_anew(spine: Textured) -> None:
    upper, lower = rows_of(spine, 3, 2)
    both = joined(spine, upper, lower)
    finer = ndimage.zoom(both.volume.voxels, (1, 2, 1), order=1)
    volume = dataclasses.replace(both.volume, voxels=finer)
    labels = np.repeat(both.labels, 2, axis=1)
    assert tells_a_seam(dataclasses.replace(both, volume=volume, labels=labels))


def test_a_few_rows_of_noise_are_no_seam(spine: Textured) -> None:
    row, _ = rows_of(spine, 2, 3)
    voxels = spine.volume.voxels.copy()
    noisy = voxels[:, row : row + NOISY_ROWS]
    noisy *= np.random.default_rng(1).lognormal(0.0, 0.8, noisy.shape)
    volume = dataclasses.replace(spine.volume, voxels=voxels)
    assert not tells_a_seam(dataclasses.replace(spine, volume=volume))
