"""What each stage takes from the files of a series to those of its results.

`PYTHONPATH=. python -m tests.benchmarks.stages [REPEATS]` prints a Markdown table: 18
slices of 512 x 512, two threads, in one process and without a peer; the least of all
repeats, for other work on the machine makes a stage slower and never faster. Run the
same file in two checkouts, in turn, to compare them.

What is before segmentation, and all after it, are taken from each repeat as a whole, so
that nothing which has no row of its own is left out. Rows marked `+` run in a second
thread while the spine is measured: their processor time is that of all threads.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from analysis.lumbar.plugin import LumbarMri
from dicom_node.encode.result_context import EncodeRequest
from dicom_node.encode.result_objects import EncodedObject, load_encoders
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.work.encode import encode_series
from dicom_node.work.report_json import measured_report
from dicom_node.work.result_files import write_results
from tests.support.clinical import clinical_series
from tests.support.variants import write_all

ROOT = Path(__file__).resolve().parents[2]
THREADS = 2
WHOLE, LEFT = "analyse, as the node calls it", "all after segmentation"
BEFORE, SEGMENTATION = "all before segmentation", "segmentation"
INNER = (
    ("reading the files", "dicom_node.plugins.analyse_series", "read_volume"),
    ("first look", "analysis.lumbar.find.tissues", "look_first"),
    ("second look", "analysis.lumbar.find.tissues", "look_again"),
    (SEGMENTATION, "analysis.lumbar.correct.outlined_spine", "segment"),
    ("names of the levels", "analysis.lumbar.correct.outlined_spine", "name_levels"),
    ("labels of the series", "analysis.lumbar.correct.outlined_spine", "label_source"),
    ("seam", "analysis.lumbar.correct.outlined_spine", "with_seam"),
    ("fading", "analysis.lumbar.correct.outlined_spine", "with_fade"),
    ("measuring", "analysis.lumbar.measure.measurements", "measure_spine"),
    ("+ kept for corrections", "analysis.lumbar.correct.outlined_spine", "keep"),
    ("judging", "analysis.lumbar.judge.judgement", "judge"),
    ("drawing the pages", "analysis.lumbar.tell.result", "draw_pages"),
    ("telling, with the pages", "analysis.lumbar.tell.result", "tell"),
)
"""Stage, and the function that does it, where it is looked up."""
REQUEST = EncodeRequest(job_id="a" * 32, content_time=datetime(2024, 1, 1, tzinfo=UTC))


class Clock:
    """Notes how long stages take, wall and processor."""

    def __init__(self) -> None:
        self.least: dict[str, tuple[float, float]] = {}
        self._ends: dict[str, tuple[float, float]] = {}

    def time(self, stage: str, work: Callable[[], Any]) -> Any:
        """Do some work and note its time, if it is the least so far."""
        start = _now()
        done = work()
        end = _now()
        self._note(stage, start, end)
        if stage == SEGMENTATION:
            self._ends = {BEFORE: start, LEFT: end}
        elif stage == WHOLE:
            self._note(BEFORE, start, self._ends[BEFORE])
            self._note(LEFT, self._ends[LEFT], end)
        return done

    def _note(
        self, stage: str, start: tuple[float, float], end: tuple[float, float]
    ) -> None:
        took = end[0] - start[0], end[1] - start[1]
        known = self.least.get(stage, took)
        self.least[stage] = min(known[0], took[0]), min(known[1], took[1])

    def wrapped(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is timed whenever it is called."""
        return lambda *given, **named: self.time(stage, lambda: work(*given, **named))


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def once(paths: list[Path], plugin: LumbarMri, clock: Clock) -> None:
    """Go from files to results."""
    with ExitStack() as stack:
        for stage, module, name in INNER:
            work = getattr(importlib.import_module(module), name)
            patch = mock.patch(f"{module}.{name}", clock.wrapped(stage, work))
            stack.enter_context(patch)
        analysed: Analysed = clock.time(
            WHOLE, lambda: analyse_series(paths, plugin, threads=THREADS)
        )

    def build() -> tuple[EncodedObject, ...]:
        made: tuple[EncodedObject, ...] = clock.time(
            "building SEG, SR, SC", lambda: encode_series(analysed, REQUEST)
        )
        return made

    report = measured_report(analysed.result, series_uid="1.2.3", warnings=())
    with tempfile.TemporaryDirectory() as folder:
        clock.time(
            "building and writing them",
            lambda: write_results(
                Path(folder), build, report, analysed.result.pages[0]
            ),
        )


def main(repeats: int) -> None:
    """Measure and print."""
    clock, plugin = Clock(), LumbarMri()
    plugin.prepare(threads=THREADS, device="cpu")
    load_encoders()
    with tempfile.TemporaryDirectory() as folder:
        write_all(Path(folder), [clinical_series(ROOT / "deploy" / "demo" / "series")])
        paths = sorted(Path(folder).iterdir())
        for _ in range(repeats):
            once(paths, plugin, clock)
    lines = ["| least s | wall | processor |", "| --- | --- | --- |"]
    lines += [
        f"| {stage} | {wall_s:.2f} | {processor_s:.2f} |"
        for stage, (wall_s, processor_s) in clock.least.items()
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
