"""Doubts take the values that they concern, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest

from analysis.contract.errors import UnsuitableInput
from analysis.contract.measurement import Absence
from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE, Structure
from analysis.lumbar.doubt import (
    SERIES,
    SIGNAL,
    Doubt,
    Effect,
    Need,
    Refused,
    Scope,
    of_body_height,
    of_disc,
    warning,
)
from analysis.lumbar.judge.artefacts import unfit_discs
from analysis.lumbar.judge.height_loss_doubts import height_losses
from analysis.lumbar.judge.resolve import notices, refusals, signal_unfit, withheld
from analysis.lumbar.judge.uncertainty import (
    MAX_UNCERTAIN_SHARE,
    height_doubts,
    with_uncertainty,
)
from analysis.lumbar.measure.measurements import (
    MeasuredDisc,
    SpineMeasurements,
    measure_spine,
)
from analysis.lumbar.name.name_levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.number_or_reason import Missing
from tests.support.measured_phantom import measured as phantom
from tests.support.wedge_spine import Layout, WedgeSpine

L4_L5, L4, L5 = DISCS[1].number, VERTEBRAE[2].number, VERTEBRAE[1].number


@pytest.fixture(scope="module")
def measured() -> SpineMeasurements:
    frame, shape = Layout(size_mm=(12.0, 290.0, 150.0)).frame()
    spine = WedgeSpine()
    tissues = spine.tissue_map(frame, shape)
    levels = name_levels(tissues)
    found = measure_spine(
        Anatomy(tissues=tissues, levels=levels),
        spine.volume(frame, shape),
        label_source(tissues, levels.names),
    )
    return with_uncertainty(found)


def doubt(scope: Scope, effect: Effect = Effect.WITHHOLD, code: str = "odd") -> Doubt:
    return Doubt(scope=scope, effect=effect, code=code, text="it looks odd")


def absent(row: MeasuredDisc) -> set[str]:
    return {key for key, value in row.values.items() if isinstance(value, Missing)}


def lost(before: SpineMeasurements, after: SpineMeasurements) -> dict[str, set[str]]:
    """Return by level what has no value any more."""
    pairs = zip(before.discs, after.discs, strict=True)
    gone = {old.level: absent(new) - absent(old) for old, new in pairs}
    return {level: keys for level, keys in gone.items() if keys}


def unseen_in_part(measured: SpineMeasurements, code: str) -> SpineMeasurements:
    """Put a reason in the place of the height of L4/L5."""
    why = Missing(absence=Absence.GEOMETRY_UNFIT, code=code, text="a part of it alone")
    discs = [
        dataclasses.replace(row, values={**row.values, "disc_height_mm": why})
        if row.disc.number == L4_L5
        else row
        for row in measured.discs
    ]
    return dataclasses.replace(measured, discs=tuple(discs))


def known_to(measured: SpineMeasurements, share: float) -> SpineMeasurements:
    """Let the height of L4/L5 be known to a share of itself."""
    discs = [
        dataclasses.replace(
            row,
            uncertainty={
                **row.uncertainty,
                "disc_height_mm": share * (row.number("disc_height_mm") or 0.0),
            },
        )
        if row.disc.number == L4_L5
        else row
        for row in measured.discs
    ]
    return dataclasses.replace(measured, discs=tuple(discs))


def test_a_warning_takes_no_value(measured: SpineMeasurements) -> None:
    told = warning("motion", "The patient has moved")
    assert withheld(measured, [told]) is measured
    (notice,) = notices([told], measured)
    assert (notice.code, notice.text) == ("motion", "The patient has moved")


def test_texts_of_one_kind_are_joined_as_sentences(measured: SpineMeasurements) -> None:
    told = [
        warning("motion", text) for text in ("It moved.", "It is dark", "It is odd")
    ]
    (notice,) = notices(told, measured)
    assert notice.text == "It moved. It is dark; It is odd"


OF_THE_CANAL = {"canal_ap_diameter_mm"}
"""Stands at a level, and does not rest on the outline of its disc."""


def test_a_doubt_about_a_disc_takes_all_its_values_and_is_their_reason(
    measured: SpineMeasurements,
) -> None:
    after = withheld(measured, [doubt(of_disc(L4_L5))])
    assert set(lost(measured, after)) == {"L4/L5"}
    (row,) = (row for row in after.discs if row.level == "L4/L5")
    assert absent(row) == set(row.values) - OF_THE_CANAL
    assert str(row.values["reference.dhi"]) == "odd: it looks odd"
    assert set(row.uncertainty) == OF_THE_CANAL


def test_a_doubt_about_the_height_of_a_body_takes_ratios_and_corners_beside_it(
    measured: SpineMeasurements,
) -> None:
    after = withheld(measured, [doubt(of_body_height(L4))])
    gone = lost(measured, after)
    assert set(gone) == {"L3/L4", "L4/L5"}
    assert "disc_height_index" in gone["L4/L5"]
    assert "disc_height_mm" not in gone["L4/L5"]
    for level in gone.values():  # what is read from its corners
        assert {"slip_mm", "slip_percent", "rear_bulge_mm"} <= level
    (body,) = (body for body in after.bodies if body.vertebra.label == "L4")
    assert isinstance(body.values["body_height_mm"], Missing)


def test_a_doubt_about_the_signal_takes_signal_and_leaves_geometry(
    measured: SpineMeasurements,
) -> None:
    after = withheld(measured, [doubt(SIGNAL, code="not_t2")])
    gone = lost(measured, after)
    assert len(gone) == len(measured.discs)
    assert {"delta_si", "reference.delta_si_grade"} <= gone["L4/L5"]
    assert not any("height" in key for key in gone["L4/L5"])
    reason = signal_unfit([doubt(SIGNAL, code="not_t2")])
    assert reason is not None
    assert reason.code == "not_t2"
    assert signal_unfit([warning("motion", "x")]) is None


def test_the_first_reason_for_an_absence_stays(measured: SpineMeasurements) -> None:
    first, second = doubt(of_disc(L4_L5), code="a"), doubt(SERIES, code="b")
    once = withheld(measured, [first])
    (row,) = (row for row in withheld(once, [second]).discs if row.level == "L4/L5")
    codes = {
        value.code
        for key in lost(measured, once)["L4/L5"]
        if isinstance(value := row.values[key], Missing)
    }
    assert codes == {"a"}


def test_a_doubt_about_a_body_goes_before_its_loss_of_height() -> None:
    crushed = phantom(WedgeSpine(hollow_mm=2.0, low_body=2, low_body_mm=14.0))
    stripe = doubt(of_body_height(VERTEBRAE[3].number), code="signal_void")
    after = withheld(crushed, [stripe])
    (row,) = (row for row in after.discs if row.level == "L3/L4")
    for key in ("disc_height_index", "reference.dhi"):
        assert str(row.values[key]).startswith("signal_void")
    assert height_losses(crushed)
    assert height_losses(after) == ()


@pytest.mark.parametrize(
    ("need", "body", "gone"),
    [
        (Need.BODY_HEIGHTS, VERTEBRAE[0], {"lordosis_l1_s1_deg"}),
        (Need.BODY_HEIGHTS, VERTEBRAE[3], set()),
        (Need.BODY_HEIGHTS, VERTEBRAE[5], {"lordosis_l1_s1_deg"}),
        (Need.SACRUM, VERTEBRAE[0], {"sacral_slope_deg"}),
    ],
)
def test_angles_of_the_spine_rest_on_the_end_plates_that_they_run_between(
    measured: SpineMeasurements, need: Need, body: Structure, gone: set[str]
) -> None:
    scope = Scope(structures=frozenset({body.number}), need=need)
    after = withheld(measured, [doubt(scope)]).spine
    keys = {"lordosis_l1_s1_deg", "sacral_slope_deg"}
    assert {key for key in keys if after.number(key) is None} == gone


def test_a_refusal_is_the_outcome_that_the_node_knows(
    measured: SpineMeasurements,
) -> None:
    with pytest.raises(UnsuitableInput, match="looks odd") as outcome:
        withheld(measured, [doubt(SERIES, Effect.REFUSE, "not_t2")])
    assert outcome.value.code == "not_t2"
    with pytest.raises(UnsuitableInput, match="no spine") as outcome, refusals():
        raise Refused(code="no_lumbar_spine", text="no spine")
    assert outcome.value.code == "no_lumbar_spine"


def test_doubts_of_one_kind_are_told_once_with_what_they_withhold(
    measured: SpineMeasurements,
) -> None:
    doubts = [doubt(of_disc(number)) for number in (L4_L5, DISCS[2].number)]
    (notice,) = notices(doubts, withheld(measured, doubts))
    assert notice.text == "L4/L5, L3/L4 not measured: it looks odd"


def test_doubt_of_the_names_and_a_broken_body_are_told_before_all_else(
    measured: SpineMeasurements,
) -> None:
    codes = ("few_slices", "vertebral_height_loss", "motion", "level_uncertain")
    doubts = [warning(code, f"about {code}") for code in codes]
    after = withheld(measured, [doubt(of_disc(L4_L5))])
    assert [notice.code for notice in notices(doubts, after)] == [
        "level_uncertain",
        "levels_missing",
        "vertebral_height_loss",
        "few_slices",
        "motion",
    ]


def test_a_level_without_values_that_no_doubt_names_is_named(
    measured: SpineMeasurements,
) -> None:
    after = withheld(measured, [doubt(of_disc(L4_L5))])
    assert [notice.text for notice in notices([], after)] == ["Not measured: L4/L5"]


def test_a_height_that_is_known_too_badly_is_doubted(
    measured: SpineMeasurements,
) -> None:
    assert height_doubts(measured) == ()
    assert height_doubts(known_to(measured, MAX_UNCERTAIN_SHARE - 0.01)) == ()
    (found,) = height_doubts(known_to(measured, 0.5))
    assert found.scope == of_disc(L4_L5)
    assert found.code == "too_uncertain"
    (row,) = (row for row in measured.discs if row.level == "L4/L5")
    height = row.number("disc_height_mm")
    assert height is not None
    assert f"{height:.1f} mm with a typical error of {height / 2:.1f}" in (found.text)


@pytest.mark.parametrize(
    ("edited", "levels"),
    [(L4_L5, {"L4/L5"}), (L5, {"L4/L5", "L5/S1"})],
)
def test_what_rests_on_an_outline_of_a_reader_has_no_uncertainty(
    measured: SpineMeasurements, edited: int, levels: set[str]
) -> None:
    after = with_uncertainty(measured, frozenset({edited}))
    assert {
        row.level for row in after.discs if set(row.uncertainty) <= OF_THE_CANAL
    } == levels
    assert height_doubts(after) == ()


def test_a_canal_of_a_reader_takes_the_uncertainty_of_signal_and_canal_alone(
    measured: SpineMeasurements,
) -> None:
    after = with_uncertainty(measured, frozenset({CANAL.number}))
    for before, row in zip(measured.discs, after.discs, strict=True):
        gone = set(before.uncertainty) - set(row.uncertainty)
        signal = {"delta_si", "signal_ratio_csf", "nucleus_ratio_csf"}
        assert gone == signal | OF_THE_CANAL


@pytest.mark.parametrize("code", ["incomplete", "implausible"])
def test_a_disc_without_a_height_of_its_own_takes_the_space_around_it(
    measured: SpineMeasurements, code: str
) -> None:
    seen = unseen_in_part(measured, code)
    doubts = unfit_discs(seen)
    gone = lost(seen, withheld(seen, doubts))
    assert list(gone) == ["L4/L5"]
    assert {"interbody_height_mm", "slip_mm", "wedge_angle_deg"} <= gone["L4/L5"]
    assert "canal_ap_diameter_mm" not in gone["L4/L5"]
    assert [notice.code for notice in notices(doubts, seen)] == [code]


def test_a_disc_that_the_picture_does_not_show_is_no_doubt(
    measured: SpineMeasurements,
) -> None:
    assert unfit_discs(unseen_in_part(measured, "outside_view")) == ()
