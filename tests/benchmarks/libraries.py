"""SimpleITK against our own resampling, and torch on the CPU against OpenVINO.

`PYTHONPATH=. python -m tests.benchmarks.libraries [REPEATS]` prints two Markdown
tables. The series is that of the demo with 18 slices of 512 x 512. Resampling is timed
as the product asks for it: all slices onto the sagittal grid of 0.8 mm, straight and
turned by 10 degrees within the slices, and the field of a structure on turned rays, as
each measure reads it. The networks see one slice of 384 x 384. The least of all repeats
stands, each in turn, because other work on the machine makes a turn slower and never
faster; the processor time is what to compare on a busy one.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray

from analysis.contract.volume import Volume
from analysis.imaging.linear_reader import LinearReader
from analysis.imaging.resample import resample
from analysis.imaging.sagittal_grid import sagittal_grid
from analysis.inference.cpu_runner import cpu_runner
from analysis.inference.model_card import MODELS
from analysis.inference.unet import UNet
from analysis.lumbar.anatomy.tissue_map import PIXEL_MM
from dicom_node.decode.volume import read_volume
from tests.support.clinical import clinical_series
from tests.support.variants import write_all

ROOT = Path(__file__).resolve().parents[2]
ITK: Any = SimpleITK
"""Its stubs type no call."""
THREADS = 2
TURN_RAD = np.radians(10.0)
SIDE, CHANNELS = 384, 3
RAYS, POINTS, FIELD = 180, 80, 64
"""Of a disc: 72 mm by 32 mm in steps of 0.4 mm, in a window of 64 x 64 pixels."""
READS = 500
Planes = NDArray[np.float32]
Work = Callable[[], Planes]


def series() -> Volume:
    """Return the series of the demo."""
    with tempfile.TemporaryDirectory() as folder:
        written = clinical_series(ROOT / "deploy" / "demo" / "series")
        write_all(Path(folder), [written])
        return read_volume(sorted(Path(folder).iterdir())).volume


def least(jobs: Mapping[str, Work], repeats: int) -> dict[str, tuple[float, float]]:
    """Return the least wall and processor time (ms) of each job, all in turn."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            wall_s, processor_s = time.perf_counter(), time.process_time()
            job()
            spent_s = time.perf_counter() - wall_s, time.process_time() - processor_s
            taken[name].append(spent_s)
    return {
        name: (1000 * min(wall for wall, _ in all_of), 1000 * min(p for _, p in all_of))
        for name, all_of in taken.items()
    }


def itk_plane(
    plane: Planes,
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int],
    outside: float,
) -> Planes:
    """Read a plane (R, C) as `resample` does, by SimpleITK."""
    transform = ITK.AffineTransform(2)
    # Their points are (column, row).
    transform.SetMatrix(matrix[::-1, ::-1].ravel().tolist())
    transform.SetTranslation(offset[::-1].tolist())
    filters = ITK.ResampleImageFilter()
    filters.SetTransform(transform)
    filters.SetSize([shape[1], shape[0]])
    filters.SetInterpolator(ITK.sitkLinear)
    filters.SetDefaultPixelValue(outside)
    image = ITK.GetImageFromArray(plane)
    return np.asarray(ITK.GetArrayFromImage(filters.Execute(image)), np.float32)


def itk_volume(
    voxels: Planes,
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    shape: tuple[int, int],
) -> Planes:
    """Read all slices at once, the threads sharing them."""
    whole = np.eye(3)
    whole[:2, :2] = matrix[::-1, ::-1]
    transform = ITK.AffineTransform(3)
    transform.SetMatrix(whole.ravel().tolist())
    transform.SetTranslation([*offset[::-1].tolist(), 0.0])
    filters = ITK.ResampleImageFilter()
    filters.SetTransform(transform)
    filters.SetSize([shape[1], shape[0], len(voxels)])
    filters.SetInterpolator(ITK.sitkLinear)
    image = ITK.GetImageFromArray(voxels)
    return np.asarray(ITK.GetArrayFromImage(filters.Execute(image)), np.float32)


def resampling_lines(repeats: int) -> list[str]:
    """Return the table of resampling."""
    ITK.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
    volume = series()
    voxels = volume.voxels
    count, rows, columns = voxels.shape
    grid = sagittal_grid(volume.frame, (count, rows, columns), PIXEL_MM)
    straight, start = grid.plane_map(to_source=True)
    shape = (grid.shape[1], grid.shape[2])
    middle = np.array([rows, columns]) / 2
    cosine, sine = np.cos(TURN_RAD), np.sin(TURN_RAD)
    turned = straight @ [[cosine, -sine], [sine, cosine]]
    turned_start = middle - turned @ (np.array(shape) / 2)
    lines = [
        f"| {count} slices of {rows} x {columns}, {THREADS} threads | ours, wall "
        "(processor), ms | SimpleITK by slice | SimpleITK by volume | largest "
        "difference, of the largest grey value | pixels that differ in their outside |",
        "|---|---|---|---|---|---|",
    ]
    for name, matrix, offset in (
        ("straight grid", straight, start),
        ("turned by 10 degrees", turned, turned_start),
    ):

        def ours(
            matrix: NDArray[np.float64] = matrix, offset: NDArray[np.float64] = offset
        ) -> Planes:
            def one(plane: Planes) -> Planes:
                return resample(plane, matrix, offset, shape, order=1)

            with ThreadPoolExecutor(THREADS) as pool:
                return np.stack(list(pool.map(one, voxels)))

        def by_slice(
            matrix: NDArray[np.float64] = matrix, offset: NDArray[np.float64] = offset
        ) -> Planes:
            return np.stack(
                [itk_plane(plane, matrix, offset, shape, 0.0) for plane in voxels]
            )

        def by_volume(
            matrix: NDArray[np.float64] = matrix, offset: NDArray[np.float64] = offset
        ) -> Planes:
            return itk_volume(voxels, matrix, offset, shape)

        jobs = {"ours": ours, "by slice": by_slice, "by volume": by_volume}
        lines.append(_line(name, jobs, repeats, float(voxels.max())))
    lines.append(_rays_line(repeats))
    return lines


