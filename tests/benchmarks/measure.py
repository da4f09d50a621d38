"""How long measuring takes once the network has answered.

`PYTHONPATH=. python tests/benchmarks/measure.py [REPEATS]` prints a Markdown table: 18
slices of 512 x 512, two threads. The network runs once; its answer is then given again
without computing it, so that all the rest of `analyse` is timed: levels, the 20
parameters of the reference and our own, signal, grades, norms, doubts and pages.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from analysis.contract.plugin import Context
from analysis.inference.card import ModelCard
from analysis.inference.engine import load_segmenter
from analysis.lumbar import pages
from analysis.lumbar.plugin import ROLE, LumbarMri
from dicom_node.decode.headers import read_headers
from dicom_node.decode.select import summarise
from dicom_node.decode.volume import read_volume
from tests.support.clinical import clinical_series
from tests.support.variants import write_all

ROOT = Path(__file__).resolve().parents[2]
THREADS = 2


class Recall:
    """A network that answers once, and then gives the same answers again."""

    missed = ""

    def __init__(self) -> None:
        self._network = load_segmenter("lumbar", threads=THREADS)
        self._answers: list[NDArray[np.float32]] = []
        self._next = 0

    @property
    def card(self) -> ModelCard:
        """What the network is."""
        return self._network.card

    def rewind(self) -> None:
        """Begin with the first answer."""
        self._next = 0

    def probabilities(
        self, slices: NDArray[np.float32], part: slice = slice(None)
    ) -> NDArray[np.float32]:
        """Give the next answer; compute it where there is none yet."""
        if self._next == len(self._answers):
            self._answers.append(self._network.probabilities(slices, part))
        self._next += 1
        return self._answers[self._next - 1].copy()


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
    network, drawing = Recall(), list[float]()
    plugin = LumbarMri(lambda *_: network)

    def draw(sheet: pages.Sheet) -> object:
        started_s = time.perf_counter()
        drawn = drawn_by(sheet)
        drawing.append(time.perf_counter() - started_s)
        return drawn

    drawn_by, whole = pages.draw_pages, list[float]()
    with mock.patch.object(pages, "draw_pages", draw):
        for _ in range(repeats + 1):
            network.rewind()
            started_s = time.perf_counter()
            plugin.analyse({ROLE: decoded.volume}, context)
            whole.append(time.perf_counter() - started_s)
    # The first run computes the network's answer and loads the modules.
    both = zip(whole[1:], drawing[1:], strict=True)
    measuring = [all_of_it - pictures for all_of_it, pictures in both]
    rows = (("measuring", measuring), ("drawing the pages", drawing[1:]))
    lines = ["| after the network | median s | slowest s |", "|---|---|---|"]
    lines += [f"| {w} | {statistics.median(t):.2f} | {max(t):.2f} |" for w, t in rows]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
