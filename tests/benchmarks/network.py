"""Time and memory of the networks, and their ratio to BianqueNet's architecture.

`PYTHONPATH=. python -m tests.benchmarks.network [cuda]` prints Markdown tables. A
series has 20 slices of 512 x 512 pixels: those of the demo, the last three times, given
out as pixels of 0.6 mm. All of them show discs, so that the second look has as much to
do as it can have. With `cuda` the networks run on the GPU. The architectures are
compared in torch on the same device, in turns, with random weights: these change no
time.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.lumbar.check.series import SagittalVolume, examine
from analysis.lumbar.find.networks import Networks, load_networks
from analysis.lumbar.find.tissues import segment
from dicom_node.decode.volume import read_volume
from tests.support.clinical import clinical_series
from tests.support.variants import write_all

ROOT = Path(__file__).resolve().parents[2]
COUNT = 20
SPACING_MM = np.array([4.0, 0.6, 0.6])
SIDE = 384
"""Pixels of 0.8 mm: what 512 x 512 of 0.6 mm become."""
THREADS = 2
REPEATS = 5
_ROUNDS = 3
"""Of the architectures; BianqueNet takes seconds a slice."""


def series() -> SagittalVolume:
    """Return the series of the demo with 20 slices."""
    with tempfile.TemporaryDirectory() as folder:
        written = clinical_series(ROOT / "deploy" / "demo" / "series")
        write_all(Path(folder), [written])
        volume = read_volume(sorted(Path(folder).iterdir())).volume
    more = COUNT - len(volume.voxels)
    voxels = np.pad(volume.voxels, ((0, more), (0, 0), (0, 0)), mode="edge")
    frame = replace(volume.frame, spacing_mm=SPACING_MM)
    return examine(replace(volume, voxels=voxels, frame=frame))


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of some work, after one run to warm up."""
    work()
    return statistics.median(once(work) for _ in range(repeats))


def once(work: Callable[[], object]) -> float:
    """Return the time of some work (s)."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def product_lines(networks: Networks) -> list[str]:
    """Return the table of the product's own path."""
    sagittal = series()
    count, rows, columns = sagittal.volume.voxels.shape
    slices = np.random.default_rng(1).gamma(2.0, 50.0, (count, SIDE, SIDE))
    grey = slices.astype(np.float32)
    alone_s = seconds(lambda: networks.tissue.probabilities(grey), REPEATS)
    once_s = seconds(
        lambda: segment(sagittal, Networks(tissue=networks.tissue), threads=THREADS),
        REPEATS,
    )
    whole_s = seconds(lambda: segment(sagittal, networks, threads=THREADS), REPEATS)
    # Before torch is imported for the comparison, which no node on a CPU does.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        f"| {count} slices of {rows} x {columns}, {networks.runtime}, "
        f"{THREADS} threads | |",
        "| --- | --- |",
        f"| first network on {SIDE} x {SIDE}, ms a slice "
        f"| {1000 * alone_s / count:.1f} |",
        f"| its slices a second | {count / alone_s:.0f} |",
        f"| without the second look, the series, s | {once_s:.2f} |",
        f"| all of segmentation, ms a slice | {1000 * whole_s / count:.1f} |",
        f"| all of segmentation, the series, s | {whole_s:.2f} |",
        f"| peak memory of the process, MB | {peak_mb:.0f} |",
    ]


def architecture_lines(device: str) -> list[str]:
    """Return the table of the architectures."""
    import torch

    from analysis.training.architectures import build_network
    from analysis.training.compare import Budget, rival_settings

    torch.set_num_threads(THREADS)
    jobs, weights = {}, {}
    for settings in rival_settings(Budget()):
        network = build_network(settings).eval().to(device)
        weights[settings.name] = sum(one.numel() for one in network.parameters())
        shape = (1, 2 * settings.network.context + 1, SIDE, SIDE)
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
        f"| torch, {device}, a slice of {SIDE} x {SIDE} | million weights | ms "
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
    networks = load_networks(threads=THREADS, device=device)
    if networks.missed:
        sys.exit(f"not measured: {networks.missed}")
    print("\n".join([*product_lines(networks), ""]))
    if networks.missed:
        sys.exit(f"the GPU was left for the CPU: {networks.missed}")
    print("\n".join(architecture_lines(device)))


if __name__ == "__main__":
    main()
