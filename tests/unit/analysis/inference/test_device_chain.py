"""The chain on a device gives what the steps on the CPU give, or the CPU does its work.

No GPU has run this: torch computes on its CPU device here.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.imaging.sagittal_grid import (
    sagittal_grid,
    sample_picture,
    sample_pictures,
    turned_grid,
)
from analysis.inference import cpu_runner
from analysis.inference.cpu_runtime import FULL as FP32
from analysis.inference.engine import Segmenter
from analysis.inference.model_card import MODELS
from analysis.inference.normalise import Normalisation, normalise_slices
from analysis.inference.normalise import neighbours as neighbours_of_one
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, TissueMap
from analysis.lumbar.check.series import SagittalVolume, examine
from analysis.lumbar.find.chain_agreement import series_to_compare, with_chain
from analysis.lumbar.find.networks import DISC, TISSUE, Networks, load_networks
from analysis.lumbar.find.on_device import sampling_of
from analysis.lumbar.find.thin_slices import slice_weights, smooth_across
from analysis.lumbar.find.tissues import segment
from dicom_node.decode.volume import read_volume

MOST_UNLIKE = 0.0002
GONE, FULL_TEXT = "unspecified launch failure", "its memory gave out"


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    try:
        import torch
    except ImportError as error:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"CI must install the extra `train`: {error}")
        pytest.skip(f"PARITY WITH TORCH NOT CHECKED: {error}")
    return torch


@pytest.fixture(scope="module")
def on_cpu() -> Iterator[Networks]:
    """Both networks in OpenVINO, in full precision."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu_runner, "cpu_precision", lambda: FP32)
        yield load_networks()


@pytest.fixture(scope="module")
def runners(torch: ModuleType) -> dict[str, Any]:
    from analysis.inference.torch_runner import TorchRunner

    return {
        name: TorchRunner(
            (MODELS / f"{name}.safetensors").read_bytes(), "cpu", half=False
        )
        for name in (TISSUE, DISC)
    }


@pytest.fixture
def in_torch(on_cpu: Networks, runners: dict[str, Any]) -> Networks:
    """Both networks in torch, in full precision, with their chain."""
    return chained(on_cpu, runners)


def chained(on_cpu: Networks, runners: dict[str, Any]) -> Networks:
    from analysis.inference.device.chain import chain_of

    def one(name: str, spare: Any) -> Segmenter:
        return Segmenter(spare.card, runners[name], lambda: spare.runner)

    tissue, disc = one(TISSUE, on_cpu.tissue), one(DISC, on_cpu.disc)
    return Networks(tissue=tissue, disc=disc, chain=chain_of(tissue, disc))


def turned(sagittal: SagittalVolume, degrees: float, slice_mm: float) -> SagittalVolume:
    """Return a series whose rows and columns are turned in their plane."""
    across, down, back = sagittal.volume.frame.directions.T
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    directions = [across, cosine * down + sine * back, cosine * back - sine * down]
    spacing_mm = sagittal.volume.frame.spacing_mm.copy()
    spacing_mm[0] = slice_mm
    frame = replace(
        sagittal.volume.frame,
        directions=np.stack(directions, axis=1),
        spacing_mm=spacing_mm,
    )
    return SagittalVolume(volume=replace(sagittal.volume, frame=frame))


def unlike(found: TissueMap, expected: TissueMap) -> float:
    return float((found.tissue != expected.tissue).mean())


def test_the_bundled_series_gets_the_tissues_that_the_cpu_gives_it(
    on_cpu: Networks, in_torch: Networks, demo_series: Path
) -> None:
    sagittal = examine(read_volume(sorted(demo_series.iterdir())).volume)
    expected, found = segment(sagittal, on_cpu), segment(sagittal, in_torch)
    assert in_torch.missed == ""
    assert (expected.tissue == Tissue.DISC).mean() > 0.01, "input too easy"
    assert unlike(found, expected) <= MOST_UNLIKE
    smooth = (found.probability.argmax(1), expected.probability.argmax(1))
    assert (smooth[0] != smooth[1]).mean() <= MOST_UNLIKE
    steps = np.abs(found.probability.astype(int) - expected.probability)
    assert steps.max() <= 2


