"""Bodies that are lower than their neighbours let expect."""

import dataclasses

import numpy as np
import pytest

from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import VERTEBRAE, Structure
from analysis.lumbar.judge.height_loss_doubts import (
    MAX_SPACE_AND_BODY,
    MAX_SPACE_SHARE,
    MIN_DEPTH_SHARE,
    TOO_TALL,
    depth_shares,
    height_losses,
    merged_bodies,
    overlooked_bodies,
    space_shares,
)
from analysis.lumbar.judge.resolve import notices, withheld
from analysis.lumbar.measure.height_loss import (
    USUAL,
    ExpectedShare,
    HeightLoss,
    Heights,
    expected_share,
)
from analysis.lumbar.measure.measurements import (
    MeasuredBody,
    SpineMeasurements,
    measure_spine,
)
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from tests.support.measured_phantom import SIZE_MM, measured, number
from tests.support.overlooked_body import SPINE, without_l3
from tests.support.wedge_spine import Layout, WedgeSpine

L5, L1, T12, T11 = (VERTEBRAE[i] for i in (1, 5, 6, 7))


def spine(size_mm: float = 27.0) -> dict[str, Heights | Missing]:
    return {
        label: (size_mm * front, size_mm * middle, size_mm * rear)
        for label, (front, middle, rear) in USUAL.items()
    }


@pytest.mark.parametrize("size_mm", [20.0, 27.0, 33.0])
@pytest.mark.parametrize("vertebra", VERTEBRAE[1:7], ids=lambda v: str(v.label))
def test_a_healthy_body_has_all_that_is_expected_in_a_spine_of_any_size(
    vertebra: Structure, size_mm: float
) -> None:
    found = expected_share(vertebra, spine(size_mm))
    assert isinstance(found, ExpectedShare)
    assert found.share == pytest.approx(1.0)
    assert found.grade is HeightLoss.NONE


@pytest.mark.parametrize(
    ("share", "grade"),
    [
        (0.81, HeightLoss.NONE),
        (0.79, HeightLoss.MILD),
        (0.74, HeightLoss.MODERATE),
        (0.59, HeightLoss.SEVERE),
    ],
)
@pytest.mark.parametrize("place", ["front", "middle", "rear"])
def test_the_lowest_of_three_heights_tells_the_grade(
    place: str, share: float, grade: HeightLoss
) -> None:
    heights = spine()
    known = heights["L1"]
    assert not isinstance(known, Missing)
    low = list(known)
    low[("front", "middle", "rear").index(place)] *= share
    heights["L1"] = (low[0], low[1], low[2])
    found = expected_share(L1, heights)
    assert isinstance(found, ExpectedShare)
    assert found.share == pytest.approx(share)
    assert found.place == place
    assert found.grade is grade


def test_two_crushed_bodies_do_not_make_each_other_whole() -> None:
    heights = spine()
    heights["L1"] = heights["T12"] = (12.0, 10.0, 18.0)
    for vertebra in (L1, T12):
        found = expected_share(vertebra, heights)
        assert isinstance(found, ExpectedShare)
        assert found.grade is HeightLoss.SEVERE
    whole = expected_share(L5, heights)
    assert isinstance(whole, ExpectedShare)
    assert whole.grade is HeightLoss.NONE


def test_too_few_bodies_and_others_than_t12_to_l5_are_not_judged() -> None:
    few = {
        label: heights for label, heights in spine().items() if label in {"L5", "L4"}
    }
    found = expected_share(L5, few)
    assert isinstance(found, Missing)
    assert found.code == "too_few_bodies"
    other = expected_share(T11, {**spine(), "T11": (20.0, 20.0, 22.0)})
    assert isinstance(other, Missing)
    assert other.code == "not_compared"


def test_a_crushed_body_is_told_and_leaves_the_index_of_its_discs_to_the_others() -> (
    None
):
    # The third from below is L3: 27 mm pressed to 14.
    whole = measured(WedgeSpine(hollow_mm=2.0))
    crushed = measured(WedgeSpine(hollow_mm=2.0, low_body=2, low_body_mm=14.0))
    assert height_losses(whole) == ()
    assert merged_bodies(whole) == ()
    (notice,) = height_losses(crushed)
    assert notice.code == "vertebral_height_loss"
    assert notice.text.startswith("L3 has 0.")
    assert "(severe)" in notice.text
    assert "DHI of L3/L4 rests on the height of L4 alone" in notice.text
    assert "DHI of L2/L3 rests on the height of L2 alone" in notice.text
    for level in ("L3/L4", "L2/L3"):
        assert number(crushed, level, "disc_height_index") == pytest.approx(
            number(whole, level, "disc_height_index"), rel=0.03
        )
        row = next(row for row in crushed.discs if row.level == level)
        reason = row.values["reference.dhi"]
        assert isinstance(reason, Missing)
        assert reason.code == "height_loss"


def test_a_body_that_may_hold_a_crushed_one_puts_the_count_in_doubt() -> None:
    tall = measured(WedgeSpine(low_body=2, low_body_mm=27.0 * 1.4))
    (doubt,) = merged_bodies(tall)
    assert doubt.code == "level_uncertain"
    assert doubt.text.startswith("L3 has 1.")


def test_a_body_that_is_high_in_one_place_alone_holds_no_other() -> None:
    # An osteophyte, or the bridge over a disc, in front.
    heights = spine()
    known = heights["L3"]
    assert not isinstance(known, Missing)
    for factors, tall in (((1.5, 1.1, 1.1), False), ((1.5, 1.3, 1.1), True)):
        high = [one * factor for one, factor in zip(known, factors, strict=True)]
        found = expected_share(
            VERTEBRAE[3], heights | {"L3": (high[0], high[1], high[2])}
        )
        assert isinstance(found, ExpectedShare)
        assert (found.middle > TOO_TALL) is tall
        assert found.share < TOO_TALL


