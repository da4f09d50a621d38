"""A toy anatomy that the node serves end to end, without the science of the lumbar.

`make_installed` writes what a distribution of its own would have installed; a process
that gets the environment returned finds it as the analysis `phantom-mri`.

The toy measures the brightest half of a picture. With PHANTOM_POISON set to a series
UID it kills its process on that series; asked for a series of PHANTOM_ENDS slices it
ends its process, of PHANTOM_RAISES slices it breaks; one with fewer slices than
PHANTOM_MIN_SLICES is unsuitable; while the file PHANTOM_HELD exists, it analyses
without an end.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.contract.acquisition import Acquisition
from analysis.contract.concepts import MILLIMETRE, PRIVATE_SCHEME, Concept
from analysis.contract.errors import UnsuitableInput
from analysis.contract.follow_up import Prior
from analysis.contract.measurement import Measurement, Outline
from analysis.contract.outlines import Outlines
from analysis.contract.plugin import (
    CONTRACT_VERSION,
    Context,
    Fit,
    Plane,
    Role,
    SeriesSummary,
)
from analysis.contract.result import (
    AnalysisResult,
    Finding,
    Json,
    Page,
    Provenance,
)
from analysis.contract.segmentation import Segment, Segmentation
from analysis.contract.volume import Volume

NAME = "phantom-mri"
ROLE = "any_mr"
ROOT = Path(__file__).resolve().parents[2]

_HALF = Concept("PHANTOM", PRIVATE_SCHEME, "Brightest half of a phantom")
_LENGTH = Concept("PHANTOM-LENGTH", PRIVATE_SCHEME, "Length of a phantom")


class PhantomMri:
    """Takes every sagittal series and finds one thing in it."""

    name = NAME
    version = "1"
    contract_version = CONTRACT_VERSION
    inputs: tuple[Role, ...] = (ROLE,)

    def accepts(self, summary: SeriesSummary) -> Fit:
        """Take what is sagittal."""
        if str(summary.slice_count) == os.environ.get("PHANTOM_ENDS"):
            os._exit(3)
        if str(summary.slice_count) == os.environ.get("PHANTOM_RAISES"):
            raise RecursionError
        if summary.plane is not Plane.SAGITTAL:
            return Fit(accepted=False, code="not_sagittal", text="is not sagittal")
        return Fit(accepted=True)

    def prepare(self, *, threads: int, device: str) -> str:
        """Need nothing."""
        return "a toy needs no GPU" if device.startswith("cuda") else ""

    def analyse(
        self, inputs: Mapping[Role, Volume], context: Context
    ) -> AnalysisResult:
        """Label the brightest half, and call the slice spacing its length."""
        volume = inputs[ROLE]
        if volume.series_uid == os.environ.get("PHANTOM_POISON"):
            os.kill(os.getpid(), signal.SIGKILL)
        while Path(os.environ.get("PHANTOM_HELD", "")).is_file():
            time.sleep(0.05)
        least = int(os.environ.get("PHANTOM_MIN_SLICES", "1"))
        if len(volume.voxels) < least:
            text = f"{len(volume.voxels)} slices, {least} are needed"
            raise UnsuitableInput(code="too_few_slices", text=text)
        labels = (volume.voxels > np.median(volume.voxels)).astype(np.uint8)
        return _told(labels, float(volume.frame.spacing_mm[0]))

    @property
    def segment_labels(self) -> tuple[str, ...]:
        """Know the one thing."""
        return ("Phantom",)

    def measure(
        self, inputs: Mapping[Role, Volume], context: Context, outlines: Outlines
    ) -> AnalysisResult:
        """Call the number of voxels in the outlines its length."""
        while Path(os.environ.get("PHANTOM_HELD", "")).is_file():
            time.sleep(0.05)
        if outlines.kept == outlines.labels.tobytes():
            text = "nothing was edited"
            raise UnsuitableInput(code="outlines_unchanged", text=text)
        return _told(outlines.labels, float(outlines.labels.sum()))

    def follow_up(
        self, result: AnalysisResult, acquisition: Acquisition, prior: Prior
    ) -> AnalysisResult:
        """Tell both lengths, and by how many days the earlier one is older."""
        then, now = (
            [one.value for finding in found for one in finding.measurements]
            for found in (prior.findings, result.findings)
        )
        told: dict[str, Json] = {"days": prior.days, "then": then, "now": now}
        return replace(result, details={**result.details, "follow_up": told})


def _told(labels: NDArray[np.uint8], length: float) -> AnalysisResult:
    middle = len(labels) // 2
    square = np.array([[1.0, 1.0], [1.0, 9.0], [9.0, 9.0], [9.0, 1.0], [1.0, 1.0]])
    finding = Finding(
        site=_HALF,
        label="Phantom",
        segment_number=1,
        outline=Outline(slice_index=middle, points=square),
        measurements=(Measurement(concept=_LENGTH, value=length, unit=MILLIMETRE),),
    )
    shade = (255 * labels[middle]).astype(np.uint8)
    segment = Segment(number=1, label="Phantom", structure=_HALF, colour=(255, 0, 0))
    return AnalysisResult(
        segmentation=Segmentation(labels=labels, segments=(segment,)),
        findings=(finding,),
        pages=(Page(title="Overlay", pixels=np.stack([shade] * 3, axis=-1)),),
        provenance=Provenance(name=NAME, version="1", weights_sha256="0" * 64),
        details={"levels": [{"level": "phantom", "unmeasured": {}}]},
        summary={"en": ("A phantom.",), "zh-CN": ("一个体模。",)},
        kept=labels.tobytes(),
    )


class OfAnotherTime(PhantomMri):
    """Built for another contract."""

    contract_version = 99


class Broken:
    """Cannot be made."""

    def __init__(self) -> None:
        message = "no weights"
        raise RuntimeError(message)


def make_installed(folder: Path, *, target: str = "") -> dict[str, str]:
    """Install the toy into a folder, and return the environment that finds it.

    Parameters
    ----------
    target
        What its entry point names instead of the toy.
    """
    info = folder / "phantom_mri-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: phantom-mri\n")
    plugin = target or "tests.support.phantom_plugin:PhantomMri"
    entry = f"[dicom_node.analyses]\n{NAME} = {plugin}\n"
    (info / "entry_points.txt").write_text(entry)
    # The suite runs against the installed wheel; whatever finds the packages here must
    # find them there.
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), *sys.path[1:]])}
