"""Outlines that a reader has corrected are measured by the same rules, unasked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.contract.errors import UnsuitableInput
from analysis.contract.outlines import Outlines
from analysis.contract.plugin import (
    Context,
    Corrigible,
    Plane,
    SeriesSummary,
    Subject,
    Weighting,
)
from analysis.contract.result import AnalysisResult
from analysis.contract.volume import Volume
from analysis.lumbar.anatomy.structures import STRUCTURES, VERTEBRAE, Tissue
from analysis.lumbar.correct.saved_tissues import keep, recall
from analysis.lumbar.find.networks import Networks
from analysis.lumbar.plugin import LumbarMri
from tests.support.lumbar_stand_in import PhantomSegmenter
from tests.support.wedge_spine import DISCS, Layout, WedgeSpine

LAYOUT = Layout(size_mm=(28.0, 290.0, 150.0))
PIXEL_MM = 0.8
NAMES = tuple(structure.label for structure in STRUCTURES)
CONTEXT = Context(
    subject=Subject(age_years=45.0, sex="F"),
    summaries={
        "t2_sagittal": SeriesSummary(
            modality="MR",
            body_part="LSPINE",
            plane=Plane.SAGITTAL,
            weighting=Weighting.T2,
            slice_count=7,
            rows=362,
            columns=188,
        )
    },
)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A series, its first result, and its outlines as a reader gets them."""

    volume: Volume
    plugin: LumbarMri
    segmenter: PhantomSegmenter
    first: AnalysisResult
    drawn: NDArray[np.uint8]

    def measure(self, labels: NDArray[np.uint8], **more: Any) -> AnalysisResult:
        outlines = Outlines(labels=labels, **{"names": NAMES, **more})
        return self.plugin.measure({"t2_sagittal": self.volume}, CONTEXT, outlines)

    def lower(self, name: str, rows: int) -> NDArray[np.uint8]:
        """Return the outlines with whole rows taken from the foot of a structure."""
        number = NAMES.index(name) + 1
        edited = self.drawn.copy()
        for _ in range(rows):
            below = np.zeros_like(edited)
            below[:, :-1] = edited[:, 1:]
            edited[(edited == number) & (below != number)] = 0
        return edited


@pytest.fixture(scope="module")
def case() -> Case:
    frame, shape = LAYOUT.frame()
    # Discs that lie level: rows then are millimetres.
    spine = WedgeSpine(
        sacral_slope_deg=0.0,
        discs=tuple(
            dataclasses.replace(d, height_mm=6.0, wedge_deg=0.0) for d in DISCS
        ),
    )
    segmenter = PhantomSegmenter(spine.tissue_map(frame, shape).probability)
    plugin = LumbarMri(lambda *_: Networks(tissue=segmenter))
    volume = spine.volume(frame, shape)
    first = plugin.analyse({"t2_sagittal": volume}, CONTEXT)
    table = np.zeros(256, np.uint8)
    for label, structure in enumerate(STRUCTURES, start=1):
        table[structure.number] = label
    drawn = table[first.segmentation.labels]
    return Case(volume, plugin, segmenter, first, drawn)


def levels(result: AnalysisResult) -> dict[str, dict[str, Any]]:
    rows: Any = result.details["levels"]
    return {str(row["level"]): row for row in rows}


def origin(result: AnalysisResult) -> dict[str, Any]:
    told: Any = result.details["outlines"]
    return dict(told)


def test_the_lumbar_analysis_measures_from_corrected_outlines() -> None:
    plugin = LumbarMri()
    assert isinstance(plugin, Corrigible)
    assert "L4/L5 disc" in plugin.segment_labels
    assert set(plugin.segment_labels) == set(NAMES)