def _rays_line(repeats: int) -> str:
    field = np.random.default_rng(0).normal(0, 100, (FIELD, FIELD)).astype(np.float32)
    cosine, sine = np.cos(TURN_RAD) / 2, np.sin(TURN_RAD) / 2
    matrix = np.array([[-sine, cosine], [cosine, sine]])
    offset = FIELD / 2 - matrix @ [RAYS / 2, POINTS / 2]
    places = (range(RAYS), range(POINTS))

    def ours() -> Planes:
        for _ in range(READS):
            read = LinearReader(matrix, offset, places, field.shape).read(field, -255.0)
        return read

    def by_itk() -> Planes:
        for _ in range(READS):
            read = itk_plane(field, matrix, offset, (RAYS, POINTS), -255.0)
        return read

    name = f"{READS} fields on turned rays, {RAYS} x {POINTS}"
    return _line(name, {"ours": ours, "by slice": by_itk}, repeats, 255.0)


def _line(name: str, jobs: Mapping[str, Work], repeats: int, scale: float) -> str:
    found = {job: work() for job, work in jobs.items()}  # and to warm up
    outside = {job: planes == planes.flat[0] for job, planes in found.items()}
    ours = found["ours"]
    away, edges = [], []
    for job, planes in found.items():
        if job != "ours":
            both = ~outside["ours"] & ~outside[job]
            away.append(float(np.abs(planes - ours)[both].max()) / scale)
            edges.append(int((outside["ours"] != outside[job]).sum()))
    times = least(jobs, repeats)
    cells = [
        f"{times[job][0]:.1f} ({times[job][1]:.1f})" if job in times else "–"
        for job in ("ours", "by slice", "by volume")
    ]
    return f"| {name} | {' | '.join(cells)} | {max(away):.1e} | {max(edges)} |"


def network_lines(repeats: int) -> list[str]:
    """Return the table of the first network."""
    torch.set_num_threads(THREADS)
    graph = (MODELS / "lumbar.onnx").read_bytes()
    weights = (MODELS / "lumbar.safetensors").read_bytes()
    runner = cpu_runner(graph, weights, threads=THREADS)
    voxels = series().voxels
    side = min(SIDE, *voxels.shape[1:])
    seen = voxels[None, 6 : 6 + CHANNELS, :side, :side].copy()
    seen = ((seen - seen.mean()) / seen.std()).astype(np.float32)
    seen = np.pad(seen, ((0, 0), (0, 0), (0, SIDE - side), (0, SIDE - side)), "edge")
    pair = np.concatenate([seen, seen[:, :, ::-1].copy()])

    from safetensors.torch import load

    def in_torch(*, half: bool) -> Work:
        network = UNet.of_weights(load(weights)).eval()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stub

        def run() -> Planes:
            given = torch.from_numpy(pair).contiguous(memory_format=torch.channels_last)
            precision = torch.autocast("cpu", dtype=torch.bfloat16, enabled=half)
            with torch.inference_mode(), precision:
                shares = torch.softmax(network(given).float(), dim=1)
            found: Planes = shares.contiguous().numpy()
            return found

        return run

    jobs = {
        f"OpenVINO ({runner.runtime})": lambda: runner.run(pair),
        "torch fp32, channels last": in_torch(half=False),
        "torch bf16, channels last": in_torch(half=True),
    }
    found = {name: job() for name, job in jobs.items()}
    exact = found["torch fp32, channels last"]
    times = least(jobs, repeats)
    first = next(iter(jobs))
    lines = [
        f"| a slice of {SIDE} x {SIDE}, {THREADS} threads | wall ms | processor ms | "
        "against OpenVINO, processor | labels unlike torch fp32 | probability, at most "
        "|",
        "|---|---|---|---|---|---|",
    ]
    for name, (wall_ms, processor_ms) in times.items():
        unlike = np.mean(found[name].argmax(axis=1) != exact.argmax(axis=1))
        lines.append(
            f"| {name} | {wall_ms / len(pair):.0f} | {processor_ms / len(pair):.0f} "
            f"| {processor_ms / times[first][1]:.2f} | {100 * unlike:.3f} % "
            f"| {np.abs(found[name] - exact).max():.1e} |"
        )
    return lines


def main(repeats: int) -> None:
    """Measure and print."""
    sys.stdout.write("\n".join([*resampling_lines(repeats), "", ""]))
    sys.stdout.write("\n".join(network_lines(repeats)) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
