"""A device gives what the CPU gives, or the CPU does its work.

No GPU has run this: torch computes on its CPU device here, and a stand-in says what a
GPU would say when its memory gives out.
"""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.imaging.sagittal_grid import sagittal_grid, sample_picture
from analysis.inference import cpu_runner
from analysis.inference.agreement import picture_to_compare, refuse_unlike
from analysis.inference.cpu_runtime import FULL as FP32
from analysis.inference.cpu_runtime import cpu_runtime
from analysis.inference.engine import Segmenter, load_segmenter
from analysis.inference.model_card import MODELS
from analysis.inference.runner import DeviceFailed, Runner
from analysis.lumbar.anatomy.tissue_map import PIXEL_MM
from dicom_node.decode.volume import read_volume
from tests.support.block_spine import block_spine

SLICES = block_spine(96, 64, count=5)
TOLERANCE = 1e-4
FULL, BROKEN = "its memory gave out", "an illegal access"


@pytest.fixture(scope="module")
def on_cpu() -> Segmenter:
    return load_segmenter()


@pytest.fixture
def at_full_precision(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    monkeypatch.setattr(cpu_runner, "cpu_precision", lambda: FP32)
    return load_segmenter()


@pytest.fixture(scope="module")
def torch_runner() -> ModuleType:
    try:
        from analysis.inference import torch_runner
    except ImportError as error:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"CI must install the extra `train`: {error}")
        pytest.skip(f"PARITY WITH TORCH NOT CHECKED: {error}")
    return torch_runner


