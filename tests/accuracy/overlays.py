"""Draws what the product finds in pictures that may be looked at and not handed on.

`python -m tests.accuracy.overlays` writes into `build/overlays`, which git ignores: of
the T2 series of `rsna_dicom`, the slices of `sudirman2d` and the authors' pictures of
`bianquenet`, none of which has labels, the first page of the result and, of a series,
every slice with its structures. What was seen in them stands in
docs/segmentation-results.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from analysis.contract.errors import UnsuitableInput
from analysis.contract.geometry import Frame
from analysis.contract.plugin import Context, Subject
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.structures import STRUCTURES
from analysis.lumbar.plugin import ROLE, LumbarMri
from analysis.training.overlay import save_sheet
from tests.accuracy import reference
from tests.support import spider

OUT = Path("build/overlays")
_OPACITY = 0.35
_PER_ROW = 6


def pictures() -> Iterator[tuple[str, Volume]]:
    """Yield name and volume of each picture."""
    for folder in sorted((spider.SHARED / "rsna_dicom").glob("*/sag_T2*")):
        yield f"rsna_{folder.parent.name}", dicom_volume(folder)
    for path in sorted((spider.SHARED / "sudirman2d").glob("*/image.png")):
        yield f"sudirman_{path.parent.name}", reference.volume_of(path)
    for path in sorted((spider.SHARED / "bianquenet").glob("*/*.BMP")):
        yield f"bianquenet_{path.parent.name}", reference.volume_of(path)


def dicom_volume(folder: Path) -> Volume:
    """Read a series that lacks what a node asks for; slices run to the right."""
    slices = [pydicom.dcmread(path, force=True) for path in folder.glob("*.dcm")]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[0]), reverse=True)
    places = [float(one.ImagePositionPatient[0]) for one in slices]
    spacing = [abs(places[0] - places[-1]) / (len(places) - 1)]
    spacing += [float(step) for step in slices[0].PixelSpacing]
    frame = Frame(
        origin_mm=np.zeros(3),
        directions=spider.STRAIGHT,
        spacing_mm=np.array(spacing),
    )
    voxels = np.stack([one.pixel_array for one in slices]).astype(np.float32)
    return Volume(voxels=voxels, frame=frame, series_uid="1.2.3")


def painted(picture: NDArray[np.float32], labels: NDArray[np.uint8]) -> Image.Image:
    """Return a slice with its structures tinted, in the colours of the SEG."""
    high = max(float(np.percentile(picture, 99)), 1.0)
    tone = np.clip(picture / high, 0, 1) * 255
    shown = np.repeat(tone[..., None], 3, axis=2)
    for structure in STRUCTURES:
        here = labels == structure.number
        tint = np.array(structure.colour, np.float64)
        shown[here] = (1 - _OPACITY) * shown[here] + _OPACITY * tint
    return Image.fromarray(shown.astype(np.uint8))


def main(out: Path) -> None:
    """Draw every picture; say what was found in it."""
    out.mkdir(parents=True, exist_ok=True)
    plugin = LumbarMri()
    for name, volume in pictures():
        context = Context(subject=Subject(), summaries={})
        try:
            result = plugin.analyse({ROLE: volume}, context)
        except UnsuitableInput as outcome:
            sys.stdout.write(f"{name}: {outcome.code}: {outcome.text}\n")
            continue
        Image.fromarray(result.pages[0].pixels).save(out / f"{name}.png")
        labels = result.segmentation.labels
        if len(labels) > reference.SLICES:
            shown = [
                np.asarray(painted(picture, drawn))
                for picture, drawn in zip(volume.voxels, labels, strict=True)
            ]
            starts = range(0, len(shown), _PER_ROW)
            rows = [shown[start : start + _PER_ROW] for start in starts]
            save_sheet(rows, out / f"{name}_slices.png")
        levels = [one.label for one in result.segmentation.segments]
        codes = [warning.code for warning in result.warnings]
        sys.stdout.write(f"{name}: {', '.join(levels)}; warnings {codes}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else OUT)