def test_a_disc_drawn_two_rows_lower_is_that_much_lower_and_all_others_stay(
    case: Case,
) -> None:
    before = case.segmenter.done
    result = case.measure(case.lower("L3/L4 disc", 2), kept=case.first.kept)
    assert case.segmenter.done == before  # the network was not asked
    now, then = levels(result), levels(case.first)
    taken = then["L3/L4"]["disc_height_mm"] - now["L3/L4"]["disc_height_mm"]
    # One half voxel more or less: the first outline lies between voxels.
    assert taken == pytest.approx(2 * PIXEL_MM, abs=PIXEL_MM / 2)
    for level in set(now) - {"L3/L4"}:
        assert now[level] == then[level]
    # What is known of the network's errors says nothing of a reader's.
    assert set(now["L3/L4"]["uncertainty"]) <= {"canal_ap_diameter_mm"}
    assert now["L2/L3"]["uncertainty"] != {}
    assert "a reader" in result.summary["en"][0]
    assert "阅片医师" in result.summary["zh-CN"][0]


def test_the_report_tells_who_drew_which_outline(case: Case) -> None:
    edited = case.lower("L3/L4 disc", 2)
    result = case.measure(edited, kept=case.first.kept, editor="Jane Doe")
    assert origin(case.first) == {"origin": "network"}
    assert origin(result) == {
        "origin": "reader",
        "editor": "Jane Doe",
        "edited": ["L3/L4 disc"],
    }
    assert result.warnings[0].text == "Outlines edited by Jane Doe"
    assert "Jane Doe" in result.summary["en"][0]
    assert result.summary["zh-CN"][0].startswith("轮廓由Jane Doe修改")


def test_without_what_was_kept_every_outline_runs_along_its_voxels(case: Case) -> None:
    result = case.measure(case.drawn)
    assert "outlines_from_voxels" in [one.code for one in result.warnings]
    assert origin(result)["edited"] is None
    now, then = levels(result), levels(case.first)
    for level, row in now.items():
        # Half a voxel at most at either end plate.
        assert row["disc_height_mm"] == pytest.approx(
            then[level]["disc_height_mm"], abs=PIXEL_MM
        )
        assert row["uncertainty"] == {}


def test_what_was_kept_of_another_series_is_not_used(case: Case) -> None:
    other = dataclasses.replace(case.volume, voxels=case.volume.voxels + 1)
    outlines = Outlines(labels=case.drawn, names=NAMES, kept=case.first.kept)
    result = case.plugin.measure({"t2_sagittal": other}, CONTEXT, outlines)
    assert origin(result)["edited"] is None