@pytest.mark.parametrize("slice_mm", [1.5, 4.0])
def test_a_turned_series_gets_the_tissues_that_the_cpu_gives_it(
    on_cpu: Networks, in_torch: Networks, slice_mm: float
) -> None:
    sagittal = turned(series_to_compare(), 7.0, slice_mm)
    blank = sagittal.volume.voxels.copy()
    blank[2] = 3.0
    volume = replace(sagittal.volume, voxels=blank)
    sagittal = SagittalVolume(volume=volume, blank=frozenset({2}))
    expected, found = segment(sagittal, on_cpu), segment(sagittal, in_torch)
    assert in_torch.missed == ""
    assert (expected.tissue == Tissue.DISC).mean() > 0.01, "input too easy"
    assert unlike(found, expected) <= MOST_UNLIKE
    assert (found.probability[2, Tissue.BACKGROUND] == FULL).all()


def test_half_precision_changes_hardly_a_label(
    on_cpu: Networks, runners: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for runner in runners.values():
        monkeypatch.setattr(runner, "_half", True)
    in_half = chained(on_cpu, runners)
    sagittal = series_to_compare()
    expected, found = segment(sagittal, on_cpu), segment(sagittal, in_half)
    assert in_half.missed == ""
    assert (found.probability != expected.probability).any()
    assert unlike(found, expected) <= MOST_UNLIKE  # 0.00006


def test_the_chain_is_the_same_bits_again(in_torch: Networks) -> None:
    first, again = (segment(series_to_compare(), in_torch) for _ in range(2))
    np.testing.assert_array_equal(first.probability, again.probability)
    np.testing.assert_array_equal(first.tissue, again.tissue)


@pytest.mark.parametrize(
    ("spacing_mm", "degrees", "flipped"),
    [
        ((4.0, 0.47, 0.47), 0.0, False),
        ((4.0, 0.8, 0.8), 0.0, True),
        ((4.0, 1.1, 0.6), 10.0, True),
        ((4.0, 0.5, 0.5), -80.0, False),
    ],
)
def test_slices_are_sampled_as_on_the_cpu(
    torch: ModuleType,
    spacing_mm: tuple[float, float, float],
    degrees: float,
    flipped: bool,
) -> None:
    from analysis.inference.device.series import DeviceSeries

    rng = np.random.default_rng(3)
    side = -1.0 if flipped else 1.0
    frame = Frame(
        origin_mm=np.array([5.0, -40.0, 30.0]),
        directions=np.array([[-side, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, side, 0.0]]).T,
        spacing_mm=np.array(spacing_mm),
    )
    voxels = rng.gamma(2.0, 50.0, (3, 70, 90)).astype(np.float32)
    volume = Volume(voxels=voxels, frame=frame, series_uid="1")
    volume = turned(SagittalVolume(volume=volume), degrees, 4.0).volume
    series = DeviceSeries(voxels, torch.device("cpu"), (None, None), FULL)  # type: ignore[arg-type]  # nothing is labelled
    grid = sagittal_grid(volume.frame, (3, 70, 90), 0.8)
    expected = np.stack([sample_picture(grid, voxels, index) for index in range(3)])
    found = series._sampled([sampling_of(grid)]).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # The first runs over the corner of the picture.
    crops = [
        turned_grid(grid, np.array([y, y]), 0.3, range(1, 3), (24, 40), 0.5)
        for y in (4.0, 25.0)
    ]
    expected = np.concatenate([sample_pictures(crop, voxels) for crop in crops])
    found = series._sampled([sampling_of(crop) for crop in crops]).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.isin(expected[:2], voxels.min(axis=(1, 2))).mean() > 0.1


def test_grey_values_are_scaled_as_on_the_cpu(torch: ModuleType) -> None:
    from analysis.inference.device.scaling import normalised

    rng = np.random.default_rng(5)
    slices = rng.gamma(2.0, 50.0, (8, 33, 41)).astype(np.float32)
    slices[1] -= 80.0
    slices[2] = 7.0
    slices[3] = 0.0
    slices[4, 2:5] = np.nan
    slices[5, :, 3] = np.inf
    slices[6] = np.where(slices[6] > 200.0, 100.0, 0.0)
    slices[7] *= 1e-4
    rule = Normalisation()
    expected = normalise_slices(slices, rule)
    found = normalised(torch.from_numpy(slices), rule).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert not found[2:4].any()


@pytest.mark.parametrize("reach", [1, 2])
def test_neighbours_are_those_of_the_cpu_and_of_one_stack(
    torch: ModuleType, reach: int
) -> None:
    from analysis.inference.device.scaling import neighbours

    shown = np.array([1, 1, 0, 1, 0, 0, 1, 1, 1], bool)
    stacks = [range(5), range(5, 9)]
    expected = [
        [stack.start + one for one in neighbours_of_one(part, index, reach)]
        for stack in stacks
        for part in [shown[stack.start : stack.stop]]
        for index in range(len(stack))
    ]
    runs = tuple(
        torch.tensor([pick(stack) for stack in stacks for _ in stack])
        for pick in (min, max)
    )
    assert neighbours(torch.tensor(shown), runs, reach).tolist() == expected


@pytest.mark.parametrize("slice_mm", [0.9, 1.8, 4.0])
def test_the_weights_of_slices_are_those_of_the_smoothing(slice_mm: float) -> None:
    rng = np.random.default_rng(2)
    planes = rng.integers(0, 256, (7, 2, 5, 6)).astype(np.uint8)
    shown = np.array([1, 1, 0, 1, 1, 1, 0], np.float32)
    weights = slice_weights(slice_mm, shown)
    expected = planes.copy()
    smooth_across(expected, slice_mm, shown, 1)
    if weights is None:
        np.testing.assert_array_equal(expected, planes)
        return
    found = np.rint(np.einsum("kj,jnrc->knrc", weights, planes))
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.01  # at a tie
    np.testing.assert_array_equal(found[[2, 6]], planes[[2, 6]])


class Fits:
    """Stands for a network on a device that holds so many slices; 0: it is gone."""

    def __init__(self, torch: ModuleType, network: Callable[[Any], Any]) -> None:
        self.fits = 1000
        self.asked: list[int] = []
        self._network, self._torch = network, torch

    def __call__(self, seen: Any) -> Any:
        self.asked.append(len(seen))
        if self.fits == 0:
            raise RuntimeError(GONE)
        if len(seen) > self.fits:
            raise self._torch.OutOfMemoryError(FULL_TEXT)
        return self._network(seen)


@pytest.fixture
def tight(
    torch: ModuleType, in_torch: Networks, monkeypatch: pytest.MonkeyPatch
) -> Fits:
    """The network of whole slices, on a device of which the test says what it holds."""
    on_device = in_torch.chain._networks[0].network  # type: ignore[union-attr]
    stand_in = Fits(torch, on_device._network)
    monkeypatch.setattr(on_device, "_network", stand_in)
    return stand_in


@pytest.mark.parametrize(("fits", "asked"), [(3, [3]), (2, [3, 1, 1, 1])])
def test_a_full_device_is_asked_for_half_as_many(
    in_torch: Networks, tight: Fits, fits: int, asked: list[int]
) -> None:
    expected = segment(series_to_compare(), in_torch)
    tight.asked.clear()
    tight.fits = fits
    found = segment(series_to_compare(), in_torch)
    assert tight.asked == asked
    assert unlike(found, expected) <= MOST_UNLIKE
    assert in_torch.missed == ""


@pytest.mark.parametrize(
    ("fits", "asked", "told"),
    [(-1, [3, 1], FULL_TEXT), (0, [3], GONE)],
)
def test_a_device_that_holds_nothing_or_is_gone_is_left_for_the_cpu(
    on_cpu: Networks,
    in_torch: Networks,
    tight: Fits,
    fits: int,
    asked: list[int],
    told: str,
) -> None:
    tight.fits = fits
    sagittal = series_to_compare()
    expected = segment(sagittal, on_cpu)
    for _ in range(2):  # the second series does not go there at all
        found = segment(sagittal, in_torch)
        np.testing.assert_array_equal(found.probability, expected.probability)
        np.testing.assert_array_equal(found.tissue, expected.tissue)
    assert tight.asked == asked
    assert in_torch.missed == told
    assert in_torch.runtime == on_cpu.runtime


def test_a_device_that_gives_out_beside_the_network_is_left_too(
    torch: ModuleType,
    on_cpu: Networks,
    in_torch: Networks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError(FULL_TEXT)

    monkeypatch.setattr("analysis.inference.device.series.smoothed", full)
    found = segment(series_to_compare(), in_torch)
    expected = segment(series_to_compare(), on_cpu)
    np.testing.assert_array_equal(found.probability, expected.probability)
    assert in_torch.missed == FULL_TEXT


def test_a_chain_that_finds_something_else_is_not_used(
    on_cpu: Networks, in_torch: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analysis.inference.device import sampling, series

    # A device that reads one pixel beside.
    monkeypatch.setattr(
        series, "read", lambda *given: sampling.read(*given).roll(1, dims=-1)
    )
    wrong = with_chain(Networks(tissue=in_torch.tissue, disc=in_torch.disc))
    assert "its chain gives" in wrong.missed
    assert wrong.runtime == on_cpu.runtime


def test_networks_on_the_cpu_have_no_chain(on_cpu: Networks) -> None:
    assert with_chain(on_cpu) is on_cpu


def test_the_second_look_is_mixed_in_as_on_the_cpu(
    torch: ModuleType,
) -> None:
    # Noise for probabilities brings every case of the mixing about.
    from analysis.inference.device.mixing import Again, likeliest, mixed
    from analysis.lumbar.find.on_device import _MIXING
    from analysis.lumbar.find.second_look import _mixed

    rng = np.random.default_rng(4)
    first = rng.integers(0, 256, (1, 6, 40, 50)).astype(np.uint8)
    first[0, Tissue.DISC, :5] = FULL
    again = rng.random((1, 40, 50)).astype(np.float32)
    looks = rng.integers(0, 3, (1, 40, 50)).astype(np.uint8)
    tissue = likeliest(torch.from_numpy(first))
    np.testing.assert_array_equal(tissue.numpy(), first.argmax(axis=1))
    second = Again(
        block=(slice(0, 1), slice(0, 40), slice(0, 50)),
        total=torch.from_numpy(again * looks),
        looks=torch.from_numpy(looks),
    )
    planes, kinds = mixed(torch.from_numpy(first), tissue, second, _MIXING, FULL)
    seen = looks[0] > 0
    expected = _mixed(first[0][:, seen], (again * looks)[0][seen] / looks[0][seen])
    steps = np.abs(planes.numpy()[0][:, seen].astype(int) - expected)
    assert steps.max() <= 1
    assert (steps > 0).mean() < 0.001
    np.testing.assert_array_equal(planes.numpy()[0][:, ~seen], first[0][:, ~seen])
    was_disc = first[0].argmax(axis=0) == Tissue.DISC
    assert (kinds.numpy()[0][was_disc] == Tissue.DISC).all()


def test_graphs_are_kept_by_shape_and_given_up_where_there_are_none(
    torch: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analysis.inference.device.by_shape import ByShape

    calls: list[tuple[int, ...]] = []
    may_capture = True

    def network(seen: Any) -> Any:
        calls.append(tuple(seen.shape))
        return seen * 2

    class Graph:
        """Remembers that it was replayed."""

        def replay(self) -> None:
            replayed.append(self)

    replayed: list[Graph] = []

    @contextmanager
    def capture(_: Graph, **__: str) -> Iterator[None]:
        if not may_capture:
            raise RuntimeError(GONE)
        yield

    stream = SimpleNamespace(wait_stream=lambda _: None)
    for name, stand_in in {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda _: capture(Graph()),
        "CUDAGraph": Graph,
        "graph": capture,
        "empty_cache": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    by_shape = ByShape(network, is_gpu=True)
    for count in (1, 2, 3, 1, 4, 1, 2):
        by_shape(torch.zeros(count, 1))
    # Twice each: once to warm up, once captured; 2 had gone for 4, the oldest.
    assert [shape[0] for shape in calls] == [1, 1, 2, 2, 3, 3, 4, 4, 2, 2]
    assert len(replayed) == 7
    assert len(set(replayed)) == 5
    by_shape.forget()
    may_capture = False
    calls.clear()
    np.testing.assert_array_equal(by_shape(torch.ones(5, 1)), 2 * np.ones((5, 1)))
    assert [shape[0] for shape in calls][-1] == 5
