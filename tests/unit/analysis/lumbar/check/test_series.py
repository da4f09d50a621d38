import dataclasses

import numpy as np
import pytest

from analysis.contract.plugin import Plane, SeriesSummary, Weighting
from analysis.contract.volume import Volume
from analysis.lumbar.check.series import choose, examine
from analysis.lumbar.doubt import Refused
from tests.support.wedge_spine import Layout, rotation

SAGITTAL_T2 = SeriesSummary(
    modality="MR",
    body_part="LSPINE",
    plane=Plane.SAGITTAL,
    weighting=Weighting.T2,
    slice_count=15,
    rows=512,
    columns=512,
)


def noise(layout: Layout) -> Volume:
    frame, shape = layout.frame()
    voxels = np.random.default_rng(1).normal(300, 80, shape).astype(np.float32)
    return Volume(voxels=voxels, frame=frame, series_uid="1.2.3")


def test_a_sagittal_t2_series_is_taken() -> None:
    assert choose(SAGITTAL_T2).accepted


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"modality": "CT"}, "not_mr"),
        ({"localiser": True}, "localiser"),
        ({"derived": True}, "derived"),
        ({"plane": Plane.AXIAL}, "not_sagittal"),
        ({"plane": Plane.CORONAL}, "not_sagittal"),
        ({"plane": Plane.OBLIQUE}, "not_sagittal"),
        ({"plane": Plane.MIXED}, "mixed_orientations"),
        ({"plane": Plane.UNKNOWN}, "plane_unknown"),
        ({"weighting": Weighting.PD}, "not_t2"),
        ({"weighting": Weighting.OTHER}, "not_t2"),
        ({"slice_count": 1}, "too_few_slices"),
        ({"slice_count": 2}, "too_few_slices"),
    ],
)
def test_every_other_series_is_refused_with_its_reason(
    change: dict[str, object], code: str
) -> None:
    fit = choose(dataclasses.replace(SAGITTAL_T2, **change))  # type: ignore[arg-type]
    assert (fit.accepted, fit.code) == (False, code)
    assert fit.text


def test_a_series_with_fat_is_preferred_to_one_with_suppressed_fat() -> None:
    suppressed = dataclasses.replace(
        SAGITTAL_T2, weighting=Weighting.T2_FAT_SUPPRESSED, slice_count=400
    )
    assert choose(suppressed).accepted
    assert choose(suppressed).preference < choose(SAGITTAL_T2).preference


def test_a_series_of_unknown_weighting_comes_last() -> None:
    unknown = dataclasses.replace(
        SAGITTAL_T2, weighting=Weighting.UNKNOWN, slice_count=400
    )
    suppressed = dataclasses.replace(SAGITTAL_T2, weighting=Weighting.T2_FAT_SUPPRESSED)
    assert choose(unknown).accepted
    assert choose(unknown).preference < choose(suppressed).preference


@pytest.mark.parametrize("weighting", [Weighting.T1, Weighting.STIR])
def test_t1_and_stir_are_taken_only_where_there_is_nothing_better(
    weighting: Weighting,
) -> None:
    fit = choose(dataclasses.replace(SAGITTAL_T2, weighting=weighting, slice_count=600))
    assert fit.accepted
    assert fit.preference < 0
    assert (fit.code, weighting.value in fit.text) == ("not_t2", True)


def test_among_equals_the_series_with_more_slices_is_preferred() -> None:
    more = dataclasses.replace(SAGITTAL_T2, slice_count=20)
    assert choose(more).preference > choose(SAGITTAL_T2).preference


@pytest.mark.parametrize(
    ("layout", "code"),
    [
        (Layout(turn=rotation("z", 31.0)), "not_sagittal"),
        (Layout(size_mm=(4.0, 290.0, 150.0)), "too_few_slices"),
        (Layout(size_mm=(8.0, 290.0, 150.0)), "too_few_slices"),
        (Layout(spacing_mm=(4.0, 3.0, 3.0)), "too_coarse"),
        (Layout(spacing_mm=(4.0, 0.8, 1.7)), "too_coarse"),
        (Layout(spacing_mm=(11.0, 0.8, 0.8)), "too_coarse"),
        (
            Layout(spacing_mm=(4.0, 0.5, 0.5), size_mm=(36.0, 8.0, 8.0)),
            "field_of_view_too_small",
        ),
        (Layout(size_mm=(36.0, 200.0, 50.0)), "field_of_view_too_small"),
        (
            Layout(spacing_mm=(4.0, 1.5, 1.5), size_mm=(12.0, 1200.0, 90.0)),
            "field_of_view_too_large",
        ),
    ],
)
def test_a_volume_beyond_a_limit_is_refused_with_its_code(
    layout: Layout, code: str
) -> None:
    with pytest.raises(Refused) as outcome:
        examine(noise(layout))
    assert outcome.value.code == code
    assert any(letter.isdigit() for letter in outcome.value.text)


@pytest.mark.parametrize("angle_deg", [-29.0, 0.0, 29.0])
def test_a_lean_within_the_limit_is_taken(angle_deg: float) -> None:
    volume = noise(Layout(turn=rotation("y", angle_deg)))
    assert examine(volume).volume is volume


@pytest.mark.parametrize("grey", [0.0, 1000.0])
def test_a_blank_series_is_refused(grey: float) -> None:
    frame, shape = Layout().frame()
    voxels = np.full(shape, grey, np.float32)
    with pytest.raises(Refused) as outcome:
        examine(Volume(voxels=voxels, frame=frame, series_uid="1.2.3"))
    assert outcome.value.code == "blank"


def blanked(volume: Volume, *slices: int) -> Volume:
    voxels = volume.voxels.copy()
    voxels[list(slices)] = 0
    return dataclasses.replace(volume, voxels=voxels)


def test_blank_slices_are_told_and_the_rest_is_taken() -> None:
    volume = noise(Layout(size_mm=(28.0, 290.0, 150.0)))
    (warning,) = examine(blanked(volume, 0, 3)).doubts
    assert warning.code == "blank_slices"
    assert "2 of 7" in warning.text


def test_with_fewer_than_three_slices_that_are_not_blank_it_is_refused() -> None:
    volume = noise(Layout(size_mm=(16.0, 290.0, 150.0)))
    with pytest.raises(Refused) as outcome:
        examine(blanked(volume, 1, 2))
    assert outcome.value.code == "blank"


def test_three_slices_are_taken_with_a_warning() -> None:
    warnings = examine(noise(Layout(size_mm=(12.0, 290.0, 150.0)))).doubts
    assert [warning.code for warning in warnings] == ["few_slices"]


def test_slices_that_lean_by_more_than_15_degrees_are_told() -> None:
    (doubt,) = examine(noise(Layout(turn=rotation("z", 20.0)))).doubts
    assert doubt.code == "oblique_slices"
    assert "20 deg" in doubt.text
    assert "up to 6% too great" in doubt.text
    assert not examine(noise(Layout(turn=rotation("z", 14.0)))).doubts
