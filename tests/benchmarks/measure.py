"""How long measuring takes after segmentation.

`PYTHONPATH=. python tests/benchmarks/measure.py [REPEATS]` prints a Markdown table: 18
slices of 512 x 512, two threads. The series is segmented once, and the tissue map then
given again, so that all the rest of `analyse` is timed: levels, outlines on the
series' own grid, the 20 parameters of the reference and our own, signal, grades, norms,
doubts and pages. `tests.benchmarks.network` times segmentation.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from analysis.contract.plugin import Context
from analysis.lumbar.check.series import examine
from analysis.lumbar.correct import outlined_spine
from analysis.lumbar.find.networks import load_networks
from analysis.lumbar.find.tissues import segment
from analysis.lumbar.plugin import ROLE, LumbarMri
from analysis.lumbar.tell import result as telling
from analysis.lumbar.tell.pages.page_content import Sheet
from dicom_node.decode.headers import read_headers
from dicom_node.decode.suitable_series import summarise
from dicom_node.decode.volume import read_volume
from tests.support.clinical import clinical_series
from tests.support.variants import write_all

ROOT = Path(__file__).resolve().parents[2]
THREADS = 2


def main(repeats: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        series = clinical_series(ROOT / "deploy" / "demo" / "series")
        write_all(Path(folder), [series])
        paths = sorted(Path(folder).iterdir())
        decoded, summary = read_volume(paths), summarise(read_headers(paths))
    context = Context(
        subject=decoded.subject, summaries={ROLE: summary}, threads=THREADS
    )
    tissues = segment(examine(decoded.volume), load_networks(), threads=THREADS)
    drawing, plugin = list[float](), LumbarMri()

    def draw(sheet: Sheet) -> object:
        started_s = time.perf_counter()
        drawn = drawn_by(sheet)
        drawing.append(time.perf_counter() - started_s)
        return drawn

    drawn_by, whole = telling.draw_pages, list[float]()
    with (
        mock.patch.object(outlined_spine, "segment", return_value=tissues),
        mock.patch.object(telling, "draw_pages", draw),
    ):
        for _ in range(repeats + 1):
            started_s = time.perf_counter()
            plugin.analyse({ROLE: decoded.volume}, context)
            whole.append(time.perf_counter() - started_s)
    # The first run loads the modules.
    both = zip(whole[1:], drawing[1:], strict=True)
    measuring = [all_of_it - pictures for all_of_it, pictures in both]
    rows = (("measuring", measuring), ("drawing the pages", drawing[1:]))
    lines = ["| after segmentation | median s | slowest s |", "|---|---|---|"]
    lines += [f"| {w} | {statistics.median(t):.2f} | {max(t):.2f} |" for w, t in rows]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