def test_names_that_were_told_by_another_rule_stay_those_of_the_reader(
    case: Case,
) -> None:
    # As if S1 had been called L5, and each structure above it one higher.
    bodies, discs = slice(0, 8), slice(8, 15)
    higher = (*NAMES[bodies][1:], NAMES[0], *NAMES[discs][1:], NAMES[8], *NAMES[15:])
    former = recall(case.first.kept, case.volume)
    assert former is not None
    numbers = np.zeros(256, np.uint8)
    by_name = {one.label: one.number for one in STRUCTURES}
    for name, other in zip(NAMES, higher, strict=True):
        numbers[by_name[name]] = by_name[other]
    told = dataclasses.replace(
        former, found=numbers[former.found], measured=numbers[former.measured]
    )
    drawn = case.drawn.copy()
    drawn[:, :, : drawn.shape[2] // 2][drawn[:, :, : drawn.shape[2] // 2] == 9] = 0
    result = case.measure(drawn, names=higher, kept=keep(told, case.volume))
    assert origin(result)["edited"] is None
    height = levels(result)["L3/L4"]["disc_height_mm"]
    former_mm = levels(case.first)["L4/L5"]["disc_height_mm"]
    assert height == pytest.approx(former_mm, abs=PIXEL_MM)


def test_what_was_kept_comes_back_as_it_was(case: Case) -> None:
    former = recall(case.first.kept, case.volume)
    assert former is not None
    # Probabilities that were smoothed no longer tell the most probable tissue.
    tissue = former.tissues.tissue.copy()
    tissue[3][tissue[3] > 0] = Tissue.BODY
    tissues = dataclasses.replace(former.tissues, tissue=tissue)
    written = keep(dataclasses.replace(former, tissues=tissues), case.volume)
    again = recall(written, case.volume)
    assert again is not None
    np.testing.assert_array_equal(again.tissues.tissue, tissue)
    np.testing.assert_array_equal(again.tissues.probability, former.tissues.probability)


def test_labels_that_nobody_corrected_are_kept_once(case: Case) -> None:
    former = recall(case.first.kept, case.volume)
    assert former is not None
    np.testing.assert_array_equal(former.measured, former.found)
    corrected = former.found.copy()
    corrected[corrected == VERTEBRAE[1].number] = 0
    other = dataclasses.replace(former, measured=corrected)
    written = keep(other, case.volume)
    again = recall(written, case.volume)
    assert again is not None
    np.testing.assert_array_equal(again.measured, corrected)
    np.testing.assert_array_equal(again.found, former.found)
    once, twice = (
        keep(dataclasses.replace(former, measured=measured), case.volume)
        for measured in (former.found, former.found.copy())
    )
    assert len(once) < len(twice)


@pytest.mark.parametrize("kept", [b"nonsense", b"x\x9c"], ids=["text", "cut off"])
def test_what_was_kept_and_cannot_be_read_is_not_used(case: Case, kept: bytes) -> None:
    assert origin(case.measure(case.drawn, kept=kept))["edited"] is None


def test_unchanged_outlines_are_no_correction(case: Case) -> None:
    with pytest.raises(UnsuitableInput) as outcome:
        case.measure(case.drawn, kept=case.first.kept)
    assert outcome.value.code == "outlines_unchanged"


def test_an_edit_can_be_taken_back_but_not_sent_twice(case: Case) -> None:
    edited = case.lower("L3/L4 disc", 2)
    second = case.measure(edited, kept=case.first.kept)
    assert origin(second)["edited"] == ["L3/L4 disc"]
    with pytest.raises(UnsuitableInput) as outcome:
        case.measure(edited, kept=second.kept)
    assert outcome.value.code == "outlines_unchanged"
    undone = case.measure(case.drawn, kept=second.kept)
    assert origin(undone)["edited"] == []
    assert levels(undone) == levels(case.first)


def test_a_disc_that_was_taken_away_is_not_measured_with_its_reason(case: Case) -> None:
    edited = case.drawn.copy()
    edited[edited == NAMES.index("L3/L4 disc") + 1] = 0
    row = levels(case.measure(edited, kept=case.first.kept))["L3/L4"]
    assert row["disc_height_mm"] is None
    assert row["unmeasured"]["disc_height_mm"].startswith("not_found")


def test_what_another_part_of_the_outlines_holds_stays_as_it_was(case: Case) -> None:
    """Our SEG of many frames comes in two, and a reader corrects one of them."""
    discs = [name for name in NAMES if name.endswith("disc")]
    edited = case.lower("L3/L4 disc", 2)
    edited[np.isin(edited, [NAMES.index(name) + 1 for name in discs], invert=True)] = 0
    others = tuple(name for name in NAMES if name not in discs)
    result = case.measure(edited, kept=case.first.kept, elsewhere=others)
    assert origin(result)["edited"] == ["L3/L4 disc"]
    assert levels(result)["L2/L3"] == levels(case.first)["L2/L3"]


def test_levels_are_what_the_reader_calls_them(case: Case) -> None:
    """A reader who moves every name by one level has moved every result by one."""
    up = {"L5/S1 disc": "L4/L5 disc", "L4/L5 disc": "L3/L4 disc"}
    names = tuple(name for name in NAMES if name in up)
    labels = np.zeros_like(case.drawn)
    for label, name in enumerate(names, start=1):
        labels[case.drawn == NAMES.index(name) + 1] = label
    result = case.measure(labels, names=tuple(up[name] for name in names))
    found = levels(result)
    assert found["L5/S1"]["disc_height_mm"] is None
    assert found["L4/L5"]["disc_height_mm"] == pytest.approx(6.0, abs=PIXEL_MM)


def test_outlines_of_other_structures_are_refused_with_the_names_we_know(
    case: Case,
) -> None:
    with pytest.raises(UnsuitableInput) as outcome:
        case.measure(np.minimum(case.drawn, 1), names=("Liver",))
    assert outcome.value.code == "unknown_segments"
    assert "Liver: not among" in outcome.value.text
    assert "L4/L5 disc" in outcome.value.text


def test_outlines_without_a_disc_are_refused(case: Case) -> None:
    with pytest.raises(UnsuitableInput) as outcome:
        case.measure(np.zeros_like(case.drawn))
    assert outcome.value.code == "outlines_empty"
