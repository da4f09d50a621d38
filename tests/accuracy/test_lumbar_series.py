"""The real network on a real series: storage order must not change a number."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.errors import UnsuitableInput
from analysis.contract.geometry import Frame
from analysis.contract.plugin import Context, Subject
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume
from analysis.lumbar.plugin import LumbarMri
from tests.support import spider

pytestmark = [
    pytest.mark.accuracy,
    pytest.mark.shared,
    pytest.mark.skipif(
        not spider.SHARED.is_dir(), reason=f"{spider.SHARED} is not on this machine"
    ),
]

PATIENT = "055"
SAME_MM = 0.02
"""The same pixels in another order: only rounding differs."""
RESAMPLED_MM = 0.6
"""Half of the columns are gone; the mean difference over five discs stays below a
third of the network's own against a reader."""


@pytest.fixture(scope="module")
def plugin() -> LumbarMri:
    plugin = LumbarMri()
    plugin.prepare(threads=2, device="cpu")
    return plugin


@pytest.fixture(scope="module")
def straight() -> Volume:
    whole = spider.read_volume(PATIENT)
    return part(whole, whole.voxels[2:7], whole.frame)


@pytest.fixture(scope="module")
def expected(plugin: LumbarMri, straight: Volume) -> AnalysisResult:
    return analyse(plugin, straight)


def part(source: Volume, voxels: NDArray[np.float32], frame: Frame) -> Volume:
    return Volume(voxels=voxels, frame=frame, series_uid=source.series_uid)


def analyse(plugin: LumbarMri, volume: Volume) -> AnalysisResult:
    context = Context(subject=Subject(), summaries={}, threads=2)
    return plugin.analyse({"t2_sagittal": volume}, context)


def stored(volume: Volume, axes: tuple[int, int, int], backwards: set[int]) -> Volume:
    """Store the same voxels with other axes first, some of them backwards."""
    voxels, frame = volume.voxels, volume.frame
    orders = [
        np.arange(count - 1, -1, -1) if axis in backwards else np.arange(count)
        for axis, count in enumerate(voxels.shape)
    ]
    signs = [-1.0 if axis in backwards else 1.0 for axis in range(3)]
    turned = Frame(
        origin_mm=frame.to_mm([order[0] for order in orders]),
        directions=(frame.directions * signs)[:, axes],
        spacing_mm=frame.spacing_mm[list(axes)],
    )
    return part(volume, voxels[np.ix_(*orders)].transpose(axes), turned)


def heights(result: AnalysisResult) -> NDArray[np.float64]:
    levels = result.details["levels"]
    assert isinstance(levels, list)
    return np.array([level["disc_height_mm"] for level in levels], np.float64)


@pytest.mark.parametrize(
    ("axes", "backwards"),
    [
        ((0, 1, 2), {0, 2}),  # slices to the left, columns to the front
        ((0, 1, 2), {0, 1}),  # slices to the left, rows to the head
        ((0, 2, 1), {0, 1, 2}),  # rows to the front, columns to the head
    ],
)
def test_the_order_of_storage_changes_no_number_and_no_label(
    plugin: LumbarMri,
    straight: Volume,
    expected: AnalysisResult,
    axes: tuple[int, int, int],
    backwards: set[int],
) -> None:
    result = analyse(plugin, stored(straight, axes, backwards))
    assert heights(result) == pytest.approx(heights(expected), abs=SAME_MM)
    labels = part(
        straight, expected.segmentation.labels.astype(np.float32), straight.frame
    )
    there = stored(labels, axes, backwards).voxels
    assert (result.segmentation.labels == there).mean() > 0.9999


def test_oblong_pixels_measure_the_same_as_square_ones(
    plugin: LumbarMri, straight: Volume, expected: AnalysisResult
) -> None:
    slices, rows, columns = straight.voxels.shape
    pairs = straight.voxels.reshape(slices, rows, columns // 2, 2).mean(axis=3)
    frame = Frame(
        origin_mm=straight.frame.to_mm([0.0, 0.0, 0.5]),
        directions=straight.frame.directions,
        spacing_mm=straight.frame.spacing_mm * [1.0, 1.0, 2.0],
    )
    result = analyse(plugin, part(straight, pairs, frame))
    assert np.abs(heights(result) - heights(expected)).max() < RESAMPLED_MM


@pytest.mark.parametrize("grain_px", [0.0, 6.0, 9.0])
def test_noise_is_no_spine(plugin: LumbarMri, grain_px: float) -> None:
    from scipy import ndimage

    noise = np.random.default_rng(0).normal(size=(5, 384, 384))
    soft = ndimage.gaussian_filter(noise, (0.5, grain_px, grain_px))
    frame = Frame(
        origin_mm=np.zeros(3),
        directions=spider.STRAIGHT,
        spacing_mm=np.array([4.0, 0.8, 0.8]),
    )
    voxels = (soft - soft.min()).astype(np.float32) * 1000
    with pytest.raises(UnsuitableInput) as outcome:
        analyse(plugin, Volume(voxels=voxels, frame=frame, series_uid="1.2.3"))
    assert outcome.value.code == "no_lumbar_spine"