class Tight:
    """A device on which only so many slices fit at once; 0 is a broken one."""

    batch = 4
    runtime = "tight"

    def __init__(self, fits: int, spare: Runner) -> None:
        self.fits = fits
        self.asked: list[int] = []
        self._spare = spare

    def run(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        self.asked.append(len(seen))
        if len(seen) > self.fits:
            full = self.fits != 0
            raise DeviceFailed(FULL if full else BROKEN, out_of_memory=full)
        return self._spare.run(seen)


@pytest.mark.parametrize(
    ("half", "tolerance", "same"), [(False, TOLERANCE, 1.0), (True, 0.01, 0.999)]
)
def test_torch_gives_what_openvino_gives(
    at_full_precision: Segmenter,
    torch_runner: ModuleType,
    half: bool,
    tolerance: float,
    same: float,
) -> None:
    weights = (MODELS / "lumbar.safetensors").read_bytes()
    runner = torch_runner.TorchRunner(weights, "cpu", half=half)
    expected = at_full_precision.probabilities(SLICES)
    found = Segmenter(at_full_precision.card, runner).probabilities(SLICES)
    assert 1.0 - expected.max(axis=1).min() > tolerance, "input too easy"
    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= same


def test_this_processor_gives_what_full_precision_gives(
    on_cpu: Segmenter, at_full_precision: Segmenter
) -> None:
    expected = at_full_precision.probabilities(SLICES)
    found = on_cpu.probabilities(SLICES)
    np.testing.assert_allclose(found, expected, atol=0.06)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.999


@pytest.fixture(scope="module")
def real(demo_series: Path) -> NDArray[np.float32]:
    """Three neighbouring slices of the bundled series, as the network sees them."""
    volume = read_volume(sorted(demo_series.iterdir())).volume
    count, rows, columns = volume.voxels.shape
    grid = sagittal_grid(volume.frame, (count, rows, columns), PIXEL_MM)
    middle = range(count // 2 - 1, count // 2 + 2)
    return np.stack([sample_picture(grid, volume.voxels, index) for index in middle])


def labels_that_differ(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float((one.argmax(axis=1) != other.argmax(axis=1)).mean())


def test_real_slices_get_the_labels_that_torch_gives_them(
    at_full_precision: Segmenter, torch_runner: ModuleType, real: NDArray[np.float32]
) -> None:
    weights = (MODELS / "lumbar.safetensors").read_bytes()
    runner = torch_runner.TorchRunner(weights, "cpu", half=False)
    expected = Segmenter(at_full_precision.card, runner).probabilities(real)
    found = at_full_precision.probabilities(real)
    assert labels_that_differ(found, expected) <= 0.0002


def test_real_slices_get_nearly_the_same_labels_on_this_processor(
    on_cpu: Segmenter, at_full_precision: Segmenter, real: NDArray[np.float32]
) -> None:
    expected = at_full_precision.probabilities(real)
    assert (expected.argmax(axis=1) > 0).mean() > 0.1, "input too easy"
    found = on_cpu.probabilities(real)
    assert labels_that_differ(found, expected) <= 0.0005  # 0.00018 with AMX


@pytest.mark.parametrize(
    ("fits", "asked", "missed"),
    [
        (4, [4, 1], ""),
        (2, [4, 2, 2, 1], ""),
        (1, [4, 2, 1, 1, 2, 1, 1, 1], ""),
        (0, [4], BROKEN),
    ],
)
def test_a_device_that_gives_out_is_asked_for_less_and_then_left(
    on_cpu: Segmenter, fits: int, asked: list[int], missed: str
) -> None:
    spare = on_cpu._runner
    device = Tight(fits, spare)
    segmenter = Segmenter(on_cpu.card, device, lambda: spare)
    found = segmenter.probabilities(SLICES)
    np.testing.assert_array_equal(found, on_cpu.probabilities(SLICES))
    assert device.asked == asked
    assert segmenter.missed == missed
    assert segmenter.runtime == (spare.runtime if missed else "tight")


def test_a_device_too_small_for_one_slice_is_left_for_the_cpu(
    on_cpu: Segmenter,
) -> None:
    spare = on_cpu._runner
    device = Tight(1, spare)
    segmenter = Segmenter(on_cpu.card, device, lambda: spare)
    segmenter.probabilities(SLICES[:1])
    device.fits = -1
    found = segmenter.probabilities(SLICES)
    np.testing.assert_array_equal(found, on_cpu.probabilities(SLICES))
    assert segmenter.missed == FULL
    before = len(device.asked)
    segmenter.probabilities(SLICES)
    assert len(device.asked) == before


def test_what_torch_says_of_memory_is_told_from_other_faults(
    torch_runner: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = (MODELS / "lumbar.safetensors").read_bytes()
    runner = torch_runner.TorchRunner(weights, "cpu", half=False)
    for error, full in (
        (torch_runner.torch.OutOfMemoryError("tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: unspecified launch failure"), False),
    ):

        def broken(_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(runner, "_network", broken)
        with pytest.raises(DeviceFailed) as failure:
            runner.run(np.zeros((1, 3, 32, 32), np.float32))
        assert failure.value.out_of_memory is full


@pytest.mark.parametrize("name", ["lumbar", "disc"])
def test_torch_agrees_with_the_cpu_on_the_picture_that_admits_a_gpu(
    torch_runner: ModuleType, name: str
) -> None:
    on_cpu = load_segmenter(name)
    weights = (MODELS / f"{name}.safetensors").read_bytes()
    runner = torch_runner.TorchRunner(weights, "cpu", half=True)
    on_device = Segmenter(on_cpu.card, runner)
    refuse_unlike(on_device.probabilities, on_cpu.probabilities)
    labels = on_cpu.probabilities(picture_to_compare()).argmax(axis=1)
    assert (labels > 0).mean() > 0.03, "picture too easy"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda shares: shares[:, ::-1], "another label"),
        (lambda shares: shares * np.nan, "no numbers"),
    ],
)
def test_a_gpu_that_gives_something_else_is_not_used(
    on_cpu: Segmenter,
    fault: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    told: str,
) -> None:
    with pytest.raises(DeviceFailed, match=told):
        refuse_unlike(
            lambda seen: fault(on_cpu.probabilities(seen)), on_cpu.probabilities
        )


def test_a_gpu_that_is_not_there_is_said_and_the_cpu_computes(
    on_cpu: Segmenter,
) -> None:
    segmenter = load_segmenter(device="cuda:99")
    assert "torch" in segmenter.missed
    assert segmenter.runtime == cpu_runtime()
    np.testing.assert_array_equal(
        segmenter.probabilities(SLICES), on_cpu.probabilities(SLICES)
    )
