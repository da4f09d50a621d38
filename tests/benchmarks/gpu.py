"""What a GPU gives: agreement with the CPU, seconds, throughput, memory, fallback.

`make gpu` runs it after the tests of `analysis.inference`, and writes docs/gpu.md. It
needs torch and a GPU, and no network. `python -m tests.benchmarks.gpu --rehearse` runs
the same on torch's CPU device, prints, and writes nothing: what can be had without a
GPU is that labels agree and that a device that is full or gone is left for the CPU.
`--spider 2` compares two SPIDER patients of `train`, too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from analysis.contract.plugin import Context, Subject
from analysis.inference import cpu_runner
from analysis.inference.cpu_runtime import FULL
from analysis.inference.device.chain import chain_of
from analysis.inference.engine import Segmenter, load_segmenter
from analysis.inference.model_card import MODELS
from analysis.inference.torch_runner import TorchRunner
from analysis.lumbar.check.series import SagittalVolume, examine
from analysis.lumbar.find.chain_agreement import series_to_compare, with_chain
from analysis.lumbar.find.networks import DISC, TISSUE, Networks, load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.plugin import ROLE, LumbarMri
from tests.benchmarks.network import series

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"
HEADING = "## What was measured"
THREADS = 2
REPEATS = 5
WORKERS = (1, 4)
SERIES_EACH = 20
_MB = 1e6
_STAGES = {
    "series": "voxels up",
    "look_first": "first look",
    "look_again": "second look",
    "mix_slices": "smoothing",
    "tissue": "labels down, twice",
    "probability": "probabilities down",
}


class Timed:
    """Stands before a chain or a series of it, and adds up the time of each call."""

    def __init__(self, what: Any, spent_s: dict[str, float]) -> None:
        self._what = what
        self._spent_s = spent_s

    def __getattr__(self, name: str) -> Any:
        """Return what has that name, or a call of it that is timed."""
        found = getattr(self._what, name)
        if name not in _STAGES:
            return found

        def call(*given: Any) -> Any:
            started_s = time.perf_counter()
            result = found(*given)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self._spent_s[name] += time.perf_counter() - started_s
            return Timed(result, self._spent_s) if name == "series" else result

        return call


class GivesOut:
    """A network on a device that is full or gone: none can be made so at will."""

    def __init__(self, error: RuntimeError) -> None:
        self._error = error

    def __call__(self, _: torch.Tensor) -> torch.Tensor:
        """Give out."""
        raise self._error


def on_device(device: str) -> Networks:
    """Load both networks and their chain onto a device of torch."""
    if device.startswith("cuda"):
        return with_chain(load_networks(threads=THREADS, device=device))

    def one(name: str) -> Segmenter:
        weights = (MODELS / f"{name}.safetensors").read_bytes()
        spare = load_segmenter(name, threads=THREADS)
        runner = TorchRunner(weights, device, half=False)
        return Segmenter(spare.card, runner, lambda: spare.runner)

    tissue, disc = one(TISSUE), one(DISC)
    return Networks(tissue=tissue, disc=disc, chain=chain_of(tissue, disc))


def in_full_precision() -> Networks:
    """Load both networks as a node on an older processor does."""
    with mock.patch.object(cpu_runner, "cpu_precision", return_value=FULL):
        return load_networks(threads=THREADS)


def median_s(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of some work; of several runs, after one to warm up."""
    taken = []
    for _ in range(repeats if repeats == 1 else repeats + 1):
        started_s = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started_s)
    return statistics.median(taken[-repeats:])


def compared(spider: int) -> Iterator[tuple[str, SagittalVolume]]:
    """Yield what both devices look at: made, bundled, and so many of SPIDER."""
    yield "made, slices of 2 mm", series_to_compare()
    yield "the demo's", series()
    if spider:
        from tests.support.spider import patients, read_volume

        for patient in patients("train")[:spider]:
            yield f"SPIDER {patient}, train", examine(read_volume(patient))