def test_a_space_that_may_hold_a_crushed_body_is_told_and_not_measured() -> None:
    assert overlooked_bodies(measured(SPINE)) == ()
    layout = Layout(size_mm=SIZE_MM)
    overlooked = without_l3(layout)
    levels = name_levels(overlooked)
    found = measure_spine(
        Anatomy(tissues=overlooked, levels=levels),
        SPINE.volume(*layout.frame()),
        label_source(overlooked, levels.names),
    )
    doubts = overlooked_bodies(found)
    kept = withheld(found, doubts)
    known = {one.level: one.number("interbody_height_mm") for one in kept.discs}
    assert known["L3/L4"] is None
    assert known["L4/L5"] == pytest.approx(7.6, abs=0.2)
    codes = {one.code: one.text for one in notices(doubts, kept)}
    assert codes["implausible"].startswith("L3/L4 not measured: the space")
    assert codes["level_uncertain"].startswith("L3/L4 has ")
    (disc,) = (one.disc.number for one in found.discs if one.level == "L3/L4")
    assert overlooked_bodies(found, frozenset({disc})) == ()


def test_three_spaces_do_not_tell_what_is_usual() -> None:
    found = measured(WedgeSpine())
    few = dataclasses.replace(found, discs=found.discs[-3:], upper=())
    assert space_shares(few) == {}


def test_a_body_crushed_to_a_few_millimetres_is_told_and_not_called_implausible() -> (
    None
):
    flat = measured(WedgeSpine(hollow_mm=0.0, low_body=2, low_body_mm=8.0))
    (notice,) = height_losses(flat)
    assert notice.text.startswith("L3 has 0.28")


def with_values(
    found: SpineMeasurements, level: str, values: dict[str, float]
) -> SpineMeasurements:
    """Return what was measured, with other values at one level."""
    discs = tuple(
        dataclasses.replace(row, values={**row.values, **values})
        if row.level == level
        else row
        for row in found.discs
    )
    return dataclasses.replace(found, discs=discs)


def with_middle_share(body: MeasuredBody, share: float) -> MeasuredBody:
    """Return a body with another middle share of the expected height."""
    own = ExpectedShare(share=share, place="front", middle=share)
    shares = {**body.site.shares, body.vertebra.label: own}
    return dataclasses.replace(body, site=dataclasses.replace(body.site, shares=shares))


def test_a_disc_higher_than_the_space_for_it_may_be_a_crushed_body() -> None:
    found = measured(SPINE)
    space = {row.level: row.number("interbody_height_mm") for row in found.discs}
    height = space["L2/L3"]
    assert height is not None
    as_high = with_values(found, "L2/L3", {"disc_height_mm": height})
    assert overlooked_bodies(as_high) == ()
    higher = with_values(found, "L2/L3", {"disc_height_mm": height + 0.3})
    doubts = overlooked_bodies(higher)
    codes = {one.code: one.text for one in notices(doubts, withheld(higher, doubts))}
    assert codes["implausible"].startswith(
        f"L2/L3 not measured: it is {height + 0.3:.1f} mm high in a space of "
    )
    assert codes["level_uncertain"].startswith("L2/L3 is ")
    (disc,) = (row.disc.number for row in found.discs if row.level == "L2/L3")
    assert overlooked_bodies(higher, frozenset({disc})) == ()


def test_a_crushed_body_divided_between_a_body_and_a_space_is_told() -> None:
    found = measured(WedgeSpine(hollow_mm=0.0))
    space = {row.level: row.number("interbody_height_mm") for row in found.discs}
    body_share, space_share = 1.12, 1.5
    assert body_share < TOO_TALL
    known = space["L2/L3"]
    assert known is not None
    (before,) = (share for at, share in space_shares(found).items() if at == "L2/L3")
    wide = space_share * known / before
    assert space_share < MAX_SPACE_SHARE
    assert space_share < MAX_SPACE_AND_BODY < space_share * body_share
    alone = with_values(found, "L2/L3", {"interbody_height_mm": wide})
    assert overlooked_bodies(alone) == ()
    bodies = tuple(
        with_middle_share(body, body_share) if body.vertebra.label == "L3" else body
        for body in alone.bodies
    )
    doubts = overlooked_bodies(dataclasses.replace(alone, bodies=bodies))
    assert [one.code for one in doubts] == ["implausible", "level_uncertain"]
    assert doubts[1].text.startswith("L2/L3 and L3 have 1.50 and 1.12 of the heights")


def test_where_most_bodies_are_low_for_their_depth_the_whole_one_is_not_high() -> None:
    found = measured(WedgeSpine(hollow_mm=0.0))
    bodies = tuple(
        with_middle_share(body, 1.4) if body.vertebra.label == "L3" else body
        for body in found.bodies
    )
    tall = dataclasses.replace(found, bodies=bodies)
    (doubt,) = merged_bodies(tall)
    assert doubt.code == "level_uncertain"
    keys = [f"body_{place}_height_mm" for place in ("anterior", "middle", "posterior")]
    usual = float(np.median(list(depth_shares(tall).values())))
    share = 0.95 * MIN_DEPTH_SHARE / usual
    crushed = tuple(
        body
        if body.vertebra.label == "L3"
        else dataclasses.replace(
            body,
            values={
                **body.values,
                **{k: share * v for k in keys if (v := body.number(k)) is not None},
            },
        )
        for body in tall.bodies
    )
    (doubt,) = merged_bodies(dataclasses.replace(tall, bodies=crushed))
    assert doubt.code == "vertebral_height_loss"
    assert doubt.text.endswith("and L3 may be whole")
