"""Heights that are known too badly are refused, and nothing else is."""

import dataclasses

import numpy as np
import pytest

from analysis.lumbar.anatomy.spine import Anatomy
from analysis.lumbar.anatomy.structures import DISCS
from analysis.lumbar.judge.resolve import MAX_UNCERTAIN_SHARE, refuse, uncertain_heights
from analysis.lumbar.judge.uncertainty import with_uncertainty
from analysis.lumbar.measure.measurements import SpineMeasurements, measure_spine
from analysis.lumbar.name.levels import name_levels
from analysis.lumbar.name.voxel_labels import label_source
from analysis.lumbar.value import Missing
from tests.support.wedge_spine import Layout, WedgeSpine

L4_L5 = DISCS[1].number


@pytest.fixture(scope="module")
def rows() -> SpineMeasurements:
    frame, shape = Layout(size_mm=(12.0, 290.0, 150.0)).frame()
    spine = WedgeSpine()
    tissues = spine.tissue_map(frame, shape)
    levels = name_levels(tissues)
    measured = measure_spine(
        Anatomy(tissues=tissues, levels=levels),
        spine.volume(frame, shape),
        label_source(tissues, levels.names),
        None,
    )
    return with_uncertainty(measured)


def _with_uncertainty(rows: SpineMeasurements, share: float) -> SpineMeasurements:
    """Let the height of L4/L5 be known to a share of itself."""
    discs = list(rows.discs)
    (place,) = (i for i, row in enumerate(discs) if row.disc.number == L4_L5)
    height = discs[place].values["disc_height_mm"]
    assert isinstance(height, float)
    known = {**discs[place].uncertainty, "disc_height_mm": share * height}
    discs[place] = dataclasses.replace(discs[place], uncertainty=known)
    return dataclasses.replace(rows, discs=tuple(discs))


def test_a_height_that_is_known_well_enough_is_told(rows: SpineMeasurements) -> None:
    assert uncertain_heights(rows) == {}
    assert uncertain_heights(_with_uncertainty(rows, MAX_UNCERTAIN_SHARE - 0.01)) == {}


def test_a_height_that_is_known_too_badly_takes_all_values_of_its_disc(
    rows: SpineMeasurements,
) -> None:
    doubtful = _with_uncertainty(rows, MAX_UNCERTAIN_SHARE + 0.01)
    unfit = uncertain_heights(doubtful)
    assert set(unfit) == {L4_L5}
    assert unfit[L4_L5].code == "too_uncertain"
    left = refuse(doubtful, unfit)
    for before, after in zip(rows.discs, left.discs, strict=True):
        if after.disc.number != L4_L5:
            assert after == before
            continue
        assert isinstance(after.values["disc_height_mm"], Missing)
        assert isinstance(after.values["height_diameter_ratio"], Missing)
        assert isinstance(after.values["reference.dhi"], Missing)
        assert after.uncertainty == {}


def test_what_a_reader_outlined_has_no_uncertainty_and_is_told(
    rows: SpineMeasurements,
) -> None:
    discs = [dataclasses.replace(row, uncertainty={}) for row in rows.discs]
    assert uncertain_heights(dataclasses.replace(rows, discs=tuple(discs))) == {}


def test_the_reason_tells_height_and_uncertainty(rows: SpineMeasurements) -> None:
    doubtful = _with_uncertainty(rows, 0.5)
    row = next(row for row in doubtful.discs if row.disc.number == L4_L5)
    text = uncertain_heights(doubtful)[L4_L5].text
    assert f"{row.values['disc_height_mm']:.1f} mm" in text
    assert f"{np.round(row.uncertainty['disc_height_mm'], 1)} mm" in text
