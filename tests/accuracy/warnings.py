"""Lists every warning that fires on the 55 T2 series with labels, series by series.

Run as `python -m tests.accuracy.warnings [FOLDER]`: SPIDER, `fcs_ivd`, `fcs_vb1` and
`fcs_vb2`, train and public_test, as they are and through the product as a whole. Each
first page of a series with a warning is written to FOLDER, to be looked at. What they
were judged to be stands in docs/accuracy-measurements.md.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from analysis.contract.errors import UnsuitableInput
from analysis.contract.plugin import Context, Subject
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume
from analysis.lumbar.plugin import ROLE, LumbarMri
from tests.accuracy import levels as other_hospitals
from tests.support import spider

SPLITS = ("train", "public_test")


def labelled() -> Iterator[tuple[str, Volume]]:
    """Yield the T2 series of several slices that a reader has labelled."""
    for split in SPLITS:
        for patient in spider.patients(split):
            yield f"spider_{patient}", spider.read_volume(patient)
        for name, folder in other_hospitals.series(split):
            yield name, other_hospitals.read(folder)[0]


def warned(result: AnalysisResult) -> list[tuple[str, str]]:
    """Return code and text of each warning."""
    return [(one.code, one.text) for one in result.warnings]


def main(folder: Path | None) -> None:
    """List them, and count the series of each code."""
    plugin = LumbarMri()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    by_code: dict[str, list[str]] = defaultdict(list)
    count = 0
    for name, volume in labelled():
        count += 1
        try:
            result = plugin.analyse({ROLE: volume}, context())
        except UnsuitableInput as refused:
            by_code[f"refused: {refused.code}"].append(name)
            sys.stdout.write(f"{name}: refused, {refused.code}: {refused.text}\n")
            continue
        told = warned(result)
        for code in dict.fromkeys(code for code, _ in told):
            by_code[code].append(name)
        for code, text in told:
            sys.stdout.write(f"{name}: {code}: {text}\n")
        if told and folder is not None:
            page = folder / f"{name}.png"
            Image.fromarray(result.pages[0].pixels).save(page)
    sys.stdout.write(f"\n{count} series\n")
    for code, names in sorted(by_code.items()):
        sys.stdout.write(f"{code}: {len(names)}: {', '.join(names)}\n")


def context() -> Context:
    """Return what is known of a series without attributes: nothing."""
    return Context(subject=Subject(), summaries={}, threads=2)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
