"""Confidence of an outline follows from the probabilities of its pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.imaging.sagittal_grid import sagittal_grid
from analysis.lumbar.anatomy.structures import CANAL, DISCS, VERTEBRAE, Tissue
from analysis.lumbar.anatomy.tissue_map import FULL, PIXEL_MM, TissueMap
from analysis.lumbar.judge.outline_confidence import (
    UNCERTAIN_BODY,
    UNCERTAIN_DISC,
    outline_confidence,
    uncertain_outlines,
)
from tests.support.wedge_spine import Layout, map_of

L4_L5 = DISCS[1].number
L5, L4 = (body.number for body in VERTEBRAE[1:3])


def _one_body(inside: float, outside: float) -> tuple[TissueMap, NDArray[np.uint8]]:
    """A body of 10 x 30 pixels; its probability there, and everywhere else."""
    grid = sagittal_grid(*Layout(size_mm=(12.0, 80.0, 80.0)).frame(), PIXEL_MM)
    share = np.full((grid.shape[0], 6, *grid.shape[1:]), 0.0)
    share[:, Tissue.BODY] = outside
    share[1, Tissue.BODY, 40:50, 30:60] = inside
    share[:, Tissue.BACKGROUND] = 1 - share[:, Tissue.BODY]
    names = np.zeros((grid.shape[0], *grid.shape[1:]), np.uint8)
    names[1, 40:50, 30:60] = L5
    return map_of(grid, np.rint(share * FULL).astype(np.uint8)), names


def test_a_certain_outline_is_expected_to_be_right() -> None:
    assert outline_confidence(*_one_body(1.0, 0.0)) == {L5: pytest.approx(1.0)}


def test_doubt_inside_lowers_it_as_the_overlap_would() -> None:
    # Of 300 pixels 180 are expected to be body: 2 * 180 / (300 + 180).
    found = outline_confidence(*_one_body(0.6, 0.0))
    assert found[L5] == pytest.approx(0.75, abs=0.005)


def test_what_may_have_been_missed_beside_it_counts_too() -> None:
    # Steps of 3 along the axes: 3 pixels on each of 80 border pixels, and 4 corners
    # of 3 more; a fifth of these 252 pixels is expected to be body as well.
    found = outline_confidence(*_one_body(1.0, 0.2))
    assert found[L5] == pytest.approx(2 * 300 / (300 + 300 + 50.4), abs=0.005)


def test_a_few_pixels_say_nothing() -> None:
    tissues, names = _one_body(1.0, 0.0)
    names[1, 45, 30:60] = L4
    names[1, 46, 30:35] = L4 + 1
    assert set(outline_confidence(tissues, names)) == {L5, L4}


@pytest.mark.parametrize(("inside", "expected"), [(1.0, 1.0), (0.8182, 0.878)])
def test_a_disc_is_expected_to_overlap_less_than_its_pixels_say(
    inside: float, expected: float
) -> None:
    # Pixels of 0.8182 expect an overlap of 0.9: -0.268 + 1.273 * 0.9 = 0.878.
    tissues, names = _one_body(0.0, 0.0)
    tissues.probability[1, Tissue.DISC, 40:50, 30:60] = round(inside * FULL)
    names[names == L5] = L4_L5
    found = outline_confidence(tissues, names)
    assert found[L4_L5] == pytest.approx(expected, abs=0.005)


def test_a_disc_without_an_outline_has_no_confidence() -> None:
    tissues, names = _one_body(0.0, 0.0)
    tissues.probability[1, Tissue.DISC, 40:50, 30:60] = round(0.4 * FULL)
    names[names == L5] = L4_L5
    assert outline_confidence(tissues, names) == {}


def test_what_a_reader_drew_has_no_confidence() -> None:
    assert outline_confidence(*_one_body(1.0, 0.0), {L5}) == {}


def test_only_the_slices_that_are_measured_count() -> None:
    tissues, names = _one_body(1.0, 0.0)
    # A rim of the body at its side, of which the network is hardly sure.
    tissues.probability[0, Tissue.BODY, 40:50, 30:60] = round(0.6 * FULL)
    names[0] = names[1]
    whole = outline_confidence(tissues, names)
    measured = outline_confidence(tissues, names, slices={L5: [1]})
    assert whole[L5] == pytest.approx(2 * 480 / (600 + 480), abs=0.005)
    assert measured[L5] == pytest.approx(1.0)


def test_the_worst_outlines_are_named_in_one_warning() -> None:
    # Neither the canal nor what lies above the measured levels is warned of.
    above = {CANAL.number: 0.1, DISCS[5].number: 0.1, VERTEBRAE[6].number: 0.1}
    sure = above | {L5: UNCERTAIN_BODY, L4_L5: UNCERTAIN_DISC}
    assert uncertain_outlines(sure) == ()
    (notice,) = uncertain_outlines(sure | {L5: 0.5, L4_L5: UNCERTAIN_DISC - 0.01})
    assert notice.code == "outline_uncertain"
    assert notice.text.endswith(": L5 (0.50), L4/L5 disc (0.86)")
