"""The weighting of a series that does not tell it, by the look of its fluid."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.contract.errors import UnsuitableInput
from analysis.contract.plugin import (
    Context,
    Plane,
    SeriesSummary,
    Subject,
    Weighting,
)
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy import Tissue
from analysis.lumbar.contrast import check_contrast
from analysis.lumbar.plugin import ROLE, LumbarMri
from tests.support.lumbar_stand_in import PhantomSegmenter
from tests.support.wedge_spine import GREY, Layout, WedgeSpine

T1_LIKE = 0.7 * GREY[Tissue.BODY]
UNKNOWN = SeriesSummary(
    modality="MR",
    body_part="LSPINE",
    plane=Plane.SAGITTAL,
    weighting=Weighting.UNKNOWN,
    slice_count=7,
    rows=362,
    columns=188,
)


@pytest.fixture(scope="module")
def spine() -> tuple[Volume, PhantomSegmenter]:
    frame, shape = Layout(size_mm=(28.0, 290.0, 150.0)).frame()
    drawn = WedgeSpine()
    planes = drawn.tissue_map(frame, shape).probability
    return drawn.volume(frame, shape), PhantomSegmenter(planes)


def analyse(volume: Volume, segmenter: PhantomSegmenter) -> AnalysisResult:
    context = Context(subject=Subject(), summaries={ROLE: UNKNOWN})
    return LumbarMri(lambda *_: segmenter).analyse({ROLE: volume}, context)


def test_with_bright_fluid_geometry_is_measured_and_signal_is_not(
    spine: tuple[Volume, PhantomSegmenter],
) -> None:
    result = analyse(*spine)
    assert "weighting_unknown" in [warning.code for warning in result.warnings]
    levels = result.details["levels"]
    assert isinstance(levels, list)
    for level in levels:
        assert level["disc_height_mm"] is not None
        assert level["delta_si"] is None
        assert level["unmeasured"]["delta_si"].startswith("weighting_unknown")


def test_with_dark_fluid_it_is_refused_with_both_signals(
    spine: tuple[Volume, PhantomSegmenter],
) -> None:
    volume, segmenter = spine
    bright = volume.voxels > (GREY[Tissue.CANAL] + GREY[Tissue.BODY]) / 2
    voxels = np.where(bright, np.float32(T1_LIKE), volume.voxels)
    dark = dataclasses.replace(volume, voxels=voxels)
    with pytest.raises(UnsuitableInput, match="63 where bone has 90") as outcome:
        analyse(dark, segmenter)
    assert outcome.value.code == "not_t2"


def test_without_a_canal_nothing_can_be_told(
    spine: tuple[Volume, PhantomSegmenter],
) -> None:
    volume, _ = spine
    with pytest.raises(UnsuitableInput) as outcome:
        check_contrast(volume, np.zeros(volume.voxels.shape, np.uint8))
    assert outcome.value.code == "weighting_unknown"
