"""What a GPU gives: agreement with the CPU, seconds, throughput, memory, fallback.

`make gpu` runs it after the tests of `analysis.inference`, and writes docs/gpu.md. It
needs torch and a GPU, and no network. `python -m tests.benchmarks.gpu --rehearse` runs
the same on torch's CPU device, prints, and writes nothing: what can be had without a
GPU is that labels agree and that a device that is full or gone is left for the CPU.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.contract.plugin import Context, Subject
from analysis.inference.engine import Segmenter, load_segmenter
from analysis.inference.model_card import MODELS
from analysis.inference.runner import DeviceFailed
from analysis.inference.torch_runner import TorchRunner
from analysis.lumbar.check.series import examine
from analysis.lumbar.find.networks import DISC, TISSUE, Networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.plugin import ROLE, LumbarMri
from tests.benchmarks.network import series

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"
HEADING = "## What was measured"
THREADS = 2
REPEATS = 5
WORKERS = (1, 4)
SERIES_EACH = 8
_MB = 1e6


class OnlySo:
    """A device that is full or gone: a real one cannot be made so at will."""

    runtime = "a device at its end"
    batch = 8

    def __init__(self, *, out_of_memory: bool) -> None:
        self._out_of_memory = out_of_memory

    def run(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give out."""
        text = "its memory gave out" if self._out_of_memory else "it is gone"
        raise DeviceFailed(text, out_of_memory=self._out_of_memory)


def on_device(device: str) -> Networks:
    """Load both networks onto a device of torch, with the CPU to fall back to."""

    def one(name: str) -> Segmenter:
        if device.startswith("cuda"):
            return load_segmenter(name, threads=THREADS, device=device)
        weights = (MODELS / f"{name}.safetensors").read_bytes()
        card = load_segmenter(name, threads=THREADS).card
        return Segmenter(card, TorchRunner(weights, device, half=False))

    return Networks(tissue=one(TISSUE), disc=one(DISC))


def on_cpu() -> Networks:
    """Load both networks as a node without a GPU does."""
    tissue, disc = (load_segmenter(name, threads=THREADS) for name in (TISSUE, DISC))
    return Networks(tissue=tissue, disc=disc)


def median_s(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of some work, after one run to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        started_s = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started_s)
    return statistics.median(taken)


def stage_lines(device: str, repeats: int) -> list[str]:
    """Return agreement with the CPU, and seconds by stage."""
    sagittal = series()
    context = Context(subject=Subject(), summaries={}, threads=THREADS)
    inputs = {ROLE: sagittal.volume}
    rows = {}
    for name, networks in (("CPU", on_cpu()), (device, on_device(device))):
        if networks.missed:
            message = f"{device} is not used: {networks.missed}"
            raise SystemExit(message)
        alone = Networks(tissue=networks.tissue)
        plugin = LumbarMri(lambda *_, loaded=networks: loaded)
        rows[name] = (
            networks.runtime,
            segment(sagittal, networks, threads=THREADS).tissue,
            median_s(partial(segment, sagittal, alone, threads=THREADS), repeats),
            median_s(partial(segment, sagittal, networks, threads=THREADS), repeats),
            median_s(partial(plugin.analyse, inputs, context), repeats),
        )
    unlike = float((rows["CPU"][1] != rows[device][1]).mean())
    lines = [
        f"| {len(sagittal.volume.voxels)} slices of 512 x 512 | runtime "
        "| first look, s | both looks, s | volume to numbers and pages, s |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {runtime} | {first_s:.3f} | {both_s:.3f} | {whole_s:.3f} |"
        for name, (runtime, _, first_s, both_s, whole_s) in rows.items()
    ]
    return [*lines, "", f"Pixels with another label than on the CPU: {unlike:.4%}."]


def _series_after_series(device: str, ready: object, go: object) -> None:
    networks, sagittal = on_device(device), series()
    segment(sagittal, networks, threads=THREADS)
    ready.release()  # type: ignore[attr-defined]  # a semaphore of another process
    go.wait()  # type: ignore[attr-defined]  # an event of another process
    for _ in range(SERIES_EACH):
        segment(sagittal, networks, threads=THREADS)


def throughput_lines(device: str) -> list[str]:
    """Return how many series a second are segmented with some workers."""
    lines = ["| workers | series a second, segmentation |", "| --- | --- |"]
    spawn = multiprocessing.get_context("spawn")
    for workers in WORKERS:
        ready, go = spawn.Semaphore(0), spawn.Event()
        all_of = [
            spawn.Process(target=_series_after_series, args=(device, ready, go))
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
        lines.append(f"| {workers} | {workers * SERIES_EACH / spent_s:.1f} |")
    return lines


def fallback_lines() -> list[str]:
    """Return what happens where a device is full or gone."""
    lines = []
    slices = series().volume.voxels[:, ::2, ::2].copy()
    for name, out_of_memory in (("full", True), ("gone", False)):
        cpu = load_segmenter(TISSUE, threads=THREADS)
        device = OnlySo(out_of_memory=out_of_memory)
        segmenter = Segmenter(
            cpu.card, device, lambda: load_segmenter(TISSUE, threads=THREADS)._runner
        )
        found = segmenter.probabilities(slices)
        same = np.array_equal(found, cpu.probabilities(slices))
        lines.append(
            f"- A device that is {name}: the CPU computes, "
            f"{'the same bits' if same else 'OTHER BITS'}; told: {segmenter.missed}."
        )
    return lines


def full_gpu_lines(device: str) -> list[str]:
    """Fill a real GPU to the last, and return what happens."""
    networks, sagittal = on_device(device), series()
    free, total = torch.cuda.mem_get_info(device)
    peak_mb = torch.cuda.max_memory_allocated(device) / _MB
    held, step = [], 1 << 28
    while step > 1 << 20:
        try:
            held.append(torch.empty(step, dtype=torch.uint8, device=device))
        except torch.OutOfMemoryError:
            step //= 2
    segment(sagittal, networks, threads=THREADS)
    held.clear()
    torch.cuda.empty_cache()
    return [
        f"- Memory: at most {peak_mb:.0f} MB of {total / _MB:.0f} were in use by torch "
        f"({free / _MB:.0f} MB free).",
        f"- The GPU filled by others: computed by {networks.runtime}; told: "
        f"{networks.missed or 'nothing, it went on with fewer slices at once'}.",
    ]


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true")
    rehearse = parser.parse_args().rehearse
    device = "cpu" if rehearse else "cuda"
    if not rehearse and not torch.cuda.is_available():
        sys.stderr.write("torch finds no GPU: nothing was measured\n")
        return 1
    examine(series().volume)
    lines = stage_lines(device, 1 if rehearse else REPEATS)
    lines += ["", *fallback_lines()]
    if not rehearse:
        lines += [*full_gpu_lines(device), "", *throughput_lines(device)]
        lines.insert(0, f"{torch.cuda.get_device_name()}, torch {torch.__version__}.\n")
        before, _, _ = DOCUMENT.read_text().partition(HEADING)
        body = "\n".join([HEADING, "", *lines, ""])
        DOCUMENT.write_text(before + body)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
