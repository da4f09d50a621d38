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
from analysis.lumbar.anatomy.structures import Tissue
from analysis.lumbar.check.weighting import weighting_doubts
from analysis.lumbar.doubt import Effect
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.plugin import ROLE, LumbarMri
from tests.support.lumbar_stand_in import phantom_networks
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
def spine() -> tuple[Volume, Networks]:
    frame, shape = Layout(size_mm=(28.0, 290.0, 150.0)).frame()
    drawn = WedgeSpine()
    planes = drawn.tissue_map(frame, shape).probability
    return drawn.volume(frame, shape), phantom_networks(planes)


def analyse(
    volume: Volume,
    networks: Networks,
    weighting: Weighting = Weighting.UNKNOWN,
) -> AnalysisResult:
    summary = dataclasses.replace(UNKNOWN, weighting=weighting)
    context = Context(subject=Subject(), summaries={ROLE: summary})
    return LumbarMri(lambda *_: networks).analyse({ROLE: volume}, context)


def dark(volume: Volume) -> Volume:
    """Return the picture with fluid as dark as on T1."""
    bright = volume.voxels > (GREY[Tissue.CANAL] + GREY[Tissue.BODY]) / 2
    voxels = np.where(bright, np.float32(T1_LIKE), volume.voxels)
    return dataclasses.replace(volume, voxels=voxels)


def assert_geometry_alone(result: AnalysisResult, code: str) -> None:
    levels = result.details["levels"]
    assert isinstance(levels, list)
    assert code in [warning.code for warning in result.warnings]
    for level in levels:
        assert level["disc_height_mm"] is not None
        for key in ("delta_si", "signal_ratio_csf", "pfirrmann_grade"):
            assert level[key] is None
            assert level["unmeasured"][key].startswith(code)


def test_with_bright_fluid_geometry_is_measured_and_signal_is_not(
    spine: tuple[Volume, Networks],
) -> None:
    assert_geometry_alone(analyse(*spine), "weighting_unknown")


@pytest.mark.parametrize("weighting", [Weighting.T1, Weighting.STIR])
def test_of_t1_and_stir_geometry_is_measured_and_signal_and_grade_are_not(
    spine: tuple[Volume, Networks], weighting: Weighting
) -> None:
    volume, segmenter = spine
    picture = dark(volume) if weighting is Weighting.T1 else volume
    result = analyse(picture, segmenter, weighting)
    (told,) = (w.text for w in result.warnings if w.code == "not_t2")
    assert weighting.value in told
    assert_geometry_alone(result, "not_t2")


@pytest.mark.parametrize(
    ("weighting", "first"),
    [(Weighting.T2, "not_t2"), (Weighting.T2_FAT_SUPPRESSED, "fat_suppressed")],
)
def test_called_t2_and_with_dark_fluid_signal_is_refused_with_both_signals(
    spine: tuple[Volume, Networks], weighting: Weighting, first: str
) -> None:
    volume, segmenter = spine
    result = analyse(dark(volume), segmenter, weighting)
    (told,) = (w.text for w in result.warnings if w.code == "not_t2")
    assert "63 where bone has 90" in told
    assert_geometry_alone(result, first)


def test_called_t2_and_with_bright_fluid_signal_is_measured(
    spine: tuple[Volume, Networks],
) -> None:
    result = analyse(*spine, Weighting.T2)
    assert "not_t2" not in [warning.code for warning in result.warnings]
    levels = result.details["levels"]
    assert isinstance(levels, list)
    assert all(level["delta_si"] is not None for level in levels)


def test_with_dark_fluid_it_is_refused_with_both_signals(
    spine: tuple[Volume, Networks],
) -> None:
    volume, segmenter = spine
    with pytest.raises(UnsuitableInput, match="63 where bone has 90") as outcome:
        analyse(dark(volume), segmenter)
    assert outcome.value.code == "not_t2"


def test_without_a_canal_nothing_can_be_told(
    spine: tuple[Volume, Networks],
) -> None:
    volume, _ = spine
    nothing = np.zeros(volume.voxels.shape, np.uint8)
    found = weighting_doubts(UNKNOWN, volume, nothing)
    (doubt,) = (doubt for doubt in found if doubt.effect is Effect.REFUSE)
    assert doubt.code == "weighting_unknown"
