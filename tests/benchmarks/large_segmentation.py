"""Size, time and memory of the SEG of a series with very many slices.

`PYTHONPATH=. python tests/benchmarks/large_segmentation.py [SLICES]` prints a Markdown
table: a phantom of 420 slices of 192 x 192 with twelve structures, each kind in a
process of its own, and the same file deflated as a whole (PS3.5 A.5).
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
import zlib
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from dicom_node.encode.result_objects import encode_result
from dicom_node.encode.write_part10 import encode_file
from tests.support.encoded import REQUEST, decoded_phantom
from tests.support.phantom_result import phantom_result

KINDS = ("binary", "labelmap", "labelmap-rle")
SIDE = 192
DEPTH_MM = 100.0
HEIGHT_MM = 256.0
MIB = 2**20


def resident(key: str) -> float:
    """Return a size of this process, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (one for one in lines if one.startswith(f"{key}:"))
    return float(line.split()[1]) / 1024


def measured(slices: int, kind: str, answers: Connection) -> None:
    """Encode and write one kind, and send its row."""
    spacing = HEIGHT_MM / SIDE
    with tempfile.TemporaryDirectory() as folder:
        series, labels = decoded_phantom(
            Path(folder),
            shape=(slices, SIDE, SIDE),
            spacing_mm=(DEPTH_MM / slices, spacing, spacing),
            MRAcquisitionType="3D",
        )
    result = phantom_result(labels)
    request = replace(REQUEST, objects=("seg",), segmentation=kind)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    wall, cpu = time.perf_counter(), time.process_time()
    encoded = encode_result(result, series, request)
    files = [encode_file(one.dataset) for one in encoded]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resident("VmHWM") - before
    frames = [int(one.dataset.NumberOfFrames) for one in encoded]
    deflated = sum(len(zlib.compress(one, 6)) for one in files)
    answers.send(
        (
            kind, str(len(files)), str(max(frames)), str(sum(frames)),
            f"{sum(map(len, files)) / MIB:.1f}", f"{deflated / MIB:.1f}",
            f"{cpu:.1f}", f"{wall:.1f}", f"{peak:.0f}",
        )
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    slices = int(sys.argv[1]) if len(sys.argv) > 1 else 420
    heads = (
        "kind", "SEGs", "most frames", "frames", "MiB", "deflated, MiB", "processor, s",
        "wall, s", "memory, MiB",
    )  # fmt: skip
    sys.stdout.write(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n")
    for kind in KINDS:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=measured, args=(slices, kind, theirs))
        process.start()
        theirs.close()
        sys.stdout.write(f"| {' | '.join(ours.recv())} |\n")
        process.join()


if __name__ == "__main__":
    main()
