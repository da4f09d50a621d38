"""Time and memory of the network, and its ratio to BianqueNet's architecture.

`PYTHONPATH=. python -m tests.benchmarks.network [cuda]` prints Markdown tables. A
series has 20 slices of 512 x 512 pixels of 0.6 mm; noise, for the time does not depend
on what is seen. With `cuda` the network runs on the GPU. The architectures are compared
in torch on the same device, in turns, with random weights: these change no time.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from analysis.contract.geometry import Frame
from analysis.contract.volume import Volume
from analysis.inference.engine import Segmenter, load_segmenter
from analysis.lumbar.segment import PIXEL_MM, segment
from analysis.lumbar.suitability import SagittalVolume, examine
from tests.support import spider

SHAPE = (20, 512, 512)
SPACING_MM = np.array([4.0, 0.6, 0.6])
THREADS = 2
REPEATS = 5
_ROUNDS = 3
"""Of the architectures; BianqueNet takes seconds a slice."""


def series() -> SagittalVolume:
    """Return a series of noise."""
    voxels = np.random.default_rng(0).gamma(2.0, 50.0, SHAPE).astype(np.float32)
    frame = Frame(
        origin_mm=np.zeros(3), directions=spider.STRAIGHT, spacing_mm=SPACING_MM
    )
    return examine(Volume(voxels=voxels, frame=frame, series_uid="1.2.3"))


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of some work, after one run to warm up."""
    work()
    return statistics.median(once(work) for _ in range(repeats))


def once(work: Callable[[], object]) -> float:
    """Return the time of some work (s)."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def product_lines(segmenter: Segmenter, device: str) -> list[str]:
    """Return the table of the product's own path."""
    volume, count = series(), SHAPE[0]
    side = round(SHAPE[1] * float(SPACING_MM[1]) / PIXEL_MM)
    grey = np.random.default_rng(1).gamma(2.0, 50.0, (count, side, side))
    slices = grey.astype(np.float32)
    alone_s = seconds(lambda: segmenter.probabilities(slices), REPEATS)
    whole_s = seconds(lambda: segment(volume, segmenter, threads=THREADS), REPEATS)
    # Before torch is imported for the comparison, which no node on a CPU does.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows, columns = SHAPE[1:]
    return [
        f"| {count} slices of {rows} x {columns}, {device}, {THREADS} threads | |",
        "| --- | --- |",
        f"| network with normalisation, ms a slice | {1000 * alone_s / count:.1f} |",
        f"| slices a second | {count / alone_s:.0f} |",
        f"| with resampling, ms a slice | {1000 * whole_s / count:.1f} |",
        f"| with resampling, the series, s | {whole_s:.2f} |",
        f"| peak memory of the process, MB | {peak_mb:.0f} |",
    ]


def architecture_lines(device: str) -> list[str]:
    """Return the table of the architectures."""
    import torch

    from analysis.training.architectures import build_network
    from analysis.training.compare import Budget, rival_settings

    torch.set_num_threads(THREADS)
    side = round(SHAPE[1] * float(SPACING_MM[1]) / PIXEL_MM)
    jobs, weights = {}, {}
    for settings in rival_settings(Budget()):
        network = build_network(settings).eval().to(device)
        weights[settings.name] = sum(one.numel() for one in network.parameters())
        shape = (1, 2 * settings.network.context + 1, side, side)
        seen = torch.zeros(shape, device=device)

        def run(network: torch.nn.Module = network, seen: torch.Tensor = seen) -> None:
            with torch.inference_mode():
                network(seen).cpu()

        jobs[settings.name] = run
    for job in jobs.values():  # to warm up
        job()
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(_ROUNDS):
        for name, job in jobs.items():
            taken[name].append(once(job))
    times = {name: statistics.median(values) for name, values in taken.items()}
    least = min(times.values())
    return [
        f"| torch, {device}, a slice of {side} x {side} | million weights | ms "
        "| ratio |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {weights[name] / 1e6:.1f} | {1000 * value:.0f} "
            f"| {value / least:.0f} |"
            for name, value in times.items()
        ),
    ]


def main() -> None:
    """Measure and print."""
    device = "cuda" if "cuda" in sys.argv[1:] else "cpu"
    segmenter = load_segmenter(threads=THREADS, device=device)
    if segmenter.missed:
        sys.exit(f"not measured: {segmenter.missed}")
    print("\n".join([*product_lines(segmenter, device), ""]))
    if segmenter.missed:
        sys.exit(f"the GPU was left for the CPU: {segmenter.missed}")
    print("\n".join(architecture_lines(device)))


if __name__ == "__main__":
    main()
