import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.lumbar.anatomy.named_levels import Levels
from analysis.lumbar.anatomy.structures import (
    CANAL,
    DISCS,
    STRUCTURES,
    VERTEBRAE,
    Structure,
    Tissue,
    level_of,
)
from analysis.lumbar.anatomy.tissue_map import FULL, TissueMap
from analysis.lumbar.doubt import Refused
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.tell.to_contract import other_readings
from analysis.lumbar.tell.words import words_of
from tests.support.wedge_spine import DISCS as WEDGES
from tests.support.wedge_spine import Layout, WedgeDisc, WedgeSpine, map_of

NARROW = Layout(size_mm=(12.0, 290.0, 150.0))
L5_S1, L4_L5, L3_L4, L2_L3, L1_L2, T12_L1, _ = DISCS
S1, L5, L4, L3, L2, L1, T12, _ = VERTEBRAE


@pytest.fixture(scope="module")
def spine() -> TissueMap:
    return WedgeSpine().tissue_map(*NARROW.frame())


def redrawn(tissues: TissueMap, tissue: NDArray[np.uint8]) -> TissueMap:
    """Return the map of a network that is certain of the given tissues."""
    planes = np.stack([(tissue == kind) * np.uint8(FULL) for kind in Tissue], axis=1)
    return map_of(tissues.grid, planes)


def found(levels: Levels) -> set[str]:
    return {s.label for s in STRUCTURES if (levels.names == s.number).any()}


def rows_of(levels: Levels, number: int) -> float:
    return float(np.argwhere(levels.names == number)[:, 1].mean())


def codes(levels: Levels) -> list[str]:
    return [warning.code for warning in levels.doubts]


ONE_UP = {"L1/L2": "T12/L1", "L2/L3": "L1/L2", "L3/L4": "L2/L3", "L4/L5": "L3/L4"} | {
    "L5/S1": "L4/L5"
}
ONE_DOWN = {"L1/L2": "L2/L3", "L2/L3": "L3/L4", "L3/L4": "L4/L5", "L4/L5": "L5/S1"} | {
    "L5/S1": "S1/S2"
}


def others(levels: Levels) -> list[dict[str, str]]:
    """Return the other readings, each of which the warning tells whole."""
    (text,) = (w.text for w in levels.doubts if w.code == "level_uncertain")
    for reading in levels.alternatives:
        assert reading.reason in text
        for level, other in reading.names.items():
            assert f"{level} is {other}" in text
    return [dict(reading.names) for reading in levels.alternatives]


def test_every_structure_gets_its_name(spine: TissueMap) -> None:
    levels = name_levels(spine)
    named = [*VERTEBRAE[:7], *DISCS[:6], CANAL]
    assert found(levels) == {structure.label for structure in named}
    assert codes(levels) == []
    assert levels.alternatives == ()


def test_levels_follow_one_another_from_the_sacrum_upwards(spine: TissueMap) -> None:
    levels = name_levels(spine)
    order = [S1, L5_S1, L5, L4_L5, L4, L3_L4, L3, L2_L3, L2, L1_L2, L1, T12_L1, T12]
    rows = [rows_of(levels, structure.number) for structure in order]
    assert rows == sorted(rows, reverse=True)


def test_every_voxel_of_a_disc_is_named(spine: TissueMap) -> None:
    levels = name_levels(spine)
    assert (levels.names[spine.tissue == Tissue.DISC] > 0).all()


