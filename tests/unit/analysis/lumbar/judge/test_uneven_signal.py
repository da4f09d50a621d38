"""Grey values that cannot be compared give no signal, and noise is told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.doubt import SIGNAL, Doubt, Effect
from analysis.lumbar.judge.uneven_signal import signal_signs, uneven_signal
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from tests.support.wedge_spine import Layout, WedgeSpine

FRAME, SHAPE = Layout(size_mm=(14.0, 290.0, 150.0), spacing_mm=(2.0, 0.8, 0.8)).frame()


@dataclasses.dataclass(frozen=True)
class Spine:
    anatomy: Anatomy
    labels: NDArray[np.uint8]
    volume: Volume

    def doubts(self, voxels: NDArray[np.floating]) -> tuple[Doubt, ...]:
        altered = dataclasses.replace(self.volume, voxels=voxels.astype(np.float32))
        return uneven_signal(signal_signs(self.anatomy, altered, self.labels))


@pytest.fixture(scope="module")
def spine() -> Spine:
    tissues = WedgeSpine().tissue_map(FRAME, SHAPE)
    levels = name_levels(tissues)
    return Spine(
        Anatomy(tissues=tissues, levels=levels),
        label_source(tissues, levels.names),
        WedgeSpine().volume(FRAME, SHAPE),
    )


def along(spine: Spine, axis: int, scale_mm: float) -> NDArray[np.float64]:
    """Return a sensitivity that falls by 1/e over a length along an axis."""
    away = np.arange(spine.volume.voxels.shape[axis]) * FRAME.spacing_mm[axis]
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.asarray(np.exp(-away / scale_mm).reshape(shape))


def test_a_sound_spine_is_not_doubted(spine: Spine) -> None:
    assert spine.doubts(spine.volume.voxels) == ()


def test_signal_that_falls_off_along_the_spine_is_not_measured(spine: Spine) -> None:
    (doubt,) = spine.doubts(spine.volume.voxels * along(spine, 1, 100.0))
    assert (doubt.code, doubt.effect) == ("signal_uneven", Effect.WITHHOLD)
    assert doubt.scope == SIGNAL
    assert "along the spine" in doubt.text
    assert spine.doubts(spine.volume.voxels * along(spine, 1, 400.0)) == ()


@pytest.mark.parametrize(("scale_mm", "where"), [(-25.0, "front"), (25.0, "back")])
def test_signal_that_falls_off_across_the_spine_is_not_measured(
    spine: Spine, scale_mm: float, where: str
) -> None:
    doubts = spine.doubts(spine.volume.voxels * along(spine, 2, scale_mm))
    assert {doubt.code for doubt in doubts} == {"signal_uneven"}
    assert any(f"falls off towards the {where}" in doubt.text for doubt in doubts)


def test_a_slice_of_another_gain_takes_the_signal(spine: Spine) -> None:
    voxels = spine.volume.voxels.copy()
    voxels[len(voxels) // 2] *= 2
    (doubt,) = spine.doubts(voxels)
    assert doubt.code == "signal_uneven"
    assert "Marrow is 2.00 times as bright in one slice as in another" in doubt.text


def test_a_zero_that_lies_elsewhere_takes_the_signal(spine: Spine) -> None:
    most = float(spine.volume.voxels.max())
    (doubt,) = spine.doubts(spine.volume.voxels + 0.1 * most)
    assert (doubt.code, doubt.effect) == ("signal_impossible", Effect.WITHHOLD)
    assert "the zero of the grey values lies elsewhere" in doubt.text
    assert spine.doubts(spine.volume.voxels + 0.02 * most) == ()


@pytest.mark.parametrize(("share", "codes"), [(0.03, []), (0.12, ["noisy"])])
def test_noise_is_told(spine: Spine, share: float, codes: list[str]) -> None:
    voxels = spine.volume.voxels
    noise = np.random.default_rng(0).normal(0, share * voxels.max(), (2, *voxels.shape))
    doubts = spine.doubts(np.hypot(voxels + noise[0], noise[1]))
    assert [doubt.code for doubt in doubts] == codes
    assert all(doubt.effect is Effect.WARN for doubt in doubts)


def test_it_does_not_matter_how_the_slices_are_stored(spine: Spine) -> None:
    volume, labels = spine.volume, spine.labels
    uneven = volume.voxels * along(spine, 1, 100.0) * along(spine, 2, 60.0)
    upright = signal_signs(
        spine.anatomy,
        dataclasses.replace(volume, voxels=uneven.astype(np.float32)),
        labels,
    )
    directions = volume.frame.directions[:, [0, 2, 1]] * [1, -1, 1]
    turned = dataclasses.replace(
        volume,
        voxels=uneven.transpose(0, 2, 1)[:, ::-1].astype(np.float32),
        frame=Frame(
            origin_mm=volume.frame.origin_mm,
            directions=directions,
            spacing_mm=volume.frame.spacing_mm[[0, 2, 1]],
        ),
    )
    lying = signal_signs(spine.anatomy, turned, labels.transpose(0, 2, 1)[:, ::-1])
    assert dataclasses.astuple(lying) == pytest.approx(
        dataclasses.astuple(upright), rel=1e-2, abs=1e-3
    )