def agreement_lines(networks: Networks, spider: int) -> list[str]:
    """Return how many pixels get another label than on the CPU."""
    lines = [
        "| series | voxels | compared with | other labels | after smoothing "
        "| largest difference, 255ths |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    on_cpu = {one.runtime: one for one in (in_full_precision(), load_networks())}
    for name, sagittal in compared(spider):
        found = segment(sagittal, networks, threads=THREADS)
        shape = " x ".join(str(side) for side in sagittal.volume.voxels.shape)
        for runtime, cpu in on_cpu.items():
            expected = segment(sagittal, cpu, threads=THREADS)
            unlike = (found.tissue != expected.tissue).mean()
            labels = (one.probability.argmax(axis=1) for one in (found, expected))
            smooth = np.not_equal(*labels).mean()
            steps = np.abs(found.probability - expected.probability.astype(int)).max()
            lines.append(
                f"| {name} | {shape} | {runtime} | {unlike:.4%} | {smooth:.4%} "
                f"| {steps} |"
            )
    return lines


def stage_lines(networks: Networks, repeats: int) -> list[str]:
    """Return seconds of a series, of the whole and by stage of the chain."""
    sagittal = series()
    inputs = {ROLE: sagittal.volume}
    context = Context(subject=Subject(), summaries={}, threads=THREADS)
    shape = " x ".join(str(side) for side in sagittal.volume.voxels.shape)
    lines = [
        f"| {shape} | runtime | segmentation, s | volume to numbers and pages, s |",
        "| --- | --- | --- | --- |",
    ]
    for name, one in (
        ("CPU", load_networks(threads=THREADS)),
        ("networks alone on the device", replace(networks, chain=None)),
        ("chain on the device", networks),
    ):
        plugin = LumbarMri(lambda *_, loaded=one: loaded)
        found_s = median_s(partial(segment, sagittal, one, threads=THREADS), repeats)
        whole_s = median_s(partial(plugin.analyse, inputs, context), repeats)
        lines.append(f"| {name} | {one.runtime} | {found_s:.3f} | {whole_s:.3f} |")
    spent_s: dict[str, float] = defaultdict(float)
    timed: Any = Timed(networks.chain, spent_s)
    started_s = time.perf_counter()
    for _ in range(repeats):
        segment(sagittal, replace(networks, chain=timed), threads=THREADS)
    total_s = time.perf_counter() - started_s
    lines += ["", "| stage of the chain | ms |", "| --- | --- |"]
    for name, spoken in _STAGES.items():
        lines.append(f"| {spoken} | {1000 * spent_s[name] / repeats:.1f} |")
    aside_s = total_s - sum(spent_s.values())
    lines.append(
        f"| on the CPU: grids, counting discs | {1000 * aside_s / repeats:.1f} |"
    )
    return lines


def _series_after_series(device: str, each: int, ready: Any, go: Any) -> None:
    torch.set_num_threads(1)
    networks = on_device(device)
    sagittal = series() if device.startswith("cuda") else series_to_compare()
    segment(sagittal, networks, threads=1)
    ready.release()
    go.wait()
    for _ in range(each):
        segment(sagittal, networks, threads=1)


def throughput_lines(device: str, each: int) -> list[str]:
    """Return how many series a second are segmented with some workers.

    A rehearsal takes the made series, for torch's CPU device tells nothing of a GPU.
    """
    lines = ["| workers | series a second, segmentation |", "| --- | --- |"]
    spawn = multiprocessing.get_context("spawn")
    for workers in WORKERS:
        ready, go = spawn.Semaphore(0), spawn.Event()
        all_of = [
            spawn.Process(target=_series_after_series, args=(device, each, ready, go))
            for _ in range(workers)
        ]
        for process in all_of:
            process.start()
        for _ in all_of:
            ready.acquire()
        started_s = time.perf_counter()
        go.set()
        for process in all_of:
            process.join()
        spent_s = time.perf_counter() - started_s
        lines.append(f"| {workers} | {workers * each / spent_s:.2f} |")
    return lines


def fallback_lines(device: str) -> list[str]:
    """Return what happens where a device is full or gone, by stand-ins."""
    lines = []
    sagittal = series_to_compare()
    expected = segment(sagittal, load_networks(threads=THREADS))
    for name, error in (
        ("full", torch.OutOfMemoryError("tried to allocate 2 GiB")),
        ("gone", RuntimeError("CUDA error: unspecified launch failure")),
    ):
        networks: Any = on_device(device)
        for on in networks.chain._networks:
            on.network._network, on.network._has_graphs = GivesOut(error), False
        found = segment(sagittal, networks)
        same = np.array_equal(found.probability, expected.probability)
        lines.append(
            f"- A device that says it is {name}: computed by {networks.runtime}, "
            f"{'the bits' if same else 'OTHER BITS than those'} of the CPU; told: "
            f"{networks.missed}."
        )
    return lines


def memory_line(device: str) -> str:
    """Return what was held at most so far."""
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = f"- Memory: at most {peak_mb:.0f} MB, with the networks of the CPU"
    if not device.startswith("cuda"):
        return f"{told}."
    held_mb = torch.cuda.max_memory_reserved(device) / _MB
    return f"{told}; on the GPU at most {held_mb:.0f} MB."


def full_gpu_line(device: str) -> str:
    """Fill a real GPU to the last, and return what happens."""
    networks, sagittal = on_device(device), series()
    held, step = [], 1 << 28
    while step > 1 << 20:
        try:
            held.append(torch.empty(step, dtype=torch.uint8, device=device))
        except torch.OutOfMemoryError:
            step //= 2
    segment(sagittal, networks, threads=THREADS)
    held.clear()
    torch.cuda.empty_cache()
    return (
        f"- The GPU filled by others: computed by {networks.runtime}; told: "
        f"{networks.missed or 'nothing, it went on with fewer slices at once'}."
    )


def device_name(device: str) -> str:
    """Return what it is."""
    is_gpu = device.startswith("cuda")
    return torch.cuda.get_device_name(device) if is_gpu else "torch's CPU device"


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--spider", type=int, default=0)
    options = parser.parse_args()
    device = "cpu" if options.rehearse else "cuda"
    if not options.rehearse and not torch.cuda.is_available():
        sys.stderr.write("torch finds no GPU: nothing was measured\n")
        return 1
    torch.set_num_threads(THREADS)
    networks = on_device(device)
    if networks.missed:
        sys.stderr.write(f"{device} is not used: {networks.missed}\n")
        return 1
    repeats, each = (1, 1) if options.rehearse else (REPEATS, SERIES_EACH)
    lines = [f"{device_name(device)}, torch {torch.__version__}.", ""]
    parts: list[Callable[[], list[str]]] = [
        partial(agreement_lines, networks, options.spider),
        partial(stage_lines, networks, repeats),
        lambda: [memory_line(device), *fallback_lines(device)],
        lambda: [] if options.rehearse else [full_gpu_line(device)],
        partial(throughput_lines, device, each),
    ]
    for part in parts:
        found = [*part(), ""]
        print("\n".join(found), flush=True)  # a run that is cut short has told so much
        lines += found
    if not options.rehearse:
        before, _, _ = DOCUMENT.read_text().partition(HEADING)
        DOCUMENT.write_text("\n".join([f"{before}{HEADING}", "", *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