def test_bodies_that_touch_are_told_apart(spine: TissueMap) -> None:
    # The gap between bodies and discs, and half of each disc, is called body.
    discs = [WedgeDisc(height_mm=2.0) for _ in WEDGES]
    upright = WedgeSpine(discs=tuple(discs), sacral_slope_deg=5.0)
    thin = upright.tissue_map(*NARROW.frame())
    tissue = thin.tissue.copy()
    columns = np.arange(tissue.shape[2])
    for index, row in np.ndindex(tissue.shape[:2]):
        disc = columns[tissue[index, row] == Tissue.DISC]
        tissue[index, row, disc[len(disc) // 2 :]] = Tissue.BODY
    levels = name_levels(redrawn(thin, tissue))
    sizes = [int((levels.names == v.number).sum()) for v in (L5, L4, L3, L2, L1)]
    assert max(sizes) < 1.2 * min(sizes)


def test_discs_that_hang_together_are_told_apart(spine: TissueMap) -> None:
    # A bridge of disc, 3 pixels deep, runs down the front of L4.
    tissue = spine.tissue.copy()
    levels = name_levels(spine)
    upper, lower = (round(rows_of(levels, d.number)) for d in (L3_L4, L4_L5))
    front = int(np.argwhere(levels.names == L4.number)[:, 2].min())
    tissue[:, upper : lower + 1, front : front + 3] = Tissue.DISC
    again = name_levels(redrawn(spine, tissue))
    assert found(again) == found(levels)
    for disc in DISCS[:6]:
        assert rows_of(again, disc.number) == pytest.approx(
            rows_of(levels, disc.number), abs=3
        )


def test_a_loose_piece_of_disc_is_no_level(spine: TissueMap) -> None:
    levels = name_levels(spine)
    centre = np.argwhere(levels.names == L3.number).mean(axis=0).astype(int)
    tissue = spine.tissue.copy()
    tissue[1, centre[1] - 1 : centre[1] + 2, centre[2] : centre[2] + 4] = Tissue.DISC
    tissue[1, 20:24, 5:12] = Tissue.DISC
    assert found(name_levels(redrawn(spine, tissue))) == found(levels)


def test_a_collapsed_disc_keeps_its_level(spine: TissueMap) -> None:
    discs = list(WEDGES)
    discs[1] = dataclasses.replace(discs[1], height_mm=1.8, wedge_deg=0.0)
    levels = name_levels(WedgeSpine(discs=tuple(discs)).tissue_map(*NARROW.frame()))
    assert found(levels) == found(name_levels(spine))
    assert codes(levels) == []


def test_a_disc_that_was_not_seen_is_counted_and_said(spine: TissueMap) -> None:
    levels = name_levels(spine)
    tissue = spine.tissue.copy()
    tissue[levels.names == L3_L4.number] = Tissue.BODY
    again = name_levels(redrawn(spine, tissue))
    assert found(again) == found(levels) - {"L3/L4 disc"}
    assert codes(again) == ["level_uncertain"]
    # If there is none, those above it are each one lower; those below keep their names.
    assert others(again) == [{"L1/L2": "L2/L3", "L2/L3": "L3/L4"}]
    assert rows_of(again, L1_L2.number) == rows_of(levels, L1_L2.number)


def striped(
    tissues: TissueMap, body: Structure, kind: Tissue, high_px: int
) -> TissueMap:
    """Return the map with a stripe across the middle of a body."""
    row = round(rows_of(name_levels(tissues), body.number))
    tissue = tissues.tissue.copy()
    stripe = tissue[:, row - high_px // 2 : row - high_px // 2 + high_px]
    stripe[stripe == Tissue.BODY] = kind
    return redrawn(tissues, tissue)


@pytest.mark.parametrize("high_px", [3, 8])
@pytest.mark.parametrize("place", [1, 2, 3, 4])
def test_a_body_that_looks_cut_in_two_is_counted_once_and_said(
    spine: TissueMap, place: int, high_px: int
) -> None:
    levels = name_levels(spine)
    again = name_levels(striped(spine, VERTEBRAE[place], Tissue.DISC, high_px))
    assert found(again) == found(levels)
    for structure in (*VERTEBRAE[:7], *DISCS[:6]):
        assert rows_of(again, structure.number) == pytest.approx(
            rows_of(levels, structure.number), abs=2
        )
    assert codes(again) == ["level_uncertain"]
    # If it is a disc, the discs above it are each one higher.
    above = {level_of(disc): level_of(DISCS[i + 1]) for i, disc in enumerate(DISCS[:5])}
    for below in DISCS[:place]:
        del above[level_of(below)]
    assert others(again) == [above]
    assert again.cut == {VERTEBRAE[place].number}
    assert again.certainty[DISCS[place - 1].number] == 1.0
    assert again.certainty[DISCS[place].number] < 1.0


@pytest.mark.parametrize(
    ("unseen", "expected"),
    [
        ((L3,), []),
        ((L4, L4_L5), ["level_uncertain"]),
        ((L3, L3_L4, L2_L3), ["level_uncertain"]),
        ((L5, L5_S1), ["level_uncertain"]),
        ((L5, L5_S1, L4_L5), ["level_uncertain"]),
    ],
)
def test_a_body_that_was_not_seen_shifts_no_level(
    spine: TissueMap, unseen: tuple[Structure, ...], expected: list[str]
) -> None:
    levels = name_levels(spine)
    tissue = spine.tissue.copy()
    lost = np.isin(levels.names, [structure.number for structure in unseen])
    tissue[lost] = Tissue.BACKGROUND
    again = name_levels(redrawn(spine, tissue))
    assert found(again) == found(levels) - {structure.label for structure in unseen}
    for structure in (S1, L1, T12, L1_L2, T12_L1):
        assert rows_of(again, structure.number) == pytest.approx(
            rows_of(levels, structure.number), abs=2
        )
    assert codes(again) == expected


def test_two_bodies_that_look_cut_in_two_are_counted_once_each(
    spine: TissueMap,
) -> None:
    levels = name_levels(spine)
    both = striped(striped(spine, L4, Tissue.DISC, 4), L2, Tissue.DISC, 4)
    again = name_levels(both)
    assert found(again) == found(levels)
    assert again.cut == {L4.number, L2.number}
    assert rows_of(again, L1_L2.number) == rows_of(levels, L1_L2.number)


def test_a_body_half_as_high_is_no_half_of_another() -> None:
    low = WedgeSpine(low_body=4, low_body_mm=12.0)
    levels = name_levels(low.tissue_map(*NARROW.frame()))
    assert codes(levels) == []
    assert levels.cut == frozenset()


def test_only_levels_above_a_missing_disc_are_less_certain(spine: TissueMap) -> None:
    tissue = spine.tissue.copy()
    tissue[name_levels(spine).names == L3_L4.number] = Tissue.BODY
    certainty = name_levels(redrawn(spine, tissue)).certainty
    assert certainty[L5_S1.number] == certainty[L4_L5.number] == 1.0
    assert certainty[L2_L3.number] == certainty[L1_L2.number] < 1.0


def test_a_sound_spine_is_certain_at_every_level(spine: TissueMap) -> None:
    certainty = name_levels(spine).certainty
    assert list(certainty) == [disc.number for disc in DISCS[:6]]
    assert set(certainty.values()) == {1.0}


@pytest.mark.parametrize(
    ("promontory_deg", "share", "expected"),
    [(30.0, 0.8, ["level_uncertain"]), (30.0, 1.0, []), (45.0, 0.8, [])],
)
def test_a_short_disc_at_which_the_spine_bends_little_is_doubted(
    promontory_deg: float, share: float, expected: list[str]
) -> None:
    discs = list(WEDGES)
    length_mm = share * discs[1].length_mm
    discs[0] = dataclasses.replace(discs[0], length_mm=length_mm, wedge_deg=0.0)
    bent = WedgeSpine(discs=tuple(discs), promontory_deg=promontory_deg)
    levels = name_levels(bent.tissue_map(*NARROW.frame()))
    assert codes(levels) == expected
    if expected:
        assert others(levels) == [ONE_DOWN]


def test_without_s1_no_level_has_a_name(spine: TissueMap) -> None:
    taken = WedgeSpine(s1_as=Tissue.BODY).tissue_map(*NARROW.frame())
    assert refusal(taken) == "levels_not_identifiable"
    # A picture that fades below L4: five discs in line are left, and no sacrum.
    levels = name_levels(spine)
    tissue = spine.tissue.copy()
    lost = [L5.number, L5_S1.number, S1.number, L4_L5.number]
    tissue[np.isin(levels.names, lost)] = Tissue.BACKGROUND
    assert refusal(redrawn(spine, tissue)) == "levels_not_identifiable"


def refusal(tissues: TissueMap) -> str:
    with pytest.raises(Refused) as outcome:
        name_levels(tissues)
    return outcome.value.code


def taken_for_s1(spine: TissueMap, body: Structure, high_mm: float) -> TissueMap:
    """Return the map in which the upper part of a body is S1, and nothing is below."""
    levels = name_levels(spine)
    tissue = spine.tissue.copy()
    first = int(np.argwhere(levels.names == body.number)[:, 1].min())
    tissue[:, first + round(high_mm / 0.8) :] = Tissue.BACKGROUND
    below = tissue[:, first:]
    below[below == Tissue.BODY] = Tissue.S1
    return redrawn(spine, tissue)


@pytest.mark.parametrize("high_mm", [13.0, 16.0])
def test_what_is_left_of_a_body_is_no_s1(spine: TissueMap, high_mm: float) -> None:
    assert refusal(taken_for_s1(spine, L5, high_mm)) == "sacrum_not_in_view"


def test_a_whole_l5_that_looks_like_s1_is_doubted(spine: TissueMap) -> None:
    # The sacrum is dark: the front hardly bends at L4/L5, which leans little.
    levels = name_levels(taken_for_s1(spine, L5, 29.0))
    assert codes(levels) == ["level_uncertain"]
    assert others(levels) == [ONE_UP]
    assert levels.certainty[L5_S1.number] == pytest.approx(1 / 2)


def test_s1_at_the_lower_edge_of_the_picture_is_no_anchor(spine: TissueMap) -> None:
    s1 = np.argwhere(name_levels(spine).names == S1.number)
    frame, (slices, _, columns) = NARROW.frame()
    # The frame is centred: rows that are left out below do not move those above.
    edge = (slices, int(s1[:, 1].max()) + 2, columns)
    assert refusal(WedgeSpine().tissue_map(frame, edge)) == "sacrum_not_in_view"


def test_a_disc_like_s1_s2_is_not_counted_and_both_readings_are_told() -> None:
    # Below a whole L5/S1: a disc 0.6 times as deep and half as high, and a straight
    # front of the sacrum.
    below = WedgeDisc(height_mm=4.0, length_mm=21.0, wedge_deg=0.0)
    low = WedgeSpine(
        discs=(below, *WEDGES[:5]), sacral_slope_deg=45.0, promontory_deg=5.0
    )
    tissues = low.tissue_map(*NARROW.frame())
    levels = name_levels(tissues)
    assert codes(levels) == ["level_uncertain"]
    assert others(levels) == [ONE_UP]
    # The six discs of the map: one has no name, the five above it are L5/S1 to L1/L2.
    assert list(levels.planes) == [disc.number for disc in DISCS[:5]]
    (reading,) = levels.alternatives
    assert reading.probability is not None
    assert reading.probability < 1 / 2
    assert levels.certainty[L5_S1.number] == pytest.approx(1 - reading.probability)
    (told,) = other_readings(levels, words_of("en"))["alternative_levels"]
    assert told["levels"] == ONE_UP
    assert told["probability"] == pytest.approx(reading.probability, abs=1e-4)

    by_reader = name_levels(tissues, s1_is_given=True)
    assert codes(by_reader) == []
    assert list(by_reader.planes) == [disc.number for disc in DISCS[:6]]


def test_a_disc_below_s1_does_not_shift_the_count(spine: TissueMap) -> None:
    levels = name_levels(spine)
    tissue = spine.tissue.copy()
    s1 = np.argwhere(levels.names == S1.number)
    bottom, columns = s1[:, 1].max() + 2, s1[:, 2]
    middle = int(columns.mean())
    tissue[:, bottom : bottom + 5, middle - 6 : middle + 14] = Tissue.DISC
    again = name_levels(redrawn(spine, tissue))
    assert rows_of(again, L5_S1.number) == pytest.approx(rows_of(levels, L5_S1.number))
    assert codes(again) == ["level_uncertain"]
    assert others(again) == [ONE_UP]


def test_a_canal_that_is_broken_in_two_is_kept_whole(spine: TissueMap) -> None:
    levels = name_levels(spine)
    row = round(rows_of(levels, L4_L5.number))
    tissue = spine.tissue.copy()
    cut = tissue[:, row - 6 : row + 7]
    cut[cut == Tissue.CANAL] = Tissue.BACKGROUND
    again = name_levels(redrawn(spine, tissue))
    assert ((again.names == CANAL.number) == (tissue == Tissue.CANAL)).all()


def test_a_spine_whose_sacrum_is_out_of_view_is_refused(spine: TissueMap) -> None:
    levels = name_levels(spine)
    row = round(rows_of(levels, L4.number))
    above = Layout(size_mm=(12.0, row * 0.8, 150.0))
    frame, shape = NARROW.frame()
    shape = (shape[0], above.frame()[1][1], shape[2])
    with pytest.raises(Refused) as outcome:
        name_levels(WedgeSpine().tissue_map(frame, shape))
    assert outcome.value.code == "sacrum_not_in_view"


@pytest.mark.parametrize("kind", [Tissue.BACKGROUND, Tissue.BODY, Tissue.DISC])
def test_one_tissue_everywhere_is_no_spine(spine: TissueMap, kind: Tissue) -> None:
    tissue = np.full_like(spine.tissue, kind)
    with pytest.raises(Refused) as outcome:
        name_levels(redrawn(spine, tissue))
    assert outcome.value.code == "no_lumbar_spine"


def test_chance_tissue_is_no_spine(spine: TissueMap) -> None:
    tissue = np.random.default_rng(3).integers(0, 6, spine.tissue.shape, np.uint8)
    with pytest.raises(Refused):
        name_levels(redrawn(spine, tissue))


def test_a_spine_without_a_canal_behind_it_is_none(spine: TissueMap) -> None:
    tissue = spine.tissue.copy()
    tissue[tissue == Tissue.CANAL] = Tissue.BACKGROUND
    tissue[:, :, -12:-4] = Tissue.CANAL
    with pytest.raises(Refused) as outcome:
        name_levels(redrawn(spine, tissue))
    assert outcome.value.code == "no_lumbar_spine"


@pytest.mark.parametrize(("sure", "expected"), [(0.89, ["low_confidence"]), (0.91, [])])
def test_an_unsure_network_is_said_to_be(
    spine: TissueMap, sure: float, expected: list[str]
) -> None:
    assert codes(name_levels(with_doubt(spine, sure))) == expected


def test_a_network_that_is_no_surer_than_by_chance_finds_no_spine(
    spine: TissueMap,
) -> None:
    with pytest.raises(Refused) as outcome:
        name_levels(with_doubt(spine, 0.86))
    assert outcome.value.code == "no_lumbar_spine"


def with_doubt(tissues: TissueMap, sure: float) -> TissueMap:
    """Return the same tissues, each with the given probability, background the rest."""
    certain = redrawn(tissues, tissues.tissue).probability / FULL
    doubtful = certain * sure
    doubtful[:, 0] += 1 - sure
    return map_of(tissues.grid, np.rint(doubtful * FULL).astype(np.uint8))
