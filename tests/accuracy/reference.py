"""Measures pictures that were exported without their geometry, as the reference does.

Run as `python -m tests.accuracy.reference PICTURE...`; without arguments it takes the
authors' sample pictures of `../shared/data/bianquenet`. The picture is repeated on
three slices, for one does not show that it lies in the middle, with pixels of 0.55 mm.
That only decides at what size the network sees it, and how wide a rim of 1.5 mm is: the
reference's values are pixels of the picture, and ratios.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from analysis.contract.geometry import Frame
from analysis.contract.plugin import Context, Subject
from analysis.contract.volume import Volume
from analysis.lumbar.plugin import ROLE, LumbarMri
from tests.support import spider

PIXEL_MM = 0.55
SLICE_MM = 4.0
SLICES = 3
KEYS = ("dh_px512", "dhi", "hdr", "delta_si", "delta_si_grade")


def volume_of(path: Path) -> Volume:
    """Read a picture, head up and front to the left, as a series of equal slices."""
    grey = np.asarray(Image.open(path).convert("L"), np.float32)
    frame = Frame(
        origin_mm=np.zeros(3),
        directions=spider.STRAIGHT,
        spacing_mm=np.array([SLICE_MM, PIXEL_MM, PIXEL_MM]),
    )
    return Volume(voxels=np.stack([grey] * SLICES), frame=frame, series_uid="1.2.3")


def main(paths: list[Path]) -> None:
    """Write the reference's values of each picture to standard output."""
    plugin = LumbarMri()
    for path in paths:
        context = Context(subject=Subject(), summaries={})
        result = plugin.analyse({ROLE: volume_of(path)}, context)
        codes = ", ".join(warning.code for warning in result.warnings)
        lines = [f"{path.parent.name}/{path.name}; warnings: {codes or 'none'}", ""]
        lines += [f"| level | {' | '.join(KEYS)} | delta_si (ours) |", "|---" * 7 + "|"]
        levels = result.details["levels"]
        if not isinstance(levels, list):
            raise TypeError(levels)
        for level in levels:
            values = [level["reference"][key] for key in KEYS] + [level["delta_si"]]
            shown = ["-" if value is None else f"{value:.3f}" for value in values]
            lines.append(f"| {level['level']} | {' | '.join(shown)} |")
        sys.stdout.write("\n".join([*lines, "", ""]))


if __name__ == "__main__":
    main(
        [Path(name) for name in sys.argv[1:]]
        or sorted((spider.SHARED / "bianquenet").glob("*/*.BMP"))
    )
